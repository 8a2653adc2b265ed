"""Sinks take what notification-controller sends, answer as the real services would, and refuse everything else."""

import asyncio
import json
from collections.abc import Mapping
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
TOKEN = {"Authorization": "Bearer t"}
HOW = {
    "slack": ("/services/T0/B0/x", SLACK, {}),
    "generic": ("/flux", EVENT, COMPONENT),
    "github": (STATUSES, STATUS, TOKEN),
}


class Heard:
    """One sink, asked as a program would."""

    def __init__(self, kind: str) -> None:
        self.alerts: list[Alert] = []
        self.kind = kind
        self._app = SINKS[kind]("sink.example", self.alerts.append)

    async def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        transport = httpx.ASGITransport(app=self._app)
        async with httpx.AsyncClient(transport=transport, base_url="https://sink.example") as client:
            return await client.request(method, path, **options)


def ask(heard: Heard, method: str, path: str, **options: Any) -> httpx.Response:
    return asyncio.run(heard.ask(method, path, **options))


@pytest.mark.parametrize(("kind", "status"), [("slack", 200), ("generic", 200), ("github", 201)])
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
    assert alert.reason == ("BuildFailed" if kind == "generic" else "")


@pytest.mark.parametrize(
    ("kind", "content", "headers", "answer", "why"),
    [
        ("slack", {"text": "hello"}, {}, (400, "invalid_attachments"), "attachments: Field required"),
        ("slack", {"attachments": []}, {}, (400, "invalid_attachments"), "at least 1 item"),
        ("slack", [], {}, (400, "invalid_attachments"), "it: "),
        ("generic", EVENT, {}, (400, "no event"), "Gotk-Component"),
        ("generic", {**EVENT, "severity": "loud"}, COMPONENT, (400, "no event"), "severity"),
        ("generic", {}, COMPONENT, (400, "no event"), "involvedObject: Field required"),
        ("github", STATUS, {}, (401, "Requires authentication"), "without a token"),
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
