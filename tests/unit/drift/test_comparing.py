"""What is compared is one state of an object: what somebody changes in between is not taken for git's wish."""

from typing import cast

import pytest

from fluxlab.clusters.api import ApiError, KubeApi
from fluxlab.clusters.objects import KubeObject, dig, having, items_at, text_at
from fluxlab.clusters.resources import DEPLOYMENT, KUSTOMIZATION, SECRET, SERVICE, Resource
from fluxlab.documents import Json, JsonObject
from fluxlab.drift.comparing import MOST_LOOKS, Compared, compare_object
from fluxlab.drift.desired import Desired
from fluxlab.drift.live import Live

FLUX = "kustomize-controller"
PLACE: JsonObject = {"name": "cart", "namespace": "shop"}
WANTED = KubeObject(
    {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": PLACE, "spec": {"paused": False}},
)


def there(version: int, replicas: int, *, paused: bool = True) -> KubeObject:
    """The Deployment as it was once: git says whether it is paused, an autoscaler how many there are."""
    owned: JsonObject = {"f:spec": {"f:paused": {}}}
    entry: Json = {"manager": FLUX, "operation": "Apply", "fieldsV1": owned}
    metadata: JsonObject = {**PLACE, "resourceVersion": f"{version}", "managedFields": [entry]}
    return KubeObject({**WANTED.raw, "metadata": metadata, "spec": {"paused": paused, "replicas": replicas}})


class Api:
    """An API server whose object goes from one state to the next just before each dry run."""

    def __init__(self) -> None:
        self.states: list[KubeObject | None] = []
        self.asked = 0
        self.made = 0
        self.refusal: ApiError | None = None

    def apply(self, path: str, manifest: JsonObject, *, field_manager: str, dry_run: bool) -> KubeObject:
        assert (path, manifest, field_manager, dry_run) == (
            DEPLOYMENT.path(namespace="shop", name="cart"),
            WANTED.raw,
            FLUX,
            True,
        )
        self.asked += 1
        if len(self.states) > 1:
            self.states.pop(0)
        now = self.states[0]
        if now is None:
            return WANTED  # it would be made
        return KubeObject(having(now.raw, ("spec", "paused"), False))

    def create(self, resource: Resource, manifest: JsonObject, *, namespace: str, dry_run: bool) -> KubeObject:
        assert (resource, namespace, dry_run) == (DEPLOYMENT, "shop", True)
        assert manifest == having(WANTED.raw, ("metadata",), {"namespace": "shop", "generateName": "fluxlab-"})
        self.made += 1
        if self.refusal:
            raise self.refusal
        return KubeObject(having(manifest, ("spec", "replicas"), 1))

    def find(self, resource: Resource, name: str, *, namespace: str | None) -> KubeObject | None:
        assert (resource, name, namespace) == (DEPLOYMENT, "cart", "shop")
        return self.states[0]


def compared(first: KubeObject, *later: KubeObject | None, api: Api | None = None) -> tuple[Compared, Api]:
    """What is told of an object that was listed in its first state."""
    owner = KubeObject({"kind": "Kustomization", "metadata": {"name": "apps", "namespace": "flux-system"}})
    api = api or Api()
    api.states = [first, *later]
    served = {("apps/v1", "Deployment"): DEPLOYMENT}
    listed = Live({DEPLOYMENT: {("shop", "cart"): first}}, {})
    desired = Desired(owner=owner, chain=[], manifests=[WANTED])
    return compare_object(cast("KubeApi", api), served, listed, desired, WANTED, digest_key=b"key"), api


def fields(told: Compared) -> list[tuple[str, str | None, str | None]]:
    return [(one.change.field, one.change.before, one.change.after) for one in told.fields]


PAUSED = (".spec.paused", "true", "false")


def test_what_rests_is_looked_at_once() -> None:
    told, api = compared(there(1, 2))
    assert (fields(told), api.asked) == ([PAUSED], 1)


def test_what_is_scaled_meanwhile_is_not_taken_for_what_git_wants() -> None:
    told, api = compared(there(1, 3), there(2, 2))
    assert (fields(told), api.asked) == ([PAUSED], 2)
    assert told.live is not None
    assert told.live.resource_version == "2"


def test_what_is_put_right_meanwhile_is_no_drift() -> None:
    told, api = compared(there(1, 3), there(2, 3, paused=False))
    assert (told.differs, told.unknown, api.asked) == (False, "", 1)


def test_what_goes_meanwhile_is_deleted() -> None:
    told, _ = compared(there(1, 3), None)
    assert (told.differs, told.live, told.unknown) == (True, None, "")


def test_what_waits_for_its_finalizers_differs_although_it_is_as_git_wants_it() -> None:
    going = having(there(1, 2, paused=False).raw, ("metadata", "deletionTimestamp"), "2026-11-22T12:00:00Z")
    told, _ = compared(KubeObject(going))
    assert (told.differs, told.unknown, fields(told)) == (True, "", [])


def test_what_never_rests_is_unknown() -> None:
    told, api = compared(*(there(version, version % 2) for version in range(20)))
    assert api.asked == MOST_LOOKS
    assert "it was changed each of 5 times that it was looked at" in told.unknown
    assert not told.differs


def test_what_is_refused_is_unknown_and_is_told_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> KubeObject:
        raise ApiError("PATCH cart", status=422, message="spec.selector: field is immutable")

    monkeypatch.setattr(Api, "apply", refuse)
    told, _ = compared(there(1, 2))
    assert (told.refused, told.live, fields(told)) == (True, there(1, 2), [])


def by_update(replicas: int, *, api: Api) -> Compared:
    """The Deployment as somebody made it without applying it: everything in it is theirs."""
    made = there(1, replicas, paused=False)
    owned: JsonObject = {"f:spec": {"f:paused": {}, "f:replicas": {}}}
    entry: Json = {"manager": "kubectl-create", "operation": "Update", "fieldsV1": owned}
    return compared(KubeObject(having(made.raw, ("metadata", "managedFields"), [entry])), api=api)[0]


def test_what_the_server_fills_in_is_not_added_by_who_made_the_object() -> None:
    api = Api()
    assert (fields(by_update(1, api=api)), api.made) == ([], 1)
    assert fields(by_update(3, api=api)) == [(".spec.replicas", "3", None)]


def test_where_no_second_object_can_be_made_all_that_may_be_a_default_is_told() -> None:
    api = Api()
    api.refusal = ApiError("POST deployments", status=403, message="exceeded quota")
    assert (fields(by_update(1, api=api)), api.made) == ([(".spec.replicas", "1", None)], 1)


def test_a_second_object_is_asked_for_only_where_a_field_may_be_a_default() -> None:
    _, api = compared(there(1, 3), there(1, 3))
    assert api.made == 0


class Ports:
    """An API server that has a Service as git wants it, and whose ports and addresses are taken once."""

    def __init__(self, live: KubeObject) -> None:
        self.live = live

    def apply(self, path: str, _: JsonObject, *, field_manager: str, dry_run: bool) -> KubeObject:
        assert (path, field_manager, dry_run) == (SERVICE.path(namespace="shop", name="cart"), FLUX, True)
        return self.live

    def create(self, resource: Resource, manifest: JsonObject, *, namespace: str, dry_run: bool) -> KubeObject:
        assert (resource, namespace, dry_run) == (SERVICE, "shop", True)
        spec = manifest["spec"]
        ports = [dig(port, "nodePort") for port in items_at(spec, "ports")]
        if any(ports) or dig(spec, "healthCheckNodePort") or text_at(spec, "clusterIP") not in {"", "None"}:
            raise ApiError("POST services", status=422, message="provided port is already allocated")
        if items_at(spec, "clusterIPs") not in {(), ("None",)}:
            raise ApiError("POST services", status=422, message="provided IP is already allocated")
        policy = None if text_at(spec, "clusterIP") == "None" else "Cluster"  # as for one without an address
        return KubeObject(having(manifest, ("spec", "internalTrafficPolicy"), policy))


@pytest.mark.parametrize(
    ("said", "added"),
    [
        ({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}, []),
        ({"clusterIP": "10.0.0.7", "clusterIPs": ("10.0.0.7",)}, []),
        ({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30081}, []),
        ({"clusterIP": "None", "clusterIPs": ("None",)}, [(".spec.internalTrafficPolicy", '"Cluster"', None)]),
    ],
)
def test_a_service_s_port_and_address_are_taken_and_so_not_asked_for_a_second_time(
    said: JsonObject, added: list[tuple[str, str | None, str | None]]
) -> None:
    wanted = KubeObject({"apiVersion": "v1", "kind": "Service", "metadata": PLACE, "spec": said})
    entry: Json = {
        "manager": "terraform",
        "operation": "Update",
        "fieldsV1": {"f:spec": {"f:internalTrafficPolicy": {}}},
    }
    metadata: JsonObject = {**PLACE, "resourceVersion": "1", "managedFields": [entry]}
    live = KubeObject({**wanted.raw, "metadata": metadata, "spec": {**said, "internalTrafficPolicy": "Cluster"}})
    listed = Live({SERVICE: {("shop", "cart"): live}}, {})
    owner = KubeObject({"kind": "Kustomization", "metadata": {"name": "apps", "namespace": "flux-system"}})
    desired = Desired(owner=owner, chain=[], manifests=[wanted])
    api, served = cast("KubeApi", Ports(live)), {("v1", "Service"): SERVICE}
    assert fields(compare_object(api, served, listed, desired, wanted, digest_key=b"key")) == added


class Typed:
    """An API server that knows no `spec.replica` and no `spec.paus`, and names one at a time."""

    def __init__(self, live: KubeObject, message: str = "field not declared in schema") -> None:
        self.live = live
        self.message = message
        self.asked = 0

    def apply(self, path: str, manifest: JsonObject, **_: object) -> KubeObject:
        self.asked += 1
        for field in ("replica", "paus"):
            if dig(manifest["spec"], field) is not None:
                which = "failed to create typed patch object (shop/cart; apps/v1, Kind=Deployment)"
                raise ApiError(f"PATCH {path}", status=500, message=f"{which}: .spec.{field}: {self.message}")
        return KubeObject(having(self.live.raw, ("spec", "paused"), False))


def misspelt(resource: Resource, api: Typed) -> Compared:
    """What is told of an object of which git misspells two fields, and which is paused against git's wish."""
    spec: JsonObject = {"paused": False, "replica": 2, "paus": "secret"}
    wanted = KubeObject({**WANTED.raw, "apiVersion": resource.api_version, "kind": resource.kind, "spec": spec})
    served = {(resource.api_version, resource.kind): resource}
    listed = Live({resource: {("shop", "cart"): api.live}}, {})
    owner = KubeObject({"kind": "Kustomization", "metadata": {"name": "apps", "namespace": "flux-system"}})
    desired = Desired(owner=owner, chain=[], manifests=[wanted])
    return compare_object(cast("KubeApi", api), served, listed, desired, wanted, digest_key=b"key")


def test_a_field_that_its_kind_does_not_have_is_told_and_the_rest_compared_without_it() -> None:
    api = Typed(there(1, 2))
    told = misspelt(DEPLOYMENT, api)
    assert (told.unknown, api.asked) == ("", 3)
    assert fields(told) == [PAUSED, (".spec.replica", None, "2"), (".spec.paus", None, '"secret"')]
    assert [one.undeclared for one in told.fields] == [False, True, True]


def test_a_secret_s_misspelt_field_may_hold_its_values_and_is_told_as_a_digest() -> None:
    told = misspelt(SECRET, Typed(there(1, 2)))
    assert [one.change.after for one in told.fields if "secret" in str(one.change.after)] == []
    assert [str(one.change.after)[:6] for one in told.fields if one.undeclared] == ['"hash '] * 2


def test_what_is_refused_otherwise_or_of_a_kind_that_flux_has_no_type_for_is_unknown() -> None:
    for resource, api in ((KUSTOMIZATION, Typed(there(1, 2))), (DEPLOYMENT, Typed(there(1, 2), "expected string"))):
        told = misspelt(resource, api)
        assert (told.fields, api.asked) == ((), 1)
        assert "failed to create typed patch object" in told.unknown
