"""What becomes of a Secret after a fault: only what the fault itself has put there is taken away."""

import base64
from collections.abc import Mapping, Sequence
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fluxlab.cluster import Cluster
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import SECRET, Resource
from fluxlab.documents import Json, JsonObject
from fluxlab.errors import UsageError
from fluxlab.faults.base import Fault, Ground, Injection
from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.faults.layers.secrets import MALFORMED

PLACE, BEFORE = "shop/token", {"A": "old-a", "B": "old-b"}
VALUE_FAULTS = ("secret-empty", "secret-malformed", "secret-rotated")


def encoded(values: Mapping[str, str]) -> dict[str, str]:
    return {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}


def _named(key: str) -> str:
    """As a field set has it."""
    return key if key == "." else f"f:{key}"


class Api:
    """An API server with one Secret, or none: who writes a value owns it."""

    def __init__(self) -> None:
        self.data: dict[str, str] | None = encoded(BEFORE)
        self.finalizers: list[Json] = []
        self.deleting = False
        self.owners: dict[tuple[str, str], set[str]] = {("ada", "Update"): {".", *BEFORE}}

    def find(self, resource: Resource, name: str, **_: object) -> KubeObject | None:
        assert (resource, name) == (SECRET, "token")
        entries = [
            {"manager": who, "operation": how, "fieldsV1": {"f:data": {_named(key): {} for key in sorted(keys)}}}
            for (who, how), keys in self.owners.items()
        ]
        metadata: dict[str, Any] = {"name": "token", "namespace": "shop", "resourceVersion": "7", "uid": "1"}
        metadata |= {"managedFields": entries}
        metadata |= {"finalizers": self.finalizers} if self.finalizers else {}
        metadata |= {"deletionTimestamp": "2026-01-01T00:00:00Z"} if self.deleting else {}
        content = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": dict(self.data or {})}
        return None if self.data is None else KubeObject(cast("JsonObject", content))

    def get(self, resource: Resource, name: str, **_: object) -> KubeObject:
        found = self.find(resource, name)
        assert found
        return found

    def list(self, *_: object, **__: object) -> Sequence[KubeObject]:
        return ()

    def write(self, data: Mapping[str, str], *, who: str, how: str = "Update") -> None:
        """Somebody writes values."""
        self.data = {**(self.data or {}), **data}
        for keys in self.owners.values():
            keys.difference_update(data, "." if how == "Apply" else ())
        self.owners[who, how] = self.owners.get((who, how), set()) | set(data)
        self._forget_nobodies()

    def _forget_nobodies(self) -> None:
        self.owners = {who: keys for who, keys in self.owners.items() if keys}

    def apply(self, path: str, manifest: Any, *, field_manager: str) -> None:
        assert path == SECRET.path(namespace="shop", name="token")
        self.write(manifest["data"], who=field_manager, how="Apply")

    def create(self, _: Resource, manifest: Any, **__: object) -> KubeObject:
        assert self.data is None
        self.write(manifest["data"], who="fluxlab")
        return self.get(SECRET, "token")

    def request(self, method: str, _: str, *, body: Any, **__: object) -> JsonObject:
        assert method == "PUT"
        assert body["data"] == self.data, "who writes a value owns it, whatever it says itself"
        self.owners = {
            (entry["manager"], entry["operation"]): {key.removeprefix("f:") for key in entry["fieldsV1"]["f:data"]}
            for entry in body["metadata"]["managedFields"]
        }
        self._forget_nobodies()
        return self.get(SECRET, "token").raw

    def delete(self, *_: object, **__: object) -> None:
        self.deleting = bool(self.finalizers)
        if not self.deleting:
            self.data, self.owners = None, {}

    def finish(self) -> None:
        """Whoever has put a finalizer there has done what is to be done before the end."""
        self.finalizers, was = [], self.deleting
        if was:
            self.delete()

    @property
    def values(self) -> Mapping[str, str]:
        return {key: base64.b64decode(value).decode() for key, value in (self.data or {}).items()}


@pytest.fixture
def api() -> Api:
    return Api()


def grounded(api: Api) -> Ground:
    unused = cast("Any", None)
    cluster = cast("Cluster", SimpleNamespace(api=api, kustomization=unused))
    return Ground(cluster=cluster, folder=unused, control=unused, open_repository=lambda: unused, links=False)


def planned(api: Api, name: str, **chosen: object) -> tuple[Fault[Any], Ground, Injection[Any]]:
    """A fault that is not in yet."""
    fault, ground = CATALOGUE[name], grounded(api)
    parameters = fault.parameters(**chosen)
    plan = fault.plan(ground, PLACE, parameters, Random(1))  # noqa: S311
    return fault, ground, Injection(id="secret-1", target=PLACE, parameters=parameters, undo=plan.undo)


def put_in(api: Api, name: str, **chosen: object) -> tuple[Fault[Any], Ground, Injection[Any]]:
    """A fault that is in."""
    fault, ground, injection = planned(api, name, **chosen)
    fault.inject(ground, injection)
    assert fault.injected(ground, injection)
    assert not fault.healed(ground, injection)
    return fault, ground, injection


@pytest.fixture(autouse=True)
def _nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fluxlab.faults.layers.secrets.followers", lambda _: ())


