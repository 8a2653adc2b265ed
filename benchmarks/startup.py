"""How long until a lab acts, until the demo has arrived, and what a lab costs while nothing happens.

`acting` is proven by a GitRepository that the benchmark itself creates as soon as the API lets it, and that its
controller has judged; the controllers' own /readyz is true seconds earlier.
"""

import json
import os
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from measure import FLUXLAB, ROOT, Figure, arguments, command, cpu_seconds, lab_processes, report, state_of_its_own

from fluxlab.clusters.api import KubeApi
from fluxlab.clusters.resources import GIT_REPOSITORY, POD
from fluxlab.clusters.secret import set_secret
from fluxlab.documents import JsonObject
from fluxlab.errors import FluxlabError
from fluxlab.state import LabFolder
from fluxlab.toolchain import find
from fluxlab.waiting import wait_until

PROBE: JsonObject = {
    "apiVersion": GIT_REPOSITORY.api_version,
    "kind": "GitRepository",
    "metadata": {"name": "probe", "namespace": "default"},
    "spec": {"interval": "1h", "url": "https://github.com/acme/fleet.git"},
}
DEMO_PODS, AGENT_PODS = 34, 2
TIMEOUT_SECONDS = 60
POLL_SECONDS = 0.01
POLL_PODS_SECONDS = 0.05
"""Each look lists all pods: more often, and the looks are a good part of the load."""


def seconds_until(fact: Callable[[], bool], began: float, *, interval_seconds: float = POLL_SECONDS) -> float:
    """Seconds from `began` until `fact` holds; a timeout quotes the last error."""
    last = ""

    def holds() -> bool:
        nonlocal last
        try:
            return fact()
        except (OSError, FluxlabError) as error:
            last = str(error)
            return False

    wait_until(
        holds, what="the fact", timeout_seconds=TIMEOUT_SECONDS, state=lambda: last, interval_seconds=interval_seconds
    )
    return time.monotonic() - began


class Probe:
    """Watches one start from outside."""

    def __init__(self, lab: str, *, cluster: str = "flux-playground", pods: int = DEMO_PODS) -> None:
        self._pods = pods
        self._kubeconfig = LabFolder.named(lab).kubeconfig(cluster)
        self._api: KubeApi | None = None
        self._created = False

    def _client(self) -> KubeApi:
        if self._api is None:
            self._api = KubeApi.from_kubeconfig(self._kubeconfig)
        return self._api

    def acting(self) -> bool:
        """Whether source-controller has judged the benchmark's own GitRepository."""
        if not self._created:
            self._client().create(GIT_REPOSITORY, PROBE, namespace="default")
            self._created = True
        return self._client().get(GIT_REPOSITORY, "probe", namespace="default").condition("Ready") is not None

    def demo_ready(self) -> bool:
        """Whether all pods of the scenarios and of Flux are Ready."""
        pods = self._client().list(POD)
        ready = [pod for pod in pods if (seen := pod.condition("Ready")) and seen.status == "True"]
        return len(ready) == len(pods) == self._pods

    def give_token(self) -> bool:
        """Set the Secret that the agent waits for, as soon as the API takes it."""
        set_secret(self._client(), "causely/causely-secrets", "CAUSELY_TOKEN", "a-token", create_namespace=True)
        return True


def start(*words: str) -> tuple[subprocess.Popen[bytes], float]:
    """Run `fluxlab up` in the background."""
    began = time.monotonic()
    output = subprocess.DEVNULL
    return subprocess.Popen([*FLUXLAB, "up", *words], stdout=output, stderr=output, cwd=ROOT), began


def steps(lab: str) -> dict[str, float]:
    """The supervisor's own account of the start."""
    record = LabFolder.named(lab).read_record()
    return {step.name: step.at_seconds for step in record.steps} if record else {}


def measure_empty(runs: int, samples: dict[str, list[float]], *, title: str) -> None:
    """`up` of an empty lab until Flux acts."""
    for _ in range(runs):
        process, began = start("--name", "empty")
        samples[f"{title}: Flux acts"].append(seconds_until(Probe("empty").acting, began))
        process.wait()
        samples[f"{title}: command returns"].append(time.monotonic() - began)
        for name, at in steps("empty").items():
            samples[f"{title}: step: {name}"].append(at)
        samples["down of an empty lab"].append(command("down", "empty"))


