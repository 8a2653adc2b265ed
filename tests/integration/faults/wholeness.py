"""What a lab is like, seen by kubectl, git and the kernel: the same before a fault and after its healing."""

import base64
import hashlib
import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from tests.integration.conftest import Observer

from fluxlab.waiting import wait_until

PROGRAMS = frozenset(
    {
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kwok",
        "source-controller",
        "kustomize-controller",
        "helm-controller",
        "notification-controller",
        "toxiproxy",
    }
)
# What controllers write all the time, under names that nobody chose, or what says how things went.
PASSING = frozenset(
    {
        "apiservices.apiregistration.k8s.io",  # the API server's own, made anew with it; asked for by name below
        "controllerrevisions.apps",
        "componentstatuses",
        "endpoints",
        "endpointslices.discovery.k8s.io",
        "events",
        "events.events.k8s.io",
        "ipaddresses.networking.k8s.io",
        "leases.coordination.k8s.io",
        "pods",
        "replicasets.apps",
    }
)
RENEWED = frozenset({"flux-system/fluxlab-push", "flux-system/github-token"})
"""The Secrets of pushes and of the sink for commit statuses have new tokens in each start of a lab."""
CONTENT = ("spec", "data", "stringData", "rules", "subjects", "roleRef", "webhooks", "provisioner")
PLATFORM = frozenset({"kube-controller-manager", "kube-scheduler", "kube-apiserver", "kwok", "before-first-apply"})
ASKED = PLATFORM | {"fluxlab"}


@dataclass(frozen=True, kw_only=True)
class Whole:
    """Everything that a fault could leave changed."""

    objects: Mapping[str, str]
    """What each object is to be, who owns which fields, what holds it back: a digest for each."""
    processes: Mapping[str, str]
    tree: str
    records: frozenset[str]

    @classmethod
    def of(cls, folder: Path, *, cluster: str = "flux-playground") -> "Whole":
        """The lab in a folder, now."""
        observer = Observer(folder / "clusters" / cluster / "kubeconfig")
        return cls(
            objects={**dict(_objects(observer)), **dict(_broken_pods(observer))},
            processes=dict(_processes(folder)),
            tree=git_tree(folder),
            records=frozenset(file.name for file in (folder / "faults").glob("*.json")),
        )

    def differences(self, before: "Whole") -> list[str]:
        """What is not as it was, a line each."""
        return [
            *_changed("object", self.objects, before.objects),
            *_changed("process", self.processes, before.processes),
            *_changed("git", {"main": self.tree}, {"main": before.tree}),
            *(f"record {name}" for name in sorted(self.records - before.records)),
        ]


def await_token(folder: Path, token: str, *, cluster: str = "flux-playground") -> None:
    """Until the token that somebody has set has reached the shop."""
    observer = Observer(folder / "clusters" / cluster / "kubeconfig")
    wanted = base64.b64encode(token.encode()).decode()
    wait_until(
        lambda: observer.get("secret", "checkout", "-n", "shop")["data"]["token"] == wanted,
        what="the token has reached the shop",
        timeout_seconds=60,
        interval_seconds=0.2,
    )


def await_whole(folder: Path, before: Whole, *, cluster: str = "flux-playground", within_seconds: float = 90) -> None:
    """Until the lab in a folder is as it was before; the error tells what is not."""
    left: list[str] = []

    def as_before() -> bool:
        left[:] = Whole.of(folder, cluster=cluster).differences(before)
        return not left

    wait_until(
        as_before,
        what="the lab is as it was before",
        timeout_seconds=within_seconds,
        state=lambda: "\n".join(left),
        interval_seconds=0.2,
    )


def _changed(what: str, now: Mapping[str, str], then: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(now.keys() | then.keys()):
        if now.get(name) != then.get(name):
            yield f"{what} {name}: {then.get(name, 'not there')} -> {now.get(name, 'not there')}"


def git_tree(folder: Path) -> str:
    """The content of the repository's branch, whatever its history."""
    (repository,) = (folder / "git").glob("*.git")
    words = ["git", f"--git-dir={repository}", "rev-parse", "main^{tree}"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def _objects(observer: Observer) -> Iterator[tuple[str, str]]:
    served = observer.kubectl("api-resources", "--verbs=list", "-o", "name").split()
    kinds = sorted(set(served) - PASSING)
    for one in observer.get(",".join(kinds), "-A", "--show-managed-fields")["items"]:
        if one.get("type") != "helm.sh/release.v1":
            meta = one["metadata"]
            yield f"{one['kind']} {meta.get('namespace', '')}/{meta['name']}", _digest(one)


def _broken_pods(observer: Observer) -> Iterator[tuple[str, str]]:
    """Pods have names that nobody chose; what counts is that all of them run."""
    for pod in observer.get("pods", "-A")["items"]:
        ready = [one["status"] for one in pod["status"].get("conditions", ()) if one["type"] == "Ready"]
        if ready != ["True"]:
            yield f"Pod {pod['metadata']['namespace']}/{pod['metadata']['name']}", pod["status"]["phase"]


def _digest(one: dict[str, Any]) -> str:
    meta = one["metadata"]
    renewed = f"{meta.get('namespace', '')}/{meta['name']}" in RENEWED
    content = [] if renewed else [_chosen(one.get(key)) for key in CONTENT]
    known = {
        "content": hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest(),
        "managers": sorted(
            {
                entry["manager"]
                for entry in meta.get("managedFields", ())
                if not entry.get("subresource") and entry["manager"] not in (ASKED if _is_asked(one) else PLATFORM)
            }
        ),
        "finalizers": sorted(meta.get("finalizers", ())),
    }
    return f"{known['content'][:12]} of {','.join(known['managers'])} held by {','.join(known['finalizers'])}"


def _is_asked(one: dict[str, Any]) -> bool:
    """Whether a lab that is resumed asks this object to look again."""
    return (one["kind"], one["metadata"]["name"]) == ("GitRepository", "flux-system")


def _chosen(content: Any) -> Any:
    """Without what the API server chooses anew for each object."""
    if isinstance(content, dict):
        return {key: value for key, value in content.items() if key not in {"clusterIP", "clusterIPs"}}
    return content


def _processes(folder: Path) -> Iterator[tuple[str, str]]:
    supervisor = psutil.Process(json.loads((folder / "record.json").read_text())["supervisor"]["pid"])
    for child in supervisor.children():
        try:
            name = Path(child.cmdline()[0]).name
            if name in PROGRAMS:
                yield name, "stopped" if child.status() == psutil.STATUS_STOPPED else "there"
        except (psutil.NoSuchProcess, IndexError):  # an IndexError: a zombie has no command line
            continue
