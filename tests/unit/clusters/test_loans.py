"""Fields that are lent come back as they were, with those whose they were; what somebody wrote since stays theirs.

The managed fields are those that this API server was seen to keep.
"""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from fluxlab.clusters.loans import (
    BORROWER,
    NOTE,
    SUSPEND,
    Path,
    as_before,
    give_back,
    is_lent,
    is_noted,
    lend,
    taken_over,
)
from fluxlab.clusters.objects import KubeObject, dig, items_at
from fluxlab.documents import Json, JsonObject

MODE: Path = ("spec", "driftDetection", "mode")
ASKED: Path = ("metadata", "annotations", "reconcile.fluxcd.io/requestedAt")
LEND: Mapping[Path, Json] = {MODE: "warn", SUSPEND: True, ASKED: "now"}
FINALIZER: JsonObject = {
    "manager": "helm-controller",
    "operation": "Update",
    "fieldsV1": {"f:metadata": {"f:finalizers": {".": {}}}},
}


def entry(manager: str, operation: str, spec: JsonObject, **metadata: JsonObject) -> JsonObject:
    owned = {"f:metadata": metadata} if metadata else {}
    return {"manager": manager, "operation": operation, "time": "t", "fieldsV1": {**owned, "f:spec": spec}}


def applied(**spec: Json) -> JsonObject:
    return entry("kustomize-controller", "Apply", {"f:interval": {}, **spec})


def subject(*entries: JsonObject, mode: str, annotations: JsonObject | None = None, **spec: Json) -> KubeObject:
    metadata: JsonObject = {"name": "cart", "namespace": "shop", "managedFields": [*entries, FINALIZER]}
    noted: JsonObject = {"annotations": annotations} if annotations is not None else {}
    spec = {"interval": "1h", "driftDetection": {"mode": mode}, **spec}
    return KubeObject({"kind": "HelmRelease", "metadata": {**metadata, **noted}, "spec": spec})


FREE = subject(applied(**{"f:driftDetection": {"f:mode": {}}}), mode="enabled", annotations={})
NOTED = str(dig(lend(FREE, LEND).raw, *NOTE))
ANNOTATIONS: JsonObject = {NOTE[-1]: NOTED, ASKED[-1]: "now"}
OWN: Mapping[str, JsonObject] = {"f:annotations": {f"f:{name}": {} for name in ANNOTATIONS}}
BORROWED = entry(BORROWER, "Update", {"f:driftDetection": {"f:mode": {}}, "f:suspend": {}}, **OWN)
HELD = subject(applied(), BORROWED, mode="warn", annotations=ANNOTATIONS, suspend=True)
"""As the API server keeps what `lend` wrote."""


def test_what_is_lent_is_set_and_noted_on_the_object() -> None:
    held = lend(FREE, LEND)
    assert {path: dig(held.raw, *path) for path in LEND} == LEND
    assert dig(held.raw, "spec", "interval") == "1h"
    assert is_noted(held)
    assert [is_lent(HELD, path) for path in LEND] == [True, True, True]
    assert not is_noted(FREE)
    assert not is_lent(FREE, MODE)


def test_all_comes_back_with_those_whose_it_was() -> None:
    assert as_before(HELD) == FREE
    assert as_before(FREE) is FREE
    assert taken_over(HELD) == []


def test_values_come_back_first_and_their_owners_with_the_note() -> None:
    first = give_back(HELD)
    assert first
    assert (dig(first.raw, *MODE), dig(first.raw, *SUSPEND), is_noted(first)) == ("enabled", True, True)
    assert not is_lent(first, MODE)
    last = give_back(first)  # whoever writes a value owns it: the managed fields are the same
    assert last == FREE
    assert give_back(FREE) is None


def test_an_owner_of_nothing_else_is_there_again() -> None:
    only = entry("kubectl-create", "Update", {"f:driftDetection": {"f:mode": {}}})
    free = subject(only, mode="enabled", annotations={})
    borrowed = entry(BORROWER, "Update", {"f:driftDetection": {"f:mode": {}}}, **OWN)
    note: JsonObject = {NOTE[-1]: dig(lend(free, {MODE: "warn"}).raw, *NOTE)}
    back = as_before(subject(borrowed, mode="warn", annotations=note))
    assert list(items_at(back.raw, "metadata", "managedFields")) == [FINALIZER, only]


@pytest.mark.parametrize("mode", ["disabled", "enabled", "warn"])
def test_what_somebody_wrote_since_is_theirs(mode: str) -> None:
    by_alice = entry("kubectl-edit", "Update", {"f:driftDetection": {"f:mode": {}}})
    rest = entry(BORROWER, "Update", {}, **OWN)
    held = subject(applied(), rest, by_alice, mode=mode, annotations=ANNOTATIONS)  # and suspended no more
    assert taken_over(held) == [MODE, SUSPEND]
    back = give_back(held)
    assert back
    assert (dig(back.raw, *MODE), dig(back.raw, *SUSPEND), is_noted(back)) == (mode, None, False)
    assert dig(back.raw, "metadata", "managedFields") == [applied(), by_alice, FINALIZER]


def test_what_is_lent_one_after_the_other_comes_back_together() -> None:
    first = {path: value for path, value in LEND.items() if path != SUSPEND}
    own = entry(BORROWER, "Update", {"f:driftDetection": {"f:mode": {}}}, **OWN)
    annotations: JsonObject = {**ANNOTATIONS, NOTE[-1]: dig(lend(FREE, first).raw, *NOTE)}
    again = lend(subject(applied(), own, mode="warn", annotations=annotations), {SUSPEND: True, ASKED: "later"})
    note: JsonObject = {NOTE[-1]: dig(again.raw, *NOTE), ASKED[-1]: "later"}
    assert as_before(subject(applied(), BORROWED, mode="warn", annotations=note, suspend=True)) == FREE


def test_what_is_lent_again_goes_back_to_how_it_was_at_first() -> None:
    by_alice = entry("kubectl-edit", "Update", {"f:driftDetection": {"f:mode": {}}})
    annotations: JsonObject = {**ANNOTATIONS}
    borrowed = entry(BORROWER, "Update", {"f:suspend": {}}, **OWN)
    resumed = subject(applied(), borrowed, by_alice, mode="enabled", annotations=annotations, suspend=True)
    again = lend(resumed, LEND)
    entries = [applied(), BORROWED, FINALIZER]
    stored = replace(again, raw={**again.raw, "metadata": {**_metadata(again), "managedFields": entries}})
    back = as_before(stored)
    assert (dig(back.raw, *MODE), dig(back.raw, *SUSPEND), dig(back.raw, *ASKED)) == ("enabled", None, None)
    assert list(items_at(back.raw, "metadata", "managedFields")) == [applied(), FINALIZER, by_alice]


def _metadata(of: KubeObject) -> JsonObject:
    metadata = of.raw["metadata"]
    assert isinstance(metadata, Mapping)
    return metadata


@pytest.mark.parametrize("note", ["", "x", "{}", "[1]", '[{"path": "spec"}]', '[{"path": [], "owners": [1]}]'])
def test_a_note_that_means_nothing_is_taken_away_and_told(note: str) -> None:
    held = subject(applied(), BORROWED, mode="warn", annotations={NOTE[-1]: note}, suspend=True)
    assert taken_over(held) == [NOTE]
    back = give_back(held)
    assert back
    assert (dig(back.raw, *MODE), dig(back.raw, *SUSPEND), is_noted(back)) == ("warn", True, False)
