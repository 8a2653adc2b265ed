"""How long a report on drift takes over a thousand objects, and how long after an edit by hand it is told."""

from pathlib import Path
from time import monotonic

from measure import Figure, arguments, report, state_of_its_own

from fluxlab.documents import Json, JsonObject
from fluxlab.lab import Lab
from fluxlab.spec import LabSpec

OBJECTS, DRIFTED = 1000, 10
FILE = "clusters/flux-playground/all.yaml"


def config_map(number: int) -> JsonObject:
    """One of the objects."""
    metadata: Json = {"name": f"settings-{number}", "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"number": str(number)}}


def edit(lab: Lab, number: int, value: str) -> None:
    """Change one of them by hand."""
    lab.cluster.kubectl("patch", "configmap", f"settings-{number}", "-p", f'{{"data":{{"number":"{value}"}}}}')


def whole_report(runs: int) -> Figure:
    """Reports over the same lab."""
    with state_of_its_own():
        lab = Lab.up(LabSpec(name="bench"), base=Path())
        lab.repository.write(FILE, [config_map(number) for number in range(OBJECTS)])
        lab.converge(lab.repository.commit("Add many objects"))
        for number in range(DRIFTED):
            edit(lab, number, "another")
        samples = []
        for _ in range(runs):
            began = monotonic()
            found = lab.drift()
            samples.append(monotonic() - began)
            if len(found.drifts) != DRIFTED or found.examined <= OBJECTS:
                raise SystemExit(f"the report is wrong: {found}")
        lab.close()
    return Figure(name=f"drift of {OBJECTS} objects", unit="s", samples=tuple(samples))


def detection(runs: int) -> Figure:
    """From the answer of the API server to the record, in a lab with the demo."""
    with state_of_its_own():
        lab = Lab.up(LabSpec(name="bench", scenarios=["otel-demo"]), base=Path())
        lab.repository.write(FILE, config_map(0))
        lab.converge(lab.repository.commit("Add settings"))
        told = lab.follow_edits()
        samples = []
        for number in range(1, runs + 1):
            edit(lab, 0, str(number))
            began = monotonic()
            next(one for one in told if one.after == f'"{number}"')
            samples.append(monotonic() - began)
        lab.close()
    return Figure(name="edit by hand to its record", unit="s", samples=tuple(samples))


if __name__ == "__main__":
    options = arguments(runs=7)
    report([whole_report(options.runs), detection(options.runs * 3)], json_file=options.json)
