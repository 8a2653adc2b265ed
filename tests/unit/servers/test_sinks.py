"""Sinks take what notification-controller sends, answer as the real services would, and refuse everything else."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest

from fluxlab.servers.sinks import LARGEST_BODY, SINKS, Alert
from fluxlab.timeline.entries import ObjectRef

SHA = "8f75ac30a51c2d3e4f5a6b7c8d9e0f1a2b3c4d5e"
SHOP = ObjectRef(kind="Kustomization", namespace="flux-system", name="shop")
SLACK: Mapping[str, Any] = {
    "channel": "shop",
    "username": "kustomize-controller",
    "icon_url": "",
    "icon_emoji": "",
    "attachments": [
        {
            "fallback": "kustomization/shop.flux-system: build failed",
            "color": "danger",
            "author_name": "kustomization/shop.flux-system",
            "text": "build failed",
            "mrkdwn_in": ["text"],
            "fields": [{"title": "revision", "value": f"main@sha1:{SHA}", "short": False}],
        }
    ],
}
EVENT: Mapping[str, Any] = {
    "involvedObject": {"kind": "Kustomization", "namespace": "flux-system", "name": "shop", "uid": "1"},
    "severity": "error",
    "timestamp": "2026-11-01T12:00:00Z",
    "message": "build failed",
    "reason": "BuildFailed",
    "metadata": {"kustomize.toolkit.fluxcd.io/revision": f"main@sha1:{SHA}"},
    "reportingController": "kustomize-controller",
}
STATUS: Mapping[str, Any] = {
    "state": "failure",
    "context": "kustomization/shop/1a2b3c4d",
    "description": "build failed",
}
STATUSES = f"/repos/acme/fleet/statuses/{SHA}"
LISTED = f"/repos/acme/fleet/commits/{SHA}/statuses"
COMPONENT = {"Gotk-Component": "kustomize-controller"}
KEY = "the-lab-made-it"
TOKEN = {"Authorization": f"Bearer {KEY}"}
HOW = {
    "slack": ("/services/T0/B0/x", SLACK, {}),
    "generic": ("/flux", EVENT, COMPONENT),
    "generic-hmac": ("/flux", EVENT, COMPONENT),
    "github": (STATUSES, STATUS, TOKEN),
}


def signed(body: bytes, key: str = KEY) -> Mapping[str, str]:
    """The header with which notification-controller signs."""
    return {"X-Signature": f"sha256={hmac.new(key.encode(), body, hashlib.sha256).hexdigest()}"}


class Heard:
    """One sink, asked as a program would."""

    def __init__(self, kind: str) -> None:
        self.alerts: list[Alert] = []
        self.kind = kind
        self._app = SINKS[kind]("sink.example", self.alerts.append, KEY)

    async def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        transport = httpx.ASGITransport(app=self._app)
        if self.kind == "generic-hmac":
            body = options.pop("content", None) or json.dumps(options.pop("json", None)).encode()
            options = {**options, "content": body, "headers": {**signed(body), **options.get("headers", {})}}
        async with httpx.AsyncClient(transport=transport, base_url="https://sink.example") as client:
            return await client.request(method, path, **options)


def ask(heard: Heard, method: str, path: str, **options: Any) -> httpx.Response:
    return asyncio.run(heard.ask(method, path, **options))


@pytest.mark.parametrize(("kind", "status"), [("slack", 200), ("generic", 200), ("generic-hmac", 200), ("github", 201)])
def test_what_flux_sends_is_taken_and_heard(kind: str, status: int) -> None:
    heard, (path, content, headers) = Heard(kind), HOW[kind]
    assert ask(heard, "POST", path, json=content, headers=headers).status_code == status
    (alert,) = heard.alerts
    assert (alert.sink, alert.host, alert.severity, alert.message, alert.refused) == (
        kind,
        "sink.example",
        "error",
        "build failed",
        "",
    )
    assert alert.revision.endswith(f"sha1:{SHA}")
    assert alert.object == (SHOP if kind != "github" else ObjectRef(kind="Kustomization", name="shop"))
    assert alert.reason == ("BuildFailed" if kind.startswith("generic") else "")


@pytest.mark.parametrize(
    ("kind", "content", "headers", "answer", "why"),
    [
        ("slack", {"text": "hello"}, {}, (400, "invalid_attachments"), "attachments: Field required"),
        ("slack", {"attachments": []}, {}, (400, "invalid_attachments"), "at least 1 item"),
        ("slack", [], {}, (400, "invalid_attachments"), "it: "),
        ("generic", EVENT, {}, (400, "no event"), "Gotk-Component"),
        ("generic", {**EVENT, "severity": "loud"}, COMPONENT, (400, "no event"), "severity"),
        ("generic", {}, COMPONENT, (400, "no event"), "involvedObject: Field required"),
        ("generic-hmac", EVENT, {}, (400, "no event"), "Gotk-Component"),
        ("generic-hmac", EVENT, {"X-Signature": ""}, (401, "missing signature"), "without the header X-Signature"),
        ("generic-hmac", EVENT, signed(b"other"), (401, "invalid signature"), "not made with the token"),
        (
            "generic-hmac",
            EVENT,
            {"X-Signature": "sha256=ü".encode()},
            (401, "invalid signature"),
            "not made with the token",
        ),
        ("github", STATUS, {}, (401, "Requires authentication"), "without a token"),
        ("github", STATUS, {"Authorization": "Bearer t"}, (401, "Bad credentials"), "not the one"),
        ("github", STATUS, {"Authorization": KEY}, (401, "Requires authentication"), "without a token"),
        ("github", {**STATUS, "state": "odd"}, TOKEN, (422, "Validation Failed"), "state"),
        ("github", {**STATUS, "description": "x" * 141}, TOKEN, (422, "Validation Failed"), "description"),
    ],
)
def test_what_has_another_shape_is_refused_as_the_service_would(
    kind: str, content: Any, headers: Mapping[str, str], answer: tuple[int, str], why: str
) -> None:
    heard = Heard(kind)
    given = ask(heard, "POST", HOW[kind][0], json=content, headers=headers)
    assert given.status_code == answer[0]
    assert answer[1] in given.text
    (alert,) = heard.alerts
    assert why in alert.refused
    assert alert.object is None


@pytest.mark.parametrize("kind", sorted(SINKS))
@pytest.mark.parametrize(
    ("content", "status"), [(b"{", 400), (b"", 400), (b"[" * 100_000, 400), (b"x" * (LARGEST_BODY + 1), 413)]
)
def test_rubbish_is_refused_and_heard_of(kind: str, content: bytes, status: int) -> None:
    heard, (path, _, headers) = Heard(kind), HOW[kind]
    assert ask(heard, "POST", path, content=content, headers=headers).status_code == status
    assert heard.alerts[0].refused


@pytest.mark.parametrize("kind", sorted(SINKS))
def test_another_method_is_no_way_to_send_an_alert(kind: str) -> None:
    heard = Heard(kind)
    assert ask(heard, "DELETE", HOW[kind][0]).status_code == 405
    assert heard.alerts[0].refused


def test_githubs_statuses_are_listed_the_newest_first_and_by_commit() -> None:
    heard = Heard("github")
    assert json.loads(ask(heard, "GET", LISTED, headers=TOKEN).text) == []
    for state in ("failure", "success"):
        ask(heard, "POST", STATUSES, json={**STATUS, "state": state}, headers=TOKEN)
    listed = json.loads(ask(heard, "GET", LISTED, headers=TOKEN).text)
    assert [one["state"] for one in listed] == ["success", "failure"]
    assert json.loads(ask(heard, "GET", LISTED.replace(SHA, "0" * 40), headers=TOKEN).text) == []
    assert ask(heard, "GET", "/repos/acme/fleet", headers=TOKEN).status_code == 404


def test_github_tells_who_has_another_token_no_status() -> None:
    heard = Heard("github")
    assert ask(heard, "GET", LISTED, headers={"Authorization": f"token {KEY}"}).status_code == 200
    given = ask(heard, "GET", LISTED, headers={"Authorization": "token other"})
    assert (given.status_code, json.loads(given.text)["message"]) == (401, "Bad credentials")
    assert heard.alerts[0].refused


def test_a_signature_is_of_this_very_body() -> None:
    heard = Heard("generic-hmac")
    body = json.dumps(EVENT).encode()
    headers = {**COMPONENT, **signed(body)}
    assert ask(heard, "POST", "/flux", content=body, headers=headers).status_code == 200
    assert ask(heard, "POST", "/flux", content=body.replace(b"error", b"info"), headers=headers).status_code == 401
    assert ask(heard, "POST", "/flux", content=body, headers={**COMPONENT, **signed(body, "x")}).status_code == 401


def test_the_name_of_an_object_may_have_dots() -> None:
    dotted = ObjectRef(kind="Kustomization", namespace="flux-system", name="shop.v1.2")
    attachment = {**SLACK["attachments"][0], "author_name": "kustomization/shop.v1.2.flux-system"}
    involved = {**EVENT["involvedObject"], "name": dotted.name}
    contents: Mapping[str, Any] = {
        "slack": {**SLACK, "attachments": [attachment]},
        "generic": {**EVENT, "involvedObject": involved},
        "generic-hmac": {**EVENT, "involvedObject": involved},
        "github": {**STATUS, "context": "kustomization/shop.v1.2/1a2b3c4d"},
    }
    for kind, (path, _, headers) in HOW.items():
        heard = Heard(kind)
        ask(heard, "POST", path, json=contents[kind], headers=headers)
        assert heard.alerts[0].object == (replace(dotted, namespace="") if kind == "github" else dotted), kind


@pytest.mark.parametrize("context", ["deployed", "acme/deployed/x", "kustomization/shop"])
def test_a_commit_status_with_words_of_its_own_names_no_object(context: str) -> None:
    heard = Heard("github")
    assert ask(heard, "POST", STATUSES, json={**STATUS, "context": context}, headers=TOKEN).status_code == 201
    assert heard.alerts[0].object is None


@pytest.mark.parametrize("kind", sorted(SINKS))
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_no_refusal_tells_the_path(kind: str, method: str) -> None:
    heard = Heard(kind)
    answered = ask(heard, method, "/services/canary?canary", json={}, headers=TOKEN)
    assert heard.alerts[0].refused
    assert "canary" not in heard.alerts[0].refused + answered.text
