"""How long after an edit by hand it is told: from the answer of the API server to the record."""

from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from measure import Figure, arguments, report, state_of_its_own

from fluxlab.documents import JsonObject
from fluxlab.lab import Lab
from fluxlab.spec import LabSpec

CONFIG_MAP: JsonObject = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "settings", "namespace": "default"},
    "data": {"number": "0"},
}


def measure(runs: int) -> Figure:
    """Edits one after the other in a lab with the demo, whose objects change, too."""
    with state_of_its_own():
        lab = Lab.up(LabSpec(name="bench", scenarios=["otel-demo"]), base=Path())
        lab.repository.write("clusters/flux-playground/settings.yaml", CONFIG_MAP)
        lab.converge(lab.repository.commit("Add settings"))
        told = lab.follow_edits(since=datetime.now(UTC))
        samples = []
        for number in range(1, runs + 1):
            change = f'{{"data":{{"number":"{number}"}}}}'
            lab.cluster.kubectl("patch", "configmap", "settings", "-n", "default", "-p", change)
            began = monotonic()
            next(edit for edit in told if edit.after == f'"{number}"')
            samples.append(monotonic() - began)
        lab.close()
    return Figure(name="edit by hand to its record", unit="s", samples=tuple(samples))


if __name__ == "__main__":
    options = arguments(runs=20)
    report([measure(options.runs)], json_file=options.json)
