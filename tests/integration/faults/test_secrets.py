"""Faults of Secrets: what Flux makes of the values, told by kubectl; and that no old value gets out."""

import base64
import json
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.integration.conftest import Observer

from fluxlab.clusters.secret import set_secret
from fluxlab.documents import JsonObject
from fluxlab.errors import UsageError
from fluxlab.fault_records import FaultRecord
from fluxlab.faults.cases import Case
from fluxlab.lab import Lab
from fluxlab.redaction import spellings

PLACE = "flux-system/shop-secrets"
KEY = "CHECKOUT_TOKEN"
CANARY = f"canary-{secrets.token_hex(8)}"


@pytest.fixture
def kept(shop: Lab, observer: Observer) -> Any:
    """The Secret that the shop reads, once the shop has read it."""
    if not shop.cluster.find("Secret", PLACE):
        set_secret(shop.cluster.api, PLACE, KEY, CANARY)
    shop.wait_until(lambda: _checkout(observer) == CANARY, what="the shop has the token")
    return _secret(observer)


def _secret(observer: Observer) -> Any:
    return observer.get("secret", "shop-secrets", "-n", "flux-system", "--show-managed-fields")


def _checkout(observer: Observer) -> str:
    found = observer.get("secret", "checkout", "-n", "shop")
    return base64.b64decode(found["data"].get("token", "")).decode()


def _condition(observer: Observer, kind: str, name: str) -> str:
    found = observer.get(kind, name, "-n", "flux-system")
    ready = [one for one in found.get("status", {}).get("conditions", []) if one["type"] == "Ready"]
    return f"{ready[0]['status']} {ready[0]['reason']}: {ready[0]['message']}" if ready else ""


def _is_as_before(now: Any, before: Any) -> bool:
    def told(secret: Any) -> Any:
        who = [(one["manager"], one["operation"], one["fieldsV1"]) for one in secret["metadata"]["managedFields"]]
        return secret["data"], secret["metadata"]["labels"], secret["metadata"].get("annotations"), who

    return bool(told(now) == told(before))


def test_a_missing_optional_secret_is_replaced_by_defaults_in_silence(shop: Lab, observer: Observer, kept: Any) -> None:
    with shop.fault("secret-missing", target=PLACE, for_=120):
        assert not observer.kubectl("get", "secret", "shop-secrets", "-n", "flux-system", "--ignore-not-found")
        shop.wait_until(lambda: _checkout(observer) == "none", what="the default is applied")
        shop.wait_until(lambda: "True" in _condition(observer, "kustomization", "shop"), what="Flux is content")
    assert _is_as_before(_secret(observer), kept)
    shop.wait_until(lambda: _checkout(observer) == CANARY, what="the token is back")


def test_an_empty_value_is_applied(shop: Lab, observer: Observer, kept: Any) -> None:
    with shop.fault("secret-empty", target=PLACE, for_=120):
        shop.wait_until(lambda: _checkout(observer) in {"", "none"}, what="nothing is left of the token")
    assert _is_as_before(_secret(observer), kept)


def test_a_malformed_value_fails_the_build(shop: Lab, observer: Observer, kept: Any) -> None:
    with shop.fault("secret-malformed", target=PLACE, for_=120):
        shop.wait_until(
            lambda: "False BuildFailed" in _condition(observer, "kustomization", "shop"), what="the build fails"
        )
        assert _checkout(observer) == CANARY, "what runs goes on"
    assert _is_as_before(_secret(observer), kept)
    shop.wait_until(lambda: "True" in _condition(observer, "kustomization", "shop"), what="it builds again")


def test_a_rotated_value_arrives_and_the_old_one_stays_private(shop: Lab, observer: Observer, kept: Any) -> None:
    with shop.fault("secret-rotated", target=PLACE, for_=120, key=KEY) as record:
        shop.wait_until(lambda: _checkout(observer) not in {CANARY, "", "none"}, what="the new token arrives")
        _only_the_record_has(shop, record)
    assert _is_as_before(_secret(observer), kept)
    shop.wait_until(lambda: _checkout(observer) == CANARY, what="the old token is back")


@pytest.mark.usefixtures("kept")
def test_one_seed_rotates_to_the_same_value(shop: Lab, observer: Observer) -> None:
    found = []
    for seed in (7, 7, 8):
        with shop.fault("secret-rotated", target=PLACE, for_=120, seed=seed):
            found.append(_secret(observer)["data"])
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize("name", ["secret-missing", "secret-rotated", "secret-empty"])
def test_what_is_given_back_as_something_else_is_not_gone(shop: Lab, observer: Observer, kept: Any, name: str) -> None:
    with shop.fault(name, target=PLACE, for_=120) as fault:
        case = Case(record=fault, ground=shop._ground(fault.cluster), patience=shop.patience)
        known: Any = case.injection.undo["secret"]
        other = {**known, "data": {KEY: base64.b64encode(b"something else").decode()}}
        wrong = replace(case.injection, undo={**case.injection.undo, "secret": other})
        case.fault.heal(case.ground, wrong)
        assert _secret(observer)["data"] == other["data"]
        owners = [
            {key: one[key] for key in ("manager", "time")} for one in _secret(observer)["metadata"]["managedFields"]
        ]
        assert owners == [{key: one[key] for key in ("manager", "time")} for one in kept["metadata"]["managedFields"]]
        assert not case.fault.healed(case.ground, case.injection)
        observer.kubectl("delete", "secret", "shop-secrets", "-n", "flux-system")
    if name == "secret-missing":
        assert _is_as_before(_secret(observer), kept)