def measure_demo(runs: int, samples: dict[str, list[float]]) -> None:
    """`up` with the demo until every pod is Ready; the last one stays."""
    lab_file = Path(os.environ["FLUXLAB_STATE_DIR"]) / "demo.yaml"
    lab_file.write_text("name: playground\nscenarios: [otel-demo]\n")
    for run in range(runs):
        process, began = start(str(lab_file))
        ready = seconds_until(Probe("playground").demo_ready, began, interval_seconds=POLL_PODS_SECONDS)
        samples["up with the demo: all pods Ready"].append(ready)
        process.wait()
        samples["up with the demo: command returns"].append(time.monotonic() - began)
        if run < runs - 1:
            samples["down with the demo"].append(command("down", "playground"))


def measure_guide(runs: int, samples: dict[str, list[float]]) -> None:
    """`up` of the playground, demo and agent, until every pod is Ready; the token is set as soon as possible."""
    for _ in range(runs):
        process, began = start("playground")
        probe = Probe("playground", pods=DEMO_PODS + AGENT_PODS)
        seconds_until(probe.give_token, began)
        ready = seconds_until(probe.demo_ready, began, interval_seconds=POLL_PODS_SECONDS)
        samples["up with demo and agent: all pods Ready"].append(ready)
        process.wait()
        command("down", "playground")


def measure_environments(runs: int, samples: dict[str, list[float]]) -> None:
    """`up` of two clusters, demo and agent in each, until the commit has converged in both."""
    for _ in range(runs):
        process, began = start("staging-production")
        for cluster in ("staging", "production"):
            seconds_until(Probe("staging-production", cluster=cluster).give_token, began)
        process.wait()
        command("wait")
        samples["up with two clusters: converged"].append(time.monotonic() - began)
        command("down", "staging-production")


def measure_snapshot(runs: int, samples: dict[str, list[float]]) -> None:
    """A snapshot of demo and agent, and its restore until the commit has converged."""
    process, began = start("playground")
    seconds_until(Probe("playground").give_token, began)
    process.wait()
    command("wait")
    file = str(Path(os.environ["FLUXLAB_STATE_DIR"]) / "snapshot")
    for _ in range(runs):
        samples["snapshot save"].append(command("snapshot", "save", file))
    command("down", "playground")
    for _ in range(runs):
        samples["snapshot restore: converged"].append(command("snapshot", "restore", file))
        command("down", "playground")


def memory() -> dict[str, float]:
    """Proportional set size of each process of the playground, in MB."""
    sizes = {name: process.memory_full_info().pss / 1e6 for name, process in lab_processes("playground").items()}
    return {**{name: round(size, 1) for name, size in sizes.items()}, "total": round(sum(sizes.values()), 1)}


def idle(seconds: float) -> dict[str, float]:
    """CPU of each process while nothing happens, in percent of one core."""
    time.sleep(5)  # let the rollout's last heartbeats pass
    before = cpu_seconds("playground")
    time.sleep(seconds)
    after = cpu_seconds("playground")
    shares = {name: 100 * (after[name] - before[name]) / seconds for name in before}
    return {**{name: round(share, 2) for name, share in shares.items()}, "total": round(sum(shares.values()), 2)}


def without_a_seed(samples: dict[str, list[float]]) -> None:
    """The first start after a change of the toolchain: it also makes the seed."""
    programs = find().binary("flux").parent.parent
    with tempfile.TemporaryDirectory(prefix="fluxlab-benchmark-") as cache:
        changed = {"FLUXLAB_TOOLCHAIN": str(programs), "FLUXLAB_CACHE_DIR": cache}
        before = dict(os.environ)
        os.environ.update(changed)
        try:
            measure_empty(1, samples, title="up without a seed")
        finally:
            os.environ.clear()
            os.environ.update(before)


def main() -> None:
    """Measure and print."""
    options = arguments(runs=5)
    samples: dict[str, list[float]] = defaultdict(list)
    with state_of_its_own():
        command("up", "--name", "warm")  # page cache, seed
        command("down", "warm")
        for _ in range(10):
            samples["fluxlab --help"].append(command("--help"))
        for _ in range(min(3, options.runs)):
            without_a_seed(samples)
        measure_empty(options.runs, samples, title="up with a seed")
        measure_guide(options.runs, samples)
        measure_environments(options.runs, samples)
        measure_snapshot(options.runs, samples)
        measure_demo(options.runs, samples)
        facts = {
            "pss_mb_after_the_rollout": memory(),
            f"idle_cpu_percent_over_{options.idle_seconds:g}_s": idle(options.idle_seconds),
            "pss_mb_at_rest": memory(),
        }
    figures = [Figure(name=name, unit="s", samples=tuple(values)) for name, values in samples.items()]
    report(figures, json_file=options.json, **{name: json.dumps(fact) for name, fact in facts.items()})


if __name__ == "__main__":
    main()
