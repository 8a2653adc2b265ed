"""timeline and logs find what they are asked for in the files that others write; the lab may be dead."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.unit.cli.test_app import Run, dead_lab, run

from fluxlab.redaction import Redactor
from fluxlab.timeline.entries import Entry, Level, Source
from fluxlab.timeline.folder import SUPERVISOR, TimelineFolder
from fluxlab.timeline.journal import Journal

__all__ = ["run"]
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
COMMIT = "a" * 40


def at(minute: int) -> datetime:
    return NOON + timedelta(minutes=minute)


def stamp(minute: int) -> str:
    return f"{at(minute):%Y-%m-%dT%H:%M:%S.000Z}"


def audit_line(minute: int, name: str) -> str:
    asked = {
        "auditID": name,
        "verb": "patch",
        "requestURI": f"/api/v1/namespaces/shop/configmaps/{name}",
        "user": {"username": "ada"},
        "objectRef": {"resource": "configmaps", "namespace": "shop", "name": name},
        "responseStatus": {"code": 200},
        "requestReceivedTimestamp": stamp(minute),
        "stageTimestamp": stamp(minute),
    }
    return json.dumps(asked, separators=(",", ":")) + "\n"


@pytest.fixture(autouse=True)
def lab(state_dir: Path) -> Path:
    """A lab in which one thing happened each minute; returns its folder."""
    del state_dir
    folder = dead_lab("one")
    folder.spec.write_text('{"name": "one", "clusters": [{"name": "here"}, {"name": "there"}]}')
    pushed = Entry(time=at(0), source=Source.PUSH, text="fleet main: new", commit=COMMIT, actor="ada")
    Journal(TimelineFolder(folder).journal(SUPERVISOR), redactor=Redactor()).append([pushed])
    asked = {"asked_by": "here.source-controller", "host": "charts.example.com", "method": "GET", "path": "/index.yaml"}
    fine, wrong = (
        {"time": stamp(minute), **asked, "status": status, "bytes": 0, "duration_ms": 1.0, "note": ""}
        for minute, status in ((1, 200), (2, 502))
    )
    folder.gateway_log.parent.mkdir(parents=True, exist_ok=True)
    folder.gateway_log.write_text(f"{json.dumps(fine)}\n{json.dumps(wrong)}\n")
    logs = folder.cluster("here") / "logs"
    logs.mkdir(parents=True)
    said = {"controllerKind": "Kustomization", "name": "apps", "namespace": "flux-system"}
    lines = [
        {"level": "info", "ts": stamp(3), "msg": "applied", "revision": f"main@sha1:{COMMIT}", **said},
        {"level": "error", "ts": stamp(4), "msg": "failed", "error": "boom", **said},
    ]
    (logs / "kustomize-controller.log").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    rotated = folder.cluster("here") / "audit-2026-11-22T12-05-30.000.log"
    rotated.write_text(audit_line(5, "older"))
    (folder.cluster("here") / "audit.log").write_text(audit_line(6, "newer"))
    return folder.root


def minutes(run: Run, *filters: str) -> list[int]:
    """When what is told happened, in its order."""
    ended = run("timeline", "--lab=one", "-o", "json", *filters)
    assert (ended.code, ended.err) == (0, "")
    times = [datetime.fromisoformat(entry["time"]) for entry in json.loads(ended.out)]
    return [(time - NOON).seconds // 60 for time in times]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ([], [0, 4, 5, 6]),
        (["--source=request"], [1, 2]),
        (["--source=request", "--level=warning"], [2]),
        (["--source=request", f"--until={stamp(1)}"], [1]),
        (["--source=log"], [3, 4]),
        (["--source=log", "--level=error"], [4]),
        (["--source=log", f"--commit={COMMIT[:7]}"], [3]),
        (["--source=log", "--object=kustomization/flux-system/apps"], [3, 4]),
        (["--source=request", "--source=log"], [1, 2, 3, 4]),
        (["--source=audit"], [5, 6]),
        (["--level=debug"], [0, 1, 2, 3, 4, 5, 6]),
        (["--level=debug", f"--until={stamp(4)}"], [0, 1, 2, 3, 4]),
        (["--level=debug", f"--since={stamp(2)}", f"--until={stamp(5)}"], [2, 3, 4, 5]),
        (["--level=debug", f"--until={NOON - timedelta(minutes=1):%Y-%m-%dT%H:%M:%SZ}"], []),
        (["--level=debug", "--cluster=here"], [0, 1, 2, 3, 4, 5, 6]),
        (["--level=debug", "--cluster=there"], [0]),
    ],
)
def test_what_is_asked_for_is_found_in_order(run: Run, filters: list[str], found: list[int]) -> None:
    assert minutes(run, *filters) == found


def test_what_is_left_out_of_it_is_said(run: Run) -> None:
    ended = run("timeline", "--lab=one", "--level=debug", "--tail=2")
    assert ended.err == "5 earlier ones are left out; --tail -1 shows all\n"
    assert [line.rpartition("/")[2][:5] for line in ended.out.splitlines()[1:]] == ["older", "newer"]


def test_a_request_and_a_line_of_a_log_are_told_as_one_line_each(run: Run) -> None:
    shown = run("timeline", "--lab=one", "--source=request", "--source=log").out.splitlines()
    assert "GET https://charts.example.com/index.yaml: 502 by source-controller" in shown[2]
    assert "[here] Kustomization flux-system/apps failed: boom" in shown[4]
    assert f"applied for {COMMIT[:10]}" in shown[3]


def test_logs_have_an_end_too(run: Run) -> None:
    lines = run("logs", "kustomize-controller", "--lab=one", f"--until={stamp(3)}").out.splitlines()
    assert [json.loads(line)["msg"] for line in lines] == ["applied"]
    assert run("logs", "--lab=one", f"--until={stamp(0)}").out == ""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["timeline", "--cluster=her"], "has no cluster 'her'"),
        (["timeline", f"--since={stamp(5)}", f"--until={stamp(4)}"], "--since is later than --until"),
        (["logs", f"--since={stamp(5)}", f"--until={stamp(4)}"], "--since is later than --until"),
        (["timeline", "--until=soon"], "'soon' is no time"),
        (["timeline", "--follow", f"--until={stamp(4)}"], "--follow goes on for ever"),
    ],
)
def test_what_could_find_nothing_is_refused(run: Run, words: list[str], told: str) -> None:
    ended = run(*words, "--lab=one")
    assert ended.code == 64
    assert told in ended.err


def test_the_level_that_is_shown_is_the_level_that_was_written(run: Run) -> None:
    told = json.loads(run("timeline", "--lab=one", "-o", "json", "--level=debug").out)
    levels = [Level(entry["level"]) for entry in told]
    assert levels == [Level.INFO, Level.DEBUG, Level.WARNING, Level.INFO, Level.ERROR, Level.INFO, Level.INFO]
