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
from fluxlab.faults.base import Fault, Ground, Injection, Plan
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
        self.kind = "Opaque"
        self.labels: dict[str, Json] = {"app": "shop"}
        self.owners: dict[tuple[str, str], set[str]] = {("ada", "Update"): {".", *BEFORE}}
        self.times = {("ada", "Update"): "0"}
        self.writes = 0
        self.stamped: str | None = None
        """What admission puts into a Secret that is made."""
        self.seconds = ["99"]
        """What the clock says, one look after the other, and in the end for good."""

    def find(self, resource: Resource, name: str, **_: object) -> KubeObject | None:
        assert (resource, name) == (SECRET, "token")
        entries = [
            {
                "manager": who,
                "operation": how,
                "time": self.times[who, how],
                "fieldsV1": {"f:data": {_named(key): {} for key in sorted(keys)}},
            }
            for (who, how), keys in self.owners.items()
        ]
        metadata: dict[str, Any] = {"name": "token", "namespace": "shop", "resourceVersion": "7", "uid": "1"}
        metadata |= {"managedFields": entries, "labels": self.labels}
        metadata |= {"annotations": {"stamp": self.stamped}} if self.stamped else {}
        metadata |= {"finalizers": self.finalizers} if self.finalizers else {}
        metadata |= {"deletionTimestamp": "2026-01-01T00:00:00Z"} if self.deleting else {}
        content = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": dict(self.data or {})}
        content |= {"type": self.kind}
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
        self.writes += 1
        self.times[who, how] = str(self.writes)
        self._forget_nobodies()

    def _forget_nobodies(self) -> None:
        self.owners = {who: keys for who, keys in self.owners.items() if keys}

    def apply(self, path: str, manifest: Any, *, field_manager: str, dry_run: bool = False) -> KubeObject:
        assert path == SECRET.path(namespace="shop", name="token")
        if not dry_run:
            self.write(manifest["data"], who=field_manager, how="Apply")
            return self.get(SECRET, "token")
        now = self.seconds.pop(0) if len(self.seconds) > 1 else self.seconds[0]
        mine: Json = {"manager": field_manager, "operation": "Apply", "time": now, "fieldsV1": {}}
        return KubeObject({**manifest, "metadata": {**manifest["metadata"], "managedFields": [mine]}})

    def create(self, _: Resource, manifest: Any, *, field_manager: str, **__: object) -> KubeObject:
        assert self.data is None
        self.write(manifest["data"], who=field_manager)
        self.kind, self.labels = manifest["type"], manifest["metadata"]["labels"]
        self.stamped = "now" if self.stamped else None
        return self.get(SECRET, "token")

    def request(self, method: str, _: str, *, body: Any, **__: object) -> JsonObject:
        assert method == "PUT"
        assert body["data"] == self.data, "who writes a value owns it, whatever it says itself"
        self.owners = {
            (entry["manager"], entry["operation"]): {key.removeprefix("f:") for key in entry["fieldsV1"]["f:data"]}
            for entry in body["metadata"]["managedFields"]
        }
        self.times = {
            (entry["manager"], entry["operation"]): entry["time"] for entry in body["metadata"]["managedFields"]
        }
        self._forget_nobodies()
        return self.get(SECRET, "token").raw

    def make_wrong(self, *, data: Mapping[str, str] = BEFORE, kind: str = "Opaque") -> None:
        """What a heal would leave that gives its owners something else than they had."""
        self.data, self.kind = encoded(data), kind
        self.owners, self.times = {("ada", "Update"): {".", *BEFORE}}, {("ada", "Update"): "0"}

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


def plan_of(name: str, seed: int) -> Plan:
    fault = CATALOGUE[name]
    return fault.plan(grounded(Api()), PLACE, fault.parameters(), Random(seed))  # noqa: S311


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
    api.write(encoded(BEFORE), who="fluxlab-heal")
    fault.heal(ground, injection)
    assert api.owners == {("ada", "Update"): {".", *BEFORE}}


def test_a_secret_that_admission_changes_each_time_is_back_and_belongs_to_its_owner(api: Api) -> None:
    api.stamped = "then"
    fault, ground, injection = put_in(api, "secret-missing")
    for _ in range(2):
        fault.heal(ground, injection)
        assert api.stamped == "now"
        assert api.owners == {("ada", "Update"): {".", *BEFORE}}
        assert fault.healed(ground, injection)


@pytest.mark.parametrize("name", VALUE_FAULTS)
def test_a_secret_that_is_not_there_any_more_holds_nothing_of_the_fault(api: Api, name: str) -> None:
    fault, ground, injection = put_in(api, name)
    api.delete()
    fault.heal(ground, injection)
    assert fault.healed(ground, injection)
    assert api.data is None


@pytest.mark.parametrize("name", VALUE_FAULTS)
def test_one_seed_puts_the_same_values_in(name: str) -> None:
    first, again = Api(), Api()
    put_in(first, name)
    put_in(again, name)
    assert first.values == again.values
    assert plan_of(name, 1) == plan_of(name, 1)


