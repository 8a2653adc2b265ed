"""One run of the table of edits on a lab: the objects in git, the edits by hand, and what everybody says of them."""

import json
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from tests.integration.conftest import Observer
from tests.integration.drift_actors import Actors, merged
from tests.integration.drift_cells import Cell
from tests.integration.drift_objects import (
    CHARTS,
    ROOT,
    SOURCE,
    SSA,
    autoscaler,
    chart,
    config_map,
    deployment,
    kustomization,
    namespace,
    release,
)

from fluxlab.documents import JsonObject
from fluxlab.drift.records import DriftReport
from fluxlab.lab import Lab
from fluxlab.toolchain import find

AT_ONCE = 4
KUSTOMIZATIONS: Mapping[str, JsonObject] = {
    "override": {},
    "merge": {},
    "if-not-present": {},
    "ignore": {},
    "suspended": {},
    "force": {"force": True},
}
ANNOTATED = {"merge": "Merge", "if-not-present": "IfNotPresent", "ignore": "Ignore"}
RELEASES = ("disabled", "warn", "enabled")
RELEASES_OF_FLUX = "helmreleases.helm.toolkit.fluxcd.io"


@dataclass(frozen=True)
class Run:
    """What was seen of all cells."""

    before: DriftReport
    """Before any edit."""
    report: DriftReport
    """After the edits, before Flux looked again."""
    rest: DriftReport
    """After Flux has looked again."""
    flux_diff: frozenset[str]
    """The objects, as `Kind/namespace/name`, that `flux diff kustomization` showed after the edits, if asked."""
    kubectl_diff: frozenset[str]
    """The objects, as `Kind namespace/name`, that `kubectl diff` showed after the edits, if asked."""
    events: Mapping[str, frozenset[str]]
    """By object, as `Kind/namespace/name`, what the events of Flux's objects that name it say since the edits."""
    conditions: frozenset[str]
    """The objects, as `Kind/namespace/name`, that the condition Drifted of a HelmRelease has named since the edits."""
    made: Mapping[Cell, tuple[datetime, datetime]]
    """Between which two moments each edit was made."""
    edited: Mapping[str, Any]
    """All objects by `Kind namespace/name`, after the edits, as kubectl tells them."""
    left: Mapping[str, Any]
    """All objects after Flux has looked again."""


def run(lab: Lab, cells: Sequence[Cell], folder: Path, *, diffs: bool = False) -> Run:
    """Everything once; with `diffs` also what the programs of others say, which takes many processes."""
    observer = Observer(lab.cluster.kubeconfig)
    manifests = {cell: _manifest(cell) for cell in cells}
    everything = chart(folder / "everything")
    lab.add_chart(everything, url=CHARTS)
    _put_into_git(lab, manifests)
    if any(cell.owner == "suspended" for cell in cells):
        _suspend(lab, observer)
    _make_ignored(observer, manifests)
    before = lab.drift()
    known = {event["metadata"]["uid"] for event in observer.get("events", "-A")["items"]}

    actors = Actors(lab.cluster.kubeconfig, manifests, everything)
    with ThreadPoolExecutor(AT_ONCE) as hands:
        made = dict(zip(cells, hands.map(partial(_act, actors), cells), strict=True))
    report = lab.drift()
    edited = _objects(observer)
    flux_diff, kubectl_diff = frozenset[str](), frozenset[str]()
    if diffs:
        clone = lab.repository.clone(folder / "clone")
        kustomizations = [owner for owner in _owners(cells) if owner in KUSTOMIZATIONS]
        flux_diff = frozenset(name for owner in kustomizations for name in _flux_diff(lab, owner, clone))
        kubectl_diff = _kubectl_diff(lab, [manifests[cell] for cell in cells if cell.edit.name != "new"])

    with watched(lab, folder / "releases.json") as conditions:
        reconcile(lab, observer)
    left = _objects(observer)
    events: dict[str, set[str]] = defaultdict(set)
    told = observer.get("events", "-A")["items"]
    for event in told:
        if event["metadata"]["uid"] not in known:
            for line in event["message"].splitlines():
                for word in line.split():
                    events[word].add(f"{event['reason']}: {line}")
    return Run(
        before=before,
        report=report,
        rest=lab.drift(),
        flux_diff=flux_diff,
        kubectl_diff=kubectl_diff,
        events={word: frozenset(said) for word, said in events.items()},
        conditions=frozenset(conditions),
        made={cell: _scaled(cell, told) if cell.actor == "hpa" else when for cell, when in made.items()},
        edited=edited,
        left=left,
    )


