"""A report as other programs read it."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from xml.etree.ElementTree import Element, fromstring

from fluxlab.drift.aspects import Actor, Confidence, DriftClass, Fate, Mark, Said, Voice
from fluxlab.drift.formats import report_as_html, report_as_json, report_as_junit
from fluxlab.drift.records import Drift, DriftReport, Unknown
from fluxlab.timeline.entries import ObjectRef

NOON, MINUTE = datetime(2026, 11, 22, 14, tzinfo=UTC), timedelta(minutes=1)
ALICE = Actor(
    who="alice with kubectl",
    time=NOON,
    seen=NOON + MINUTE / 60,
    confidence=Confidence.HIGH,
    reason="the audit log",
)
DRIFT = Drift(
    cluster="staging",
    object=ObjectRef(kind="ConfigMap", namespace="shop", name="cart"),
    class_=DriftClass.MODIFIED,
    field=".data.text",
    pointer="/data/text",
    desired='"<b>"',
    live='"\x07&"',
    owner="Kustomization flux-system/apps",
    actor=ALICE,
    fate=Fate(reverted=True, why="kustomize-controller does", within=timedelta(minutes=10), due=NOON + 10 * MINUTE),
    said=Said(voice=Voice.EVENT, text="DriftDetected: it differs", alerted=NOON + MINUTE / 30),
)
NOTHING = DriftReport(drifts=(), unknown=(), examined=7)
RULED = replace(DRIFT, fate=Fate(reverted=False, why="a rule", marks=(Mark.IGNORED,)))
UNTOLD = Unknown(
    cluster="staging",
    object=ObjectRef(kind="Kustomization", name="x"),
    owner="Kustomization x",
    chain=("Kustomization root", "Kustomization x"),
    why="Kustomization x is not known",
)
REPORT = DriftReport(
    drifts=(DRIFT,),
    unknown=(UNTOLD,),
    examined=7,
    ignored=(RULED,),
    held_back=("staging",),
    unreal=("pods are simulated", "chart demo is a stand-in"),
)


def parsed(text: str) -> Element:
    [suite] = fromstring(text)  # noqa: S314 # it was made a line before
    return suite


def test_json_has_each_record_with_what_is_known_of_it() -> None:
    told = json.loads(report_as_json(REPORT))
    assert (told["clean"], told["examined"]) == (False, 7)
    assert told["unknown"] == [
        {
            "class": "unknown",
            "cluster": "staging",
            "object": "Kustomization x",
            "owner": "Kustomization x",
            "chain": ["Kustomization root", "Kustomization x"],
            "commit": "",
            "why": "Kustomization x is not known",
            "marks": [],
            "fate": None,
        }
    ]
    assert [(one["class"], one["marks"], one["fate"]["ignored"]) for one in told["ignored"]] == [
        ("modified", ["ignored by rule"], True)
    ]
    assert told["held_back"] == ["staging"]
    assert told["unreal"] == ["pods are simulated", "chart demo is a stand-in"]
    [one] = told["drifts"]
    assert (one["object"], one["class"], one["live"]) == ("ConfigMap shop/cart", "modified", '"\x07&"')
    assert one["actor"]["time"] == "2026-11-22T14:00:00+00:00"
    assert (one["fate"]["reverted"], one["marks"]) == (True, [])
    assert (one["fate"]["within_seconds"], one["fate"]["due"]) == (600, "2026-11-22T14:10:00+00:00")
    assert one["said"] == {"voice": "event", "text": "DriftDetected: it differs"}
    assert one["times"] == {
        "changed": "2026-11-22T14:00:00+00:00",
        "detected": "2026-11-22T14:00:01+00:00",
        "alerted": "2026-11-22T14:00:02+00:00",
        "corrected": None,
    }


def test_junit_has_a_failure_an_error_and_a_skipped_case() -> None:
    suite = parsed(report_as_junit(REPORT, name="drift of lab"))
    assert suite.attrib == {"name": "drift of lab", "tests": "3", "failures": "1", "errors": "1", "skipped": "1"}
    assert [case[0].tag for case in suite] == ["failure", "skipped", "error"]
    assert [case.attrib["name"] for case in suite] == [
        "staging ConfigMap shop/cart /data/text",
        "staging ConfigMap shop/cart /data/text",
        "staging Kustomization x unknown",
    ]
    assert "marks: ignored by rule" in str(suite[1][0].text)
    failure = suite[0][0]
    wanted = 'ConfigMap shop/cart: modified .data.text: git wants "<b>", there is "&"'  # a bell is in no XML
    assert failure.attrib["message"] == wanted
    assert "by alice with kubectl" in str(failure.text)


def test_a_clean_report_is_one_case_that_passed() -> None:
    suite = parsed(report_as_junit(NOTHING, name="x"))
    assert [(case.attrib["name"], len(case)) for case in suite] == [("7 objects are as git wants them", 0)]


def test_html_shows_values_and_interprets_none() -> None:
    page = report_as_html(REPORT, name="lab", made=datetime(2026, 11, 22, 14, tzinfo=UTC))
    assert "&#34;&lt;b&gt;&#34;" in page
    assert "by alice with kubectl" in page
    assert "kustomize-controller does" in page
    assert "DriftDetected: it differs (alerted at " in page
    assert "<b>" not in page
    assert "could not tell: Kustomization x is not known" in page
    assert "Report-only is on in cluster staging" in page
    assert "modified (ignored by rule)" in page
    assert "<table" in page
    assert "<table" not in report_as_html(NOTHING, name="lab", made=datetime(2026, 11, 22, 14, tzinfo=UTC))


def test_what_becomes_of_what_cannot_be_changed_back_is_told_everywhere() -> None:
    fate = Fate(reverted=True, why="it is made again", marks=(Mark.FORCED,), within=timedelta(hours=1))
    report = replace(NOTHING, unknown=(replace(UNTOLD, fate=fate),))
    [one] = json.loads(report_as_json(report))["unknown"]
    assert (one["marks"], one["fate"]["reverted"], one["fate"]["within_seconds"]) == (["forced"], True, 3600)
    [case] = parsed(report_as_junit(report, name="x"))
    assert "will be reverted: it is made again" in str(case[0].text)
    assert "it is made again" in report_as_html(report, name="lab", made=NOON)


def test_what_only_stands_in_for_something_is_said_in_every_format() -> None:
    for report in (REPORT, replace(NOTHING, unreal=REPORT.unreal)):  # also where there is no drift
        said = [one.text for one in parsed(report_as_junit(report, name="x")).iter("system-out")]
        assert set(said) == {"not real: pods are simulated\nnot real: chart demo is a stand-in"}
        page = report_as_html(report, name="x", made=NOON)
        assert "Not real: chart demo is a stand-in." in page
    assert not list(parsed(report_as_junit(NOTHING, name="x")).iter("system-out"))
    assert "Not real" not in report_as_html(NOTHING, name="x", made=NOON)