def test_each_rotated_value_is_its_own_and_another_seed_has_others() -> None:
    values: list[str] = []
    for seed in (1, 2):
        api, fault = Api(), CATALOGUE["secret-rotated"]
        undo = plan_of(fault.name, seed).undo
        fault.inject(grounded(api), Injection(id="secret-1", target=PLACE, parameters=fault.parameters(), undo=undo))
        values += api.values.values()
    assert len({*values, *BEFORE.values()}) == 6


def test_a_value_that_the_same_seed_has_left_there_is_rotated_all_the_same(api: Api) -> None:
    put_in(api, "secret-rotated")
    left = dict(api.values)
    put_in(api, "secret-rotated")
    assert not [key for key, value in api.values.items() if value == left[key]]


@pytest.mark.parametrize("name", VALUE_FAULTS)
def test_no_value_is_told(api: Api, name: str) -> None:
    fault, ground, injection = put_in(api, name)
    given = set(api.values.values())
    told = [repr(injection), repr(plan_of(name, 1)), fault.injected(ground, injection)]
    fault.heal(ground, injection)
    told += [fault.healed(ground, injection)]
    hidden = {one for value in {*given, *BEFORE.values()} - {""} for one in (value, *encoded({"": value}).values())}
    assert not [value for value in hidden for text in told if value in text]


@pytest.mark.parametrize(
    "wrong",
    [{"data": {**BEFORE, "B": "x"}}, {"data": {"A": "old-a"}}, {"kind": "kubernetes.io/tls"}],
    ids=["a value", "a key less", "the type"],
)
def test_a_secret_that_is_made_anew_as_another_one_is_not_healed(api: Api, wrong: dict[str, Any]) -> None:
    fault, ground, injection = put_in(api, "secret-missing")
    api.make_wrong(**wrong)
    assert not fault.healed(ground, injection)


def test_a_secret_that_was_made_anew_and_given_to_nobody_yet_is_not_healed(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault, ground, injection = put_in(api, "secret-missing")
    with monkeypatch.context() as cut_off:
        cut_off.setattr(api, "request", lambda *_, **__: {})
        fault.heal(ground, injection)
    assert api.values == BEFORE
    assert not fault.healed(ground, injection)
    fault.heal(ground, injection)
    assert fault.healed(ground, injection)


def test_a_wrong_secret_that_was_given_to_nobody_yet_is_not_healed(api: Api) -> None:
    fault, ground, injection = put_in(api, "secret-missing")
    wrong = {"metadata": {"labels": api.labels}, "type": api.kind, "data": encoded({"A": "x"})}
    api.create(SECRET, wrong, field_manager="fluxlab-heal")
    assert not fault.healed(ground, injection)


def test_a_secret_that_its_owner_has_made_anew_is_healed(api: Api) -> None:
    fault, ground, injection = put_in(api, "secret-missing")
    api.write(encoded({"A": "new-a"}), who="ada")
    fault.heal(ground, injection)
    assert api.values == {"A": "new-a"}
    assert "ada" in fault.healed(ground, injection)


@pytest.mark.parametrize("name", VALUE_FAULTS)
def test_values_that_belong_to_their_owner_and_are_not_back_are_not_healed(api: Api, name: str) -> None:
    fault, ground, injection = put_in(api, name)
    there = dict(api.values)
    api.make_wrong(data={"A": "old-a", "B": "x"})
    assert not fault.healed(ground, injection)
    api.make_wrong(data=there)
    assert not fault.healed(ground, injection)
    fault.heal(ground, injection)
    assert api.values == BEFORE
    assert fault.healed(ground, injection)


@pytest.mark.parametrize("name", [*VALUE_FAULTS, "secret-missing"])
def test_nobody_who_writes_after_a_fault_has_the_time_of_who_wrote_before(api: Api, name: str) -> None:
    """Times are whole seconds: the same owner's, within one, would tell nothing."""
    api.seconds = ["0", "0", "1"]
    put_in(api, name)
    assert api.seconds == ["1"]


@pytest.mark.parametrize("who", ["ada", "eve"])
@pytest.mark.parametrize("name", VALUE_FAULTS)
def test_what_somebody_wants_since_is_healed_whatever_it_is(api: Api, name: str, who: str) -> None:
    fault, ground, injection = put_in(api, name)
    wanted = {"A": "new-a", "B": api.values["B"]}  # which is the fault's
    api.write(encoded(wanted), who=who)
    fault.heal(ground, injection)
    assert api.values == wanted
    assert who in fault.healed(ground, injection)


@pytest.mark.parametrize("name", VALUE_FAULTS)
def test_a_key_that_somebody_has_taken_away_is_not_brought_back(api: Api, name: str) -> None:
    fault, ground, injection = put_in(api, name)
    assert api.data
    del api.data["B"]
    for keys in api.owners.values():
        keys.discard("B")
    fault.heal(ground, injection)
    assert api.values == {"A": "old-a"}
    assert "B is not there any more" in fault.healed(ground, injection)