def _act(actors: Actors, cell: Cell) -> tuple[datetime, datetime]:
    began = datetime.now(UTC)
    actors.act(cell)
    return began, datetime.now(UTC)


def _scaled(cell: Cell, events: Sequence[Any]) -> tuple[datetime, datetime]:
    """When an autoscaler has acted, which nobody was there to see: as it says itself, in whole seconds."""
    place = {"kind": "HorizontalPodAutoscaler", "namespace": cell.owner, "name": cell.name}
    of_cell = [one for one in events if place.items() <= one["involvedObject"].items()]
    [at] = [datetime.fromisoformat(one["lastTimestamp"]) for one in of_cell if one["reason"] == "SuccessfulRescale"]
    return at - timedelta(seconds=1), at + timedelta(seconds=1)


def _owners(cells: Sequence[Cell]) -> list[str]:
    return list(dict.fromkeys(cell.owner for cell in cells))


def _manifest(cell: Cell) -> JsonObject:
    """The object of a cell as git has it; a new one bears the marks of the owner that does not know it."""
    annotations = {SSA: ANNOTATED[cell.owner]} if cell.owner in ANNOTATED else {}
    if cell.edit.kind == "Deployment":
        replicas = {"replicas": 1} if cell.edit.name == "scale" else {}
        return deployment(cell.name, namespace=cell.owner, annotations=annotations, **replicas)
    made = config_map(cell.name, namespace=cell.owner, **annotations)
    return merged(made, {"metadata": {"labels": _marks(cell.owner)}}) if cell.edit.name == "new" else made


def _marks(owner: str) -> JsonObject:
    """The labels by which Flux knows an owner's objects."""
    group = "kustomize.toolkit.fluxcd.io" if owner in KUSTOMIZATIONS else "helm.toolkit.fluxcd.io"
    return {f"{group}/name": owner, f"{group}/namespace": "flux-system"}


def _put_into_git(lab: Lab, manifests: Mapping[Cell, JsonObject]) -> None:
    root: list[JsonObject] = [SOURCE]
    for owner in _owners(list(manifests)):
        root.append(namespace(owner))
        known = [cell for cell in manifests if cell.owner == owner and cell.edit.name != "new"]
        if owner in KUSTOMIZATIONS:
            root.append(kustomization(owner, **KUSTOMIZATIONS[owner]))
            lab.repository.write(f"{owner}/all.yaml", [one for cell in known for one in _in_git(cell, manifests)])
        else:
            for name in dict.fromkeys(cell.release for cell in known):
                objects = [one for cell in known if cell.release == name for one in _in_git(cell, manifests)]
                root.append(release(name, objects, mode=owner, namespace=owner))
    lab.repository.write(ROOT, root)
    lab.converge(lab.repository.commit("Add all cells"), timeout_seconds=300)


def _suspend(lab: Lab, observer: Observer) -> None:
    """In git, once it has applied what it owns; all others apply that commit, too."""
    lab.repository.patch(ROOT, {"spec": {"suspend": True}}, kind="Kustomization", name="suspended")
    commit = lab.repository.commit("Suspend")

    def applied() -> bool:
        found = observer.get("kustomizations.kustomize.toolkit.fluxcd.io", "-A")["items"]
        return all(
            one["spec"].get("suspend") or one["status"]["lastAppliedRevision"].endswith(commit.sha) for one in found
        ) and any(one["spec"].get("suspend") for one in found)

    lab.wait_until(applied, what="all but the suspended one have applied the commit", timeout_seconds=120)


def _in_git(cell: Cell, manifests: Mapping[Cell, JsonObject]) -> Iterator[JsonObject]:
    """What git has for a cell."""
    yield manifests[cell]
    if cell.actor == "hpa":
        yield autoscaler(cell.name, namespace=cell.owner, least=2, most=3)


def _make_ignored(observer: Observer, manifests: Mapping[Cell, JsonObject]) -> None:
    """Flux never makes an object that is to be ignored: it is made as Flux would have."""
    for cell, manifest in manifests.items():
        if cell.owner == "ignore" and cell.edit.name != "new":
            words = ("apply", "--server-side", "--field-manager=kustomize-controller", "-f", "-")
            marked = merged(manifest, {"metadata": {"labels": _marks(cell.owner)}})
            observer.kubectl(*words, stdin=json.dumps(marked))


