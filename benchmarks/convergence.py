"""How long from the end of `git push` until an object has changed, and until the commit has converged.

Twice: with the object beside Flux's own components, where the root Kustomization builds and compares a megabyte of
definitions for each commit, and in a Kustomization of its own, as larger repositories have it. All of it in a lab
without links and in one with them, whose part of the processor time is told.

And how long an agent that waits for its token takes to go on by itself, once a person has set that, or has made the
Secret with kubectl, of which Flux only learns as it tries again: until it is applied, and until its release is Ready.
"""

import contextlib
import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from measure import Figure, arguments, command, cpu_seconds, report, state_of_its_own

from fluxlab.clusters.api import ApiUnreachableError, KubeApi
from fluxlab.clusters.objects import text_at
from fluxlab.clusters.resources import CONFIG_MAP, HELM_RELEASE, KUSTOMIZATION, SECRET
from fluxlab.documents import JsonObject
from fluxlab.lab import Lab
from fluxlab.waiting import wait_until

MANIFEST = """\
apiVersion: v1
kind: ConfigMap
metadata: {{name: probe, namespace: default}}
data: {{run: "{run}"}}
"""
CHILD = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
spec:
  interval: 10m
  path: ./apps
  prune: true
  sourceRef: {kind: GitRepository, name: flux-system}
"""
RETRY_SECONDS = 5.0
"""How often the agent's Kustomization is tried again."""


class Watcher(threading.Thread):
    """Notes when each value of the probe is first seen, by a watch of its own."""

    def __init__(self, api: KubeApi) -> None:
        super().__init__(daemon=True)
        self._api = api
        self.seen: dict[str, float] = {}
        self.news = threading.Condition()

    def run(self) -> None:
        """Follow the ConfigMap until the process ends."""
        with contextlib.suppress(ApiUnreachableError):  # the lab has ended
            while True:
                self._watch()

    def _watch(self) -> None:
        for _, found in self._api.watch(CONFIG_MAP, namespace="default"):
            if found.name == "probe":
                with self.news:
                    self.seen.setdefault(text_at(found.raw, "data", "run"), time.monotonic())
                    self.news.notify_all()

    def wait_for(self, run: str) -> float:
        """When `run` was first seen."""
        with self.news:
            if not self.news.wait_for(lambda: run in self.seen, timeout=60):
                raise TimeoutError(run)
            return self.seen[run]


