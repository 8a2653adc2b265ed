"""How long a report on drift takes over a thousand objects, some of which drifted."""

from pathlib import Path
from time import monotonic

from measure import Figure, arguments, report, state_of_its_own

from fluxlab.documents import Json, JsonObject
from fluxlab.lab import Lab
from fluxlab.spec import LabSpec

OBJECTS, DRIFTED = 1000, 10


def config_map(number: int) -> JsonObject:
    """One of the objects."""
    metadata: Json = {"name": f"settings-{number}", "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"number": str(number)}}


def measure(runs: int) -> Figure:
    """Reports over the same lab."""
    with state_of_its_own():
        lab = Lab.up(LabSpec(name="bench"), base=Path())
        lab.repository.write("clusters/flux-playground/all.yaml", [config_map(number) for number in range(OBJECTS)])
        lab.converge(lab.repository.commit("Add many objects"))
        for number in range(DRIFTED):
            lab.cluster.kubectl("patch", "configmap", f"settings-{number}", "-p", '{"data":{"number":"another"}}')
        samples = []
        for _ in range(runs):
            began = monotonic()
            found = lab.drift()
            samples.append(monotonic() - began)
            if len(found.drifts) != DRIFTED or found.examined <= OBJECTS:
                raise SystemExit(f"the report is wrong: {found}")
        lab.close()
    return Figure(name=f"drift of {OBJECTS} objects", unit="s", samples=tuple(samples))


if __name__ == "__main__":
    options = arguments(runs=7)
    report([measure(options.runs)], json_file=options.json)