def _objects(observer: Observer) -> dict[str, Any]:
    items = observer.get("configmaps,deployments", "-A", "--show-managed-fields")["items"]
    return {f"{one['kind']} {one['metadata']['namespace']}/{one['metadata']['name']}": one for one in items}


def _flux_diff(lab: Lab, owner: str, clone: Path) -> Iterator[str]:
    words = [str(find().binary("flux")), f"--kubeconfig={lab.cluster.kubeconfig}", "diff", "kustomization", owner]
    done = subprocess.run([*words, f"--path={clone / owner}"], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    # ► ConfigMap/override/modify-edit drifted; what is exempt is named, too, whether it differs or not: skipped
    for line in done.stdout.splitlines():
        if line.startswith("► ") and not line.endswith(" skipped"):
            yield line.split()[1]


def _kubectl_diff(lab: Lab, manifests: Sequence[JsonObject]) -> frozenset[str]:
    words = [str(find().binary("kubectl")), f"--kubeconfig={lab.cluster.kubeconfig}", "diff", "-f", "-"]
    done = subprocess.run(
        words,
        input=yaml.safe_dump_all(manifests),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode in {0, 1}, done.stderr
    # diff -u -N /tmp/LIVE-1/v1.ConfigMap.override.modify-kubectl /tmp/MERGED-2/v1.ConfigMap.override.modify-kubectl
    files = [line.rpartition("/")[2] for line in done.stdout.splitlines() if line.startswith("diff ")]
    parts = [file.rsplit(".", 3) for file in files]
    return frozenset(f"{kind} {namespace}/{name}" for *_, kind, namespace, name in parts)


@contextmanager
def watched(lab: Lab, file: Path) -> Iterator[set[str]]:
    """What the condition Drifted of all HelmReleases says while the block runs, word by word, once it has ended.

    Where helm-controller corrects it is true for a second only: kubectl watches.
    """
    words = (str(find().binary("kubectl")), f"--kubeconfig={lab.cluster.kubeconfig}", "get", RELEASES_OF_FLUX, "-A")
    drifted: set[str] = set()

    def told() -> Iterator[Any]:
        text, place, decoder = file.read_text(), 0, json.JSONDecoder()
        while (place := text.find("{", place)) >= 0:
            try:
                found, place = decoder.raw_decode(text, place)
            except ValueError:  # the last one is being written
                return
            yield found

    def up_to_date() -> bool:
        now = json.loads(subprocess.run([*words, "-o", "json"], capture_output=True, check=True).stdout)["items"]
        versions = {(one["metadata"]["uid"], one["metadata"]["resourceVersion"]) for one in now}
        return versions <= {(one["metadata"]["uid"], one["metadata"]["resourceVersion"]) for one in told()}

    with file.open("w") as output, subprocess.Popen([*words, "--watch", "-o", "json"], stdout=output) as watching:
        try:
            lab.wait_until(up_to_date, what="kubectl watches")
            yield drifted
            lab.wait_until(up_to_date, what="kubectl has seen everything")
        finally:
            watching.terminate()
    for release_ in told():
        for condition in release_.get("status", {}).get("conditions", ()):
            if (condition["type"], condition["status"]) == ("Drifted", "True"):
                drifted.update(condition["message"].split())


def reconcile(lab: Lab, observer: Observer) -> None:
    """Have Flux look at everything once more, and wait until it has."""
    kinds = ("kustomizations.kustomize.toolkit.fluxcd.io", RELEASES_OF_FLUX)
    token = "look-once-more"
    # Not the root: it owns the others, and would take the request away, which kubectl adds to what git says of them.
    below_root = ("--all-namespaces", "--field-selector=metadata.name!=flux-system")
    for kind in kinds:
        observer.kubectl("annotate", kind, *below_root, "--overwrite", f"reconcile.fluxcd.io/requestedAt={token}")

    def handled() -> bool:
        owners = [owner for kind in kinds for owner in observer.get(kind, *below_root)["items"]]
        return all(owner["status"].get("lastHandledReconcileAt") == token and _rests(owner) for owner in owners)

    lab.wait_until(handled, what="every owner has looked again", timeout_seconds=240)


def _rests(owner: Any) -> bool:
    conditions = {condition["type"]: condition["status"] for condition in owner["status"]["conditions"]}
    correcting = conditions.get("Drifted") == "True" and owner["spec"]["driftDetection"]["mode"] == "enabled"
    return conditions["Ready"] != "Unknown" and "Reconciling" not in conditions and not correcting
