"""The token of a Receiver: another one is not believed, and what is given back is what somebody has not set since."""

import base64
import hashlib
import hmac
import http.server
import threading
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fluxlab.cluster import Cluster
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import RECEIVER, SECRET, Resource
from fluxlab.documents import JsonObject
from fluxlab.faults.base import Ground, Injection
from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.faults.layers.controllers import receiver as module

TARGET = "flux-system/push"
FAULT = CATALOGUE["receiver-secret-wrong"]
FIRST = "first-token"


def encoded(token: str) -> str:
    return base64.b64encode(token.encode()).decode()


class Api:
    """An API server with one Receiver and its Secret."""

    def __init__(self) -> None:
        self.token = FIRST
        self.owners: list[str] = []
        self.reconciled_with = FIRST
        """The token that the Receiver's path comes from."""
        self.receiver: dict[str, Any] = {"type": "generic-hmac", "secretRef": {"name": "push-token"}}
        self.gone: set[str] = set()
        self.asked: list[str] = []

    @property
    def path(self) -> str:
        """As Flux documents it: the SHA-256 of token, name and namespace."""
        return f"/hook/{hashlib.sha256(f'{self.reconciled_with}pushflux-system'.encode()).hexdigest()}"

    def find(self, resource: Resource, name: str, **_: object) -> KubeObject | None:
        if resource.kind in self.gone:
            return None
        metadata: dict[str, Any] = {"name": name, "namespace": "flux-system", "resourceVersion": "1", "uid": "1"}
        if resource == SECRET:
            entries = [
                {"manager": one, "operation": "Apply", "fieldsV1": {"f:data": {"f:token": {}}}} for one in self.owners
            ]
            metadata |= {"managedFields": entries}
            content = {"kind": "Secret", "metadata": metadata, "data": {"token": encoded(self.token)}}
            return KubeObject(cast("JsonObject", content))
        assert resource == RECEIVER
        condition = {"type": "Ready", "status": "True", "reason": "Succeeded", "message": ""}
        status = {"webhookPath": self.path, "conditions": [condition], "lastHandledReconcileAt": "".join(self.asked)}
        content = {"kind": "Receiver", "metadata": metadata, "spec": self.receiver, "status": status}
        return KubeObject(cast("JsonObject", content))

    def get(self, resource: Resource, name: str, **_: object) -> KubeObject:
        found = self.find(resource, name)
        assert found
        return found

    def list(self, resource: Resource, **_: object) -> Sequence[KubeObject]:
        return [self.get(resource, "push")]

    def set(self, token: str, *, who: str) -> None:
        """Somebody sets the token, and owns it."""
        self.token, self.owners = token, [who]

    def apply(self, path: str, manifest: Any, *, field_manager: str) -> None:
        assert path == SECRET.path(namespace="flux-system", name="push-token")
        self.set(base64.b64decode(manifest["data"]["token"]).decode(), who=field_manager)

    def request(self, method: str, _: str, *, body: Any, **__: object) -> JsonObject:
        assert method == "PUT"
        assert body["data"] == {"token": encoded(self.token)}
        self.owners = [one["manager"] for one in body["metadata"]["managedFields"]]
        return {}

    def merge(self, resource: Resource, _: str, patch: Any, **__: object) -> None:
        assert resource == RECEIVER
        if token := patch["metadata"]["annotations"]["reconcile.fluxcd.io/requestedAt"]:
            self.asked, self.reconciled_with = [token], self.token


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def ground(api: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    """A notification-controller that believes what is signed with the Secret's token, at the Receiver's path."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            wanted = hmac.new(api.token.encode(), body, hashlib.sha256).hexdigest()
            believed = self.headers["X-Signature"] == f"sha256={wanted}"
            self.send_response(404 if self.path != api.path else 200 if believed else 400)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        arguments = ["notification-controller", f"--receiverAddr=127.0.0.1:{server.server_port}"]
        process = SimpleNamespace(cmdline=lambda: arguments)
        monkeypatch.setattr(module, "find_process", lambda *_: process)
        monkeypatch.setattr(module, "stopped", lambda *_: "")
        unused: Any = None
        cluster = cast("Cluster", SimpleNamespace(api=api, name="c"))
        yield Ground(cluster=cluster, folder=unused, control=unused, open_repository=lambda: unused, links=False)
        server.shutdown()


def planned(ground: Ground) -> Injection[Any]:
    plan = FAULT.plan(ground, TARGET, FAULT.parameters(), Random(1))  # noqa: S311
    return Injection(id="receiver-1", target=TARGET, parameters=FAULT.parameters(), undo=plan.undo)


def put_in(ground: Ground) -> Injection[Any]:
    injection = planned(ground)
    assert not FAULT.injected(ground, injection)
    assert FAULT.healed(ground, injection)
    FAULT.inject(ground, injection)
    assert FAULT.injected(ground, injection)
    assert not FAULT.healed(ground, injection)
    return injection


def test_the_token_is_what_it_was_and_belongs_to_whom_it_belonged(api: Api, ground: Ground) -> None:
    injection = put_in(ground)
    assert api.token != FIRST
    for _ in range(2):
        FAULT.heal(ground, injection)
        assert (api.token, api.owners, api.asked) == (FIRST, [], [])
        assert FAULT.healed(ground, injection)
        assert not FAULT.injected(ground, injection)


def test_a_healing_that_was_cut_off_is_brought_to_its_end(api: Api, ground: Ground) -> None:
    injection = put_in(ground)
    api.token = FIRST
    assert not FAULT.healed(ground, injection), "it belongs to nobody's but the fault"
    FAULT.heal(ground, injection)
    assert (api.token, api.owners) == (FIRST, [])
    assert FAULT.healed(ground, injection)


def test_a_receiver_that_has_moved_with_the_other_token_is_where_it_was(api: Api, ground: Ground) -> None:
    injection, before = planned(ground), api.path
    FAULT.inject(ground, injection)
    api.reconciled_with = api.token
    assert api.path != before
    assert "404" in FAULT.injected(ground, injection)
    FAULT.heal(ground, injection)
    assert api.path == before
    assert FAULT.healed(ground, injection)


@pytest.mark.parametrize("who", ["eve", "fluxlab-fault"])
def test_a_token_that_somebody_has_set_since_stays(api: Api, ground: Ground, who: str) -> None:
    injection = put_in(ground)
    api.set("newer-token", who=who)  # `fluxlab` sets it by `stringData`, and the value stays the fault's in name
    api.reconciled_with = "newer-token"
    FAULT.heal(ground, injection)
    assert api.token == "newer-token"
    assert api.owners == ["eve"] * (who == "eve")
    assert "newer" in FAULT.healed(ground, injection)


@pytest.mark.parametrize(
    ("changes", "secret"),
    [({"type": "github"}, True), ({"suspend": True}, True), ({"type": "generic-hmac"}, False)],
)
def test_what_cannot_be_told_with_another_token_is_no_target(
    api: Api, ground: Ground, changes: Mapping[str, object], secret: bool
) -> None:
    assert FAULT.candidates(ground) == [TARGET]
    api.receiver |= changes
    api.gone = set() if secret else {"Secret"}
    assert FAULT.candidates(ground) == []


@pytest.mark.parametrize("kind", ["Receiver", "Secret"])
def test_what_is_not_there_any_more_has_nothing_of_the_fault(api: Api, ground: Ground, kind: str) -> None:
    injection = put_in(ground)
    api.gone = {kind}
    FAULT.heal(ground, injection)
    assert FAULT.healed(ground, injection) == f"the {kind} is not there any more"


def test_no_proof_and_no_plan_shows_a_token(api: Api, ground: Ground) -> None:
    injection = put_in(ground)
    shown = [FAULT.injected(ground, injection), repr(injection)]
    FAULT.heal(ground, injection)
    shown.append(FAULT.healed(ground, injection))
    assert not [text for text in shown for token in (FIRST, encoded(FIRST), api.path) if token in text]
