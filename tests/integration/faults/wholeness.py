"""What a lab is like, seen by kubectl, git, toxiproxy, the kernel and the disk: before a fault as after its healing."""

import base64
import hashlib
import json
import os
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from tests.integration.conftest import Observer

from fluxlab.unix_http import ask
from fluxlab.waiting import wait_until

OF_FAULTS = re.compile(r"(?<![0-9a-z])[a-z]+(?:-[a-z]+)+-[0-9a-f]{6}(?![0-9a-z])")
"""The id of a fault, in the name of whatever one has put down."""
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
    """How many run below the supervisor of each program, and how many of them are stopped."""
    spoilt: Mapping[str, str]
    """What is wrong with links by word of toxiproxy, and with hosts by word of the gateway."""
    git: Mapping[str, str]
    """Where HEAD leads, and the content of each branch and tag, whatever its history."""
    files: frozenset[str]
    """What has the id of a fault in its name, its record among them, what chart repositories are made of, and what a
    command had no time to remove.
    """

    @classmethod
    def of(cls, folder: Path, *, cluster: str = "flux-playground") -> "Whole":
        """The lab in a folder, now."""
        observer = Observer(folder / "clusters" / cluster / "kubeconfig")
        return cls(
            objects={**dict(_objects(observer)), **dict(_broken_pods(observer))},
            processes=dict(_processes(folder)),
            spoilt={**dict(_links(folder)), **dict(_hosts(folder))},
            git=dict(_git(folder)),
            files=frozenset(_files(folder)),
        )

    def differences(self, before: "Whole") -> list[str]:
        """What is not as it was, a line each."""
        return [
            *_changed("object", self.objects, before.objects),
            *_changed("process", self.processes, before.processes),
            *_changed("way to", self.spoilt, before.spoilt),
            *_changed("git", self.git, before.git),
            *_changed("file", dict.fromkeys(self.files, "there"), dict.fromkeys(before.files, "there")),
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


def _git(folder: Path) -> Iterator[tuple[str, str]]:
    for repository in (folder / "git").glob("*.git"):
        yield f"{repository.stem} HEAD", (repository / "HEAD").read_text().strip()
        words = ["git", f"--git-dir={repository}", "for-each-ref", "--format=%(refname) %(tree)%(*tree)"]
        told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        for name, tree in map(str.split, told.splitlines()):
            yield f"{repository.stem} {name}", tree


def _links(folder: Path) -> Iterator[tuple[str, str]]:
    for socket in folder.glob("clusters/*/links/toxiproxy.sock"):
        with suppress(FileNotFoundError, ConnectionRefusedError):  # nobody listens: processes tell whether that is well
            for name, link in ask(socket, "GET", "/proxies").json().items():
                assert isinstance(link, dict)
                yield f"link {name} of {socket.parts[-3]}", json.dumps([link["enabled"], link["toxics"]])


def _hosts(folder: Path) -> Iterator[tuple[str, str]]:
    rules = ask(folder / "control.sock", "POST", "/rules", content='{"argument": ""}', timeout=60).json()["result"]
    assert isinstance(rules, list)
    yield "hosts", json.dumps(rules)


def _files(folder: Path) -> Iterator[str]:
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            inside = (Path(place) / name).relative_to(folder)
            left = inside.parts[0] == "scratch" and name.startswith("tmp")  # as `tempfile` calls it
            if OF_FAULTS.search(name) or inside.parts[0] == "charts" or left:
                yield str(inside)


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
    found = defaultdict(list)
    for child in supervisor.children(recursive=True):
        with suppress(psutil.NoSuchProcess, IndexError):  # an IndexError: a zombie has no command line
            found[Path(child.cmdline()[0]).name].append(child.status() == psutil.STATUS_STOPPED)
    for name, stopped in found.items():
        yield name, f"{len(stopped)}, {sum(stopped)} of them stopped"