@pytest.mark.usefixtures("kept")
def test_what_somebody_sets_meanwhile_stays(shop: Lab, observer: Observer) -> None:
    def values() -> dict[str, str]:
        return {key: base64.b64decode(value).decode() for key, value in _secret(observer)["data"].items()}

    def put(**given: str) -> None:
        patch = json.dumps({"stringData": given})
        observer.kubectl("patch", "secret", "shop-secrets", "-n", "flux-system", "--type=merge", f"--patch={patch}")

    put(OTHER="one")
    with shop.fault("secret-rotated", target=PLACE, for_=120):
        put(OTHER="two", MORE="three")
    assert values() == {KEY: CANARY, "OTHER": "two", "MORE": "three"}
    with shop.fault("secret-missing", target=PLACE, for_=120):
        set_secret(shop.cluster.api, PLACE, KEY, "by-hand")
    assert values() == {KEY: "by-hand"}
    observer.kubectl("delete", "secret", "shop-secrets", "-n", "flux-system")


def _only_the_record_has(lab: Lab, record: FaultRecord) -> None:
    told = (record.told(), str(record), repr(record), json.dumps(lab.faults.active(), default=str))
    forms = spellings(CANARY)
    assert not [form for form in forms for text in told if form in text]
    etcd = lab.folder.cluster(lab.cluster.name) / "etcd"
    files = [file for file in lab.folder.root.rglob("*") if file.is_file() and not file.is_relative_to(etcd)]
    holding = [file for file in files if any(form.encode() in _content(file) for form in forms)]
    places = {str(file.relative_to(lab.folder.root)) for file in holding}
    masked_by = "secret-values.json"  # what is never shown; learned a moment after it is there
    assert places - {masked_by} == {f"faults/{record.id}.json"}, "the undo's file was searched, too, and it has it"
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in holding)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""  # of a controller that has finished with it


def test_a_record_that_cannot_be_read_is_told_without_what_it_holds(shop: Lab, observer: Observer, kept: Any) -> None:
    with shop.fault("secret-empty", target=PLACE, for_=120) as record:
        file: Path = shop.folder.root / "faults" / f"{record.id}.json"
        whole = file.read_text()
        file.write_text(whole.replace('"state"', '"stated"'))
        with pytest.raises(Exception, match="cannot be read") as caught:
            shop.faults.active()
        file.write_text(whole)
        assert not [form for form in spellings(CANARY) if form in str(caught.value)]
    assert _is_as_before(_secret(observer), kept)


def test_a_missing_secret_that_is_needed_fails_the_build(shop: Lab, observer: Observer) -> None:
    needed: JsonObject = {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"name": "needed", "namespace": "flux-system"},
        "spec": {
            "interval": "10m",
            "retryInterval": "2s",
            "path": "./apps/needed",
            "prune": True,
            "sourceRef": {"kind": "GitRepository", "name": "flux-system"},
            "postBuild": {"substituteFrom": [{"kind": "Secret", "name": "needed"}]},
        },
    }
    content: JsonObject = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "needed-copy", "namespace": "shop"},
        "stringData": {"token": "${TOKEN}"},
    }
    set_secret(shop.cluster.api, "flux-system/needed", "TOKEN", CANARY)
    shop.repository.write("clusters/flux-playground/needed.yaml", needed)
    shop.repository.write("apps/needed/copy.yaml", content)
    commit = shop.repository.commit("Add what needs a Secret")
    shop.converge(commit)
    with shop.fault("secret-missing", target="flux-system/needed", for_=120):
        shop.wait_until(
            lambda: "BuildFailed" in (told := _condition(observer, "kustomization", "needed")) and "not found" in told,
            what="the build fails",
        )
    shop.wait_until(lambda: "True" in _condition(observer, "kustomization", "needed"), what="it builds again")
    shop.repository.revert(commit)
    shop.converge()
    observer.kubectl("delete", "secret", "needed", "-n", "flux-system")


def test_an_unknown_key_is_refused(shop: Lab, observer: Observer, kept: Any) -> None:
    with pytest.raises(UsageError, match="no key"):
        shop.faults.inject("secret-empty", cluster=shop.cluster.name, target=PLACE, parameters={"key": "NONE"})
    assert _is_as_before(_secret(observer), kept)
