"""What came of an adoption: its exit code, its commit message, and as JSON."""

import json
from dataclasses import replace

import pytest
from tests.unit.drift.test_formats import ALICE, DRIFT, UNTOLD

from fluxlab.adoption.result import Adoption, as_json, message_of
from fluxlab.drift.records import DriftReport
from fluxlab.moments import Commit, Moment

REPORT = DriftReport(drifts=(DRIFT,), unknown=(), examined=3)
COMMIT = Commit(sha="0" * 40, message="Adopt", before=Moment())
UNKNOWN = replace(REPORT, unknown=(UNTOLD,))


@pytest.mark.parametrize(
    ("adoption", "code"),
    [
        (Adoption(report=REPORT, branch="x", commit=COMMIT, adopted=(DRIFT,)), 0),
        (Adoption(report=REPORT, left=((DRIFT, "why"),)), 1),
        (Adoption(report=UNKNOWN, left=((DRIFT, "why"),)), 1),
        (Adoption(report=UNKNOWN, branch="x", commit=COMMIT, adopted=(DRIFT,)), 2),
        (Adoption(report=replace(REPORT, drifts=())), 0),
        (Adoption(report=replace(REPORT, drifts=(), examined=0)), 2),
    ],
)
def test_all_is_adopted_or_some_is_left_or_it_is_not_known(adoption: Adoption, code: int) -> None:
    assert adoption.exit_code == code


def test_the_message_says_what_and_by_whom_and_when() -> None:
    long = replace(DRIFT, cluster="production", live="x" * 1000, actor=replace(ALICE, time=None))
    message = message_of([replace(DRIFT, actor=replace(ALICE, audit_id="4711")), long])
    subject, empty, what, who, *_ = message.splitlines()
    assert (subject, empty) == ("Adopt what differs from git in production, staging", "")
    assert what.startswith("ConfigMap shop/cart: modified .data.text: git wants")
    assert who.endswith(
        "by alice with kubectl (high confidence: the audit log) at 2026-11-22T14:00:00+00:00, audit id 4711"
    )
    assert "x" * 301 not in message


def test_json_has_what_was_left_and_why() -> None:
    told = json.loads(as_json(Adoption(report=UNKNOWN, left=((DRIFT, "it is a Secret's"),))))
    assert (told["branch"], told["commit"], told["adopted"]) == ("", "", [])
    assert [one["why"] for one in told["unknown"]] == ["Kustomization x is not known"]
    assert [(one["object"], one["why"]) for one in told["left"]] == [("ConfigMap shop/cart", "it is a Secret's")]