READER = KubeObject(
    {
        "kind": "Kustomization",
        "metadata": {"name": "shop", "namespace": "shop"},
        "spec": {"postBuild": {"substituteFrom": [{"kind": "Secret", "name": "token"}]}},
    }
)


@pytest.mark.parametrize(
    ("finalizers", "deleting", "faults"),
    [([], False, {*VALUE_FAULTS, "secret-missing"}), (["x/y"], False, {*VALUE_FAULTS}), (["x/y"], True, set())],
)
def test_a_secret_that_cannot_go_or_be_kept_is_no_target(
    api: Api, monkeypatch: pytest.MonkeyPatch, finalizers: list[Json], deleting: bool, faults: set[str]
) -> None:
    monkeypatch.setattr("fluxlab.faults.layers.secrets.followers", lambda _: (READER,))
    api.finalizers, api.deleting = finalizers, deleting
    found = {name: CATALOGUE[name].candidates(grounded(api)) for name in (*VALUE_FAULTS, "secret-missing")}
    assert found == {name: [PLACE] if name in faults else [] for name in found}


def test_a_secret_on_its_way_out_is_not_there(api: Api) -> None:
    fault, ground, injection = planned(api, "secret-missing")
    api.finalizers = ["x/y"]  # somebody has put it there since
    fault.inject(ground, injection)
    assert not fault.injected(ground, injection)
    fault.heal(ground, injection)
    assert not fault.healed(ground, injection)
    api.finish()
    assert not fault.healed(ground, injection)
    fault.heal(ground, injection)
    assert fault.healed(ground, injection)
    assert api.values == BEFORE


@pytest.mark.parametrize(("name", "there"), [("secret-empty", ""), ("secret-malformed", MALFORMED)])
def test_a_value_that_is_as_the_fault_would_have_it_already_is_not_meant(api: Api, name: str, there: str) -> None:
    api.data = encoded({"A": there, "B": "old-b"})
    fault, ground, injection = put_in(api, name)
    assert api.owners["fluxlab-fault", "Apply"] == {"B"}
    fault.heal(ground, injection)
    assert api.values == {"A": there, "B": "old-b"}
    assert api.owners == {("ada", "Update"): {".", *BEFORE}}
    with pytest.raises(UsageError, match="nothing to change"):
        planned(api, name, key="A")


@pytest.mark.parametrize(("name", "there"), [("secret-empty", ""), ("secret-malformed", MALFORMED)])
def test_a_secret_whose_values_are_all_as_the_fault_would_have_them_is_refused(api: Api, name: str, there: str) -> None:
    api.data = encoded({"A": there, "B": there})
    with pytest.raises(UsageError, match="nothing to change") as raised:
        planned(api, name)
    assert [one.rpartition(" ")[2] for one in raised.value.facts] == ["A", "B"]
    assert planned(api, "secret-rotated"), "another value than before shows in any case"


@pytest.mark.parametrize("name", [*VALUE_FAULTS, "secret-missing"])
def test_what_nobody_has_touched_is_as_it_was_and_belongs_to_whom_it_belonged(api: Api, name: str) -> None:
    fault, ground, injection = put_in(api, name)
    for _ in range(2):
        fault.heal(ground, injection)
        assert api.values == BEFORE
        assert api.owners == {("ada", "Update"): {".", *BEFORE}}
        assert fault.healed(ground, injection)


@pytest.mark.parametrize("name", VALUE_FAULTS)
def test_a_value_that_somebody_has_set_meanwhile_stays(api: Api, name: str) -> None:
    fault, ground, injection = put_in(api, name)
    api.write(encoded({"B": "new-b", "C": "new-c"}), who="eve")
    assert not fault.healed(ground, injection)
    fault.heal(ground, injection)
    assert api.values == {"A": "old-a", "B": "new-b", "C": "new-c"}
    assert api.owners == {("ada", "Update"): {".", "A"}, ("eve", "Update"): {"B", "C"}}
    assert fault.healed(ground, injection)


def test_a_key_that_was_not_meant_is_nobodys_to_give_back(api: Api) -> None:
    fault, ground, injection = put_in(api, "secret-rotated", key="A")
    api.write(encoded({"B": "new-b"}), who="eve")
    fault.heal(ground, injection)
    assert api.values == {"A": "old-a", "B": "new-b"}
    assert fault.healed(ground, injection)


def test_a_secret_that_somebody_has_made_anew_stays_as_it_is(api: Api) -> None:
    fault, ground, injection = put_in(api, "secret-missing")
    api.write(encoded({"A": "new-a"}), who="eve")
    assert fault.healed(ground, injection)
    fault.heal(ground, injection)
    assert api.values == {"A": "new-a"}
    assert api.owners == {("eve", "Update"): {"A"}}


def test_a_making_that_was_cut_off_is_brought_to_its_end(api: Api) -> None:
    fault, ground, injection = put_in(api, "secret-missing")
    api.write(encoded(BEFORE), who="fluxlab")
    fault.heal(ground, injection)
    assert api.owners == {("ada", "Update"): {".", *BEFORE}}


@pytest.mark.parametrize("name", VALUE_FAULTS)
def test_a_secret_that_is_not_there_any_more_holds_nothing_of_the_fault(api: Api, name: str) -> None:
    fault, ground, injection = put_in(api, name)
    api.delete()
    fault.heal(ground, injection)
    assert fault.healed(ground, injection)
    assert api.data is None