def git(clone: Path, *words: str) -> str:
    """Git in the clone."""
    done = subprocess.run(["git", "-C", str(clone), *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def measure(lab: Lab, clone: Path, watcher: Watcher, *, path: str, runs: int, prefix: str) -> dict[str, list[float]]:
    """Change the probe below `path` again and again."""
    samples: dict[str, list[float]] = {"git push": [], "push to object applied": [], "push to converged": []}
    for run in range(runs + 1):
        value = f"{prefix}-{run}"
        (clone / path).mkdir(parents=True, exist_ok=True)
        (clone / path / "probe.yaml").write_text(MANIFEST.format(run=value))
        git(clone, "add", "--all")
        git(clone, "-c", "user.name=benchmark", "-c", "user.email=b@localhost", "commit", "-qm", f"Run {value}")
        began = time.monotonic()
        git(clone, "push", "-q")
        pushed = time.monotonic()
        seen = watcher.wait_for(value)
        lab.converge(git(clone, "rev-parse", "HEAD"))
        if run:  # the first one creates the object and warms what is cached
            ended = time.monotonic()
            for name, sample in zip(samples, (pushed - began, seen - pushed, ended - pushed), strict=True):
                samples[name].append(sample)
    return {f"{prefix}: {name}": values for name, values in samples.items()}


def shares(before: Mapping[str, float], after: Mapping[str, float], *, seconds: float) -> dict[str, float]:
    """CPU of each process in percent of one core, of all together, and which part is the recorder's and the links'."""
    spent = {name: after[name] - before[name] for name in before}
    total = sum(spent.values())
    percent = {name: round(100 * value / seconds, 2) for name, value in spent.items()}
    chosen = {name: value for name, value in spent.items() if name.rpartition("/")[2] in {"recorder", "toxiproxy"}}
    return {
        **percent,
        "total": round(100 * total / seconds, 2),
        **{f"{name}, of the total": round(100 * value / total, 2) for name, value in chosen.items()},
    }


def commit_to(name: str, folder: Path, *, links: bool, runs: int) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Commit again and again to a lab of that name: what was measured, and who took how much of the processor."""
    file = folder / f"{name}.yaml"
    file.write_text(json.dumps({"name": name, "links": links}))
    command("up", str(file))
    lab = Lab.find(name)
    clone = lab.repository.clone(folder / name)
    watcher = Watcher(lab.cluster.api)
    watcher.start()
    root = "clusters/flux-playground"
    began, spent = time.monotonic(), cpu_seconds(name)
    samples = measure(lab, clone, watcher, path=root, runs=runs, prefix="beside-flux")
    (clone / root / "probe.yaml").unlink()
    (clone / root / "apps.yaml").write_text(CHILD)
    samples |= measure(lab, clone, watcher, path="apps", runs=runs, prefix="own-kustomization")
    cpu = shares(spent, cpu_seconds(name), seconds=time.monotonic() - began)
    command("down", name)
    return samples, cpu


def waiting_for_a_token(name: str, *, runs: int) -> dict[str, list[float]]:
    """Take the agent and its Secret away, and set the Secret again and again, in a lab of that name."""
    command("up", "--name", name)
    samples: dict[str, list[float]] = {}
    with contextlib.closing(Lab.find(name)) as lab:
        commit = lab.repository.apply("observability-agent")
        for run in range(runs + 1):
            for how in ("token set", "token made by hand"):
                lab.converge(commit, until_asked=True)
                time.sleep(RETRY_SECONDS * run / runs)  # it comes anywhere between two attempts
                began = time.monotonic()
                _give(lab, f"token-of-run-{run}", by_hand="by hand" in how)
                applied = _seen(lambda: lab.cluster.kustomization("causely/causely").ready)
                ready = _seen(lambda: (found := lab.cluster.find("HelmRelease", "causely/causely")) and found.ready)
                if run:  # the first one warms what is cached
                    samples.setdefault(f"{how} to applied", []).append(applied - began)
                    samples.setdefault(f"{how} to release ready", []).append(ready - began)
                lab.converge(commit)
                _take_away(lab.cluster.api)
        command("down", name)
    return samples


def _give(lab: Lab, token: str, *, by_hand: bool) -> None:
    if not by_hand:
        lab.cluster.set_secret("causely/causely-secrets", "CAUSELY_TOKEN", token)
        return
    manifest: JsonObject = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "causely-secrets"}}
    lab.cluster.api.create(SECRET, {**manifest, "stringData": {"CAUSELY_TOKEN": token}}, namespace="causely")


def _take_away(api: KubeApi) -> None:
    """Token and release, so that the agent waits for its token as at first."""
    namespace = "causely"
    api.delete(SECRET, "causely-secrets", namespace=namespace)
    asked = {"reconcile.fluxcd.io/requestedAt": str(time.time())}
    api.merge(KUSTOMIZATION, "causely", {"metadata": {"annotations": asked}}, namespace=namespace)
    _seen(lambda: not api.get(KUSTOMIZATION, "causely", namespace=namespace).ready)
    api.delete(HELM_RELEASE, "causely", namespace=namespace)
    _seen(lambda: api.find(HELM_RELEASE, "causely", namespace=namespace) is None)


def _seen(fact: Callable[[], object]) -> float:
    """When it was first seen."""
    wait_until(fact, what="what was set has its effect", timeout_seconds=60, interval_seconds=0.02)
    return time.monotonic()


def main() -> None:
    """Measure and print: in a lab as it is, and in one with links."""
    options = arguments(runs=20)
    with state_of_its_own(), tempfile.TemporaryDirectory(prefix="fluxlab-benchmark-") as folder:
        waited = waiting_for_a_token("waiting", runs=options.runs)
        plain, cpu = commit_to("plain", Path(folder), links=False, runs=options.runs)
        linked, cpu_linked = commit_to("linked", Path(folder), links=True, runs=options.runs)
    samples = {**plain, **waited, **{f"with links, {name}": values for name, values in linked.items()}}
    report(
        [Figure(name=name, unit="s", samples=tuple(values)) for name, values in samples.items()],
        json_file=options.json,
        cpu_while_committing=json.dumps(cpu),
        cpu_with_links=json.dumps(cpu_linked),
    )


if __name__ == "__main__":
    main()
