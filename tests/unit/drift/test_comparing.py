"""What is compared is one state of an object: what somebody changes in between is not taken for git's wish."""

from typing import cast

import pytest

from fluxlab.clusters.api import ApiError, KubeApi
from fluxlab.clusters.objects import KubeObject, having
from fluxlab.clusters.resources import DEPLOYMENT, Resource
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
