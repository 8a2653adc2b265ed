"""How long from the end of `git push` until an object has changed, and until the commit has converged.

Twice: with the object beside Flux's own components, where the root Kustomization builds and compares a megabyte of
definitions for each commit, and in a Kustomization of its own, as larger repositories have it. All of it in a lab
without links and in one with them, whose part of the processor time is told.
"""

import contextlib
import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from measure import Figure, arguments, command, cpu_seconds, report, state_of_its_own

from fluxlab.clusters.api import ApiUnreachableError, KubeApi
from fluxlab.clusters.objects import text_at
from fluxlab.clusters.resources import CONFIG_MAP
from fluxlab.lab import Lab

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


def main() -> None:
    """Measure and print: in a lab as it is, and in one with links."""
    options = arguments(runs=20)
    with state_of_its_own(), tempfile.TemporaryDirectory(prefix="fluxlab-benchmark-") as folder:
        plain, cpu = commit_to("plain", Path(folder), links=False, runs=options.runs)
        linked, cpu_linked = commit_to("linked", Path(folder), links=True, runs=options.runs)
    samples = {**plain, **{f"with links, {name}": values for name, values in linked.items()}}
    report(
        [Figure(name=name, unit="s", samples=tuple(values)) for name, values in samples.items()],
        json_file=options.json,
        cpu_while_committing=json.dumps(cpu),
        cpu_with_links=json.dumps(cpu_linked),
    )


if __name__ == "__main__":
    main()
