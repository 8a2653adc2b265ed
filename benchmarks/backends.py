"""The playground on `local` and on kind, phase by phase; kind beside its floor, a bare `kind create` of the same nodes.

Phases are told by the supervisor's own record (cluster, Flux), and by the benchmark (rolled out: every pod Ready).
`--pairs` measures only the cluster phase beside its floor, in turns: their difference is smaller than what a shared
disk makes of it, so that Docker's folder had better be in memory.
"""

import subprocess
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from measure import FLUXLAB, ROOT, Figure, arguments, command, report, state_of_its_own

from fluxlab.clusters.backends import kind_program
from fluxlab.clusters.kind_nodes import daemon, node_image
from fluxlab.state import LabFolder

NODES = 2
CLUSTER, ACTING = "API serves", "Flux acts"
PATIENCE = ("--timeout", "300")


def floor(samples: dict[str, list[float]]) -> None:
    """Kind alone, with the same image and as many nodes."""
    with daemon() as client:
        image = node_image(client, "")
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "kind.yaml"
        roles = ["control-plane", *["worker"] * (NODES - 1)]
        config.write_text(
            "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes:\n" + "".join(f"- role: {one}\n" for one in roles)
        )
        named = ["--name=floor", f"--kubeconfig={folder}/kubeconfig"]
        chosen = [f"--image={image}"] if image else []
        began = time.monotonic()
        try:
            words = [str(kind_program()), "create", "cluster", *named, f"--config={config}", *chosen]
            subprocess.run(words, check=True, capture_output=True)
            samples["kind: floor: kind create"].append(time.monotonic() - began)
        finally:
            subprocess.run([str(kind_program()), "delete", "cluster", *named], check=True, capture_output=True)


def playground(backend: str, samples: dict[str, list[float]]) -> None:
    """`up` of demo and agent, the token, and until all has arrived."""
    began = time.monotonic()
    words = [*FLUXLAB, "up", "playground", "--backend", backend, "--nodes", str(NODES), *PATIENCE]
    subprocess.run(words, check=True, capture_output=True, cwd=ROOT)
    words = [*FLUXLAB, "secret", "set", "causely/causely-secrets", "CAUSELY_TOKEN"]
    subprocess.run(words, check=True, capture_output=True, cwd=ROOT, input=b"a-token\n")
    command("wait", *PATIENCE)
    rolled_out = time.monotonic() - began
    record = LabFolder.named("playground").read_record()
    steps = {step.name: step.at_seconds for step in record.steps} if record else {}
    samples[f"{backend}: cluster"].append(steps[CLUSTER])
    samples[f"{backend}: Flux acts after that"].append(steps[ACTING] - steps[CLUSTER])
    samples[f"{backend}: demo and agent after that"].append(rolled_out - steps[ACTING])
    samples[f"{backend}: all"].append(rolled_out)
    samples[f"{backend}: down"].append(command("down", "playground"))


def cluster(samples: dict[str, list[float]]) -> None:
    """`up` of the playground until its cluster serves; what would follow is broken off."""
    words = [*FLUXLAB, "up", "playground", "--backend", "kind", "--nodes", str(NODES), *PATIENCE]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT) as up:
        assert up.stdout
        assert any(CLUSTER in line for line in up.stdout), "the cluster did not come up"
        record = LabFolder.named("playground").read_record()
        up.terminate()
        up.stdout.read()
    steps = {step.name: step.at_seconds for step in record.steps} if record else {}
    samples["kind: cluster, in turns"].append(steps[CLUSTER])


def pair(samples: dict[str, list[float]], *, swapped: bool) -> None:
    """The cluster phase and its floor, one after the other: what the first leaves to be removed disturbs the second."""
    for measure in (cluster, floor) if swapped else (floor, cluster):
        measure(samples)


def phases(samples: dict[str, list[float]], *, runs: int) -> None:
    """Whole playgrounds on both backends, and the floor now before and now after that of kind."""
    playground("local", defaultdict(list))  # page cache, seed
    for number in range(runs):
        playground("local", samples)
        if number % 2:
            floor(samples)
        playground("kind", samples)
        if not number % 2:
            floor(samples)


def main() -> None:
    """Measure and print."""
    options = arguments(runs=3, pairs=0)
    samples: dict[str, list[float]] = defaultdict(list)
    with state_of_its_own():
        floor(defaultdict(list))  # page cache
        for number in range(options.pairs):
            pair(samples, swapped=number % 2 == 0)
        if not options.pairs:
            phases(samples, runs=options.runs)
    report(
        [Figure(name=name, unit="s", samples=tuple(found)) for name, found in samples.items()], json_file=options.json
    )


if __name__ == "__main__":
    main()
