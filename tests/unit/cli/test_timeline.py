"""timeline and logs find what they are asked for in the files that others write; the lab may be dead."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.unit.cli.test_app import Run, dead_lab, run
from tests.unit.secret_keeper import SecretKeeper

from fluxlab.clusters import masking
from fluxlab.redaction import MASK, Redactor
from fluxlab.state import LabFolder
from fluxlab.timeline import query
from fluxlab.timeline.entries import Detail, Entry, Level, ObjectRef, Source
from fluxlab.timeline.folder import SUPERVISOR, TimelineFolder
from fluxlab.timeline.journal import Journal
from fluxlab.timeline.learned import Learned

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


# -- what nobody may read, and what no terminal may be told ------------------------------------------------------------

CANARY = "canary-of-the-first-day"
SHOWN = [
    ["timeline", "--level=error"],
    ["timeline", "--source=log"],
    ["timeline", "--source=log", "-o", "json"],
    ["timeline", "--source=alert"],
    ["logs", "kustomize-controller"],
    ["logs", "kustomize-controller", "-o", "json"],
    ["logs", "kustomize-controller", "--level=error"],
    ["logs", "--level=error"],
    ["alerts"],
    ["alerts", "-o", "json"],
]


@pytest.fixture
def keeper(lab: Path) -> Iterator[SecretKeeper]:
    """What answers for the Secrets of the lab's cluster `here`."""
    with SecretKeeper.of(LabFolder(lab), "here") as found:
        yield found


@pytest.fixture
def quoted(lab: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A controller's log, and an alert that was written by who did not know better, quote a value of a Secret."""
    text = f'Job/default/once is invalid: spec.template: "{CANARY}": field is immutable'
    say(lab, text)
    alert = Entry(
        time=at(6),
        source=Source.ALERT,
        level=Level.ERROR,
        text=text,
        part="slack hooks.slack.com",
        details={Detail.SINK: "slack"},
    )
    Journal(TimelineFolder(LabFolder(lab)).journal(SUPERVISOR), redactor=Redactor()).append([alert])
    monkeypatch.setattr("fluxlab.alerts.Alerts.duplicates", lambda _: [])
    return text


def say(lab: Path, text: str) -> None:
    """kustomize-controller says once more that something failed, and that it could not tell."""
    log = LabFolder(lab).cluster("here") / "logs" / "kustomize-controller.log"
    said = {"level": "error", "ts": stamp(6), "msg": "unable to record event", "error": text}
    with log.open("a") as lines:
        lines.write(json.dumps(said) + "\n")


@pytest.mark.parametrize("words", SHOWN, ids=" ".join)
def test_no_secret_of_a_cluster_is_shown(run: Run, quoted: str, keeper: SecretKeeper, words: list[str]) -> None:
    assert CANARY in run(*words, "--lab=one").out, "it is quoted"
    keeper.values, keeper.asked = [CANARY], 0
    ended = run(*words, "--lab=one")
    assert (ended.code, ended.err) == (0, "")
    assert "field is immutable" in ended.out
    assert quoted.partition('"')[0] in ended.out
    assert MASK in ended.out
    assert CANARY not in ended.out
    assert keeper.asked == 1, "one question is enough"


@pytest.mark.parametrize("how", ["gone", "hangs"])
@pytest.mark.parametrize("words", SHOWN, ids=" ".join)
@pytest.mark.usefixtures("quoted")
def test_while_a_cluster_does_not_answer_what_is_known_is_masked_and_what_may_be_shown_is_said(
    run: Run, keeper: SecretKeeper, lab: Path, monkeypatch: pytest.MonkeyPatch, *, words: list[str], how: str
) -> None:
    """Just then people need the logs."""
    monkeypatch.setattr(masking, "ANSWER_SECONDS", 0.2)
    keeper.gone = how == "gone"
    if how == "hangs":
        keeper.answering.clear()
    learned = Learned(TimelineFolder(LabFolder(lab)).learned)
    learned.add(CANARY)
    learned.save()
    ended = run(*words, "--lab=one")
    assert ended.code == 0
    assert "field is immutable" in ended.out
    assert CANARY not in ended.out
    [warning] = ended.err.splitlines()
    assert warning.startswith("warning: the Secrets of cluster here cannot be read, ")


@pytest.fixture
def days(keeper: SecretKeeper, lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log quotes a Secret, which has another value each time that its follower pauses; on the third day he ends."""
    values = iter([CANARY, "canary-of-the-second-day", "canary-of-the-third-day"])

    def go_on(_: float = 0) -> None:
        value = next(values, "")
        if not value:
            raise KeyboardInterrupt
        keeper.values = [value]
        say(lab, f"it is {value}")

    go_on()
    monkeypatch.setattr("time.sleep", go_on)


@pytest.mark.usefixtures("days")
def test_a_log_that_is_followed_is_shown_without_secrets_that_were_set_since(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fluxlab.cli.masks.ASK_SECONDS", 0)
    ended = run("logs", "kustomize-controller", "--lab=one", "--follow", "--tail=1")
    assert [json.loads(line)["error"] for line in ended.out.splitlines()] == [f"it is {MASK}"] * 3


@pytest.mark.usefixtures("days")
def test_a_timeline_that_is_followed_is_told_without_secrets_that_were_set_since(run: Run) -> None:
    ended = run("timeline", "--lab=one", "--follow", "--tail=1", "--source=log")
    told = [line.rpartition(": ")[2] for line in ended.out.splitlines() if not line.startswith("--")]
    assert told == [f"it is {MASK}"] * 3


LOUD = "Fix \x1b]0;owned\x07 \x1b[2J it\x9b2J\u202e\u2028 \ud800"
QUIET = "Fix \\x1b]0;owned\\x07 \\x1b[2J it\\x9b2J\\u202e"


@pytest.mark.parametrize(
    "words",
    [
        ["status"],
        ["timeline", "--source=log"],
        ["timeline", "--source=push"],
        ["logs", "kustomize-controller"],
        ["logs", "kustomize-controller", "--level=error"],
        ["alerts"],
    ],
    ids=" ".join,
)
def test_what_would_steer_a_terminal_is_written_out(
    run: Run, lab: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setattr("fluxlab.alerts.Alerts.duplicates", lambda _: [])
    log = LabFolder(lab).cluster("here") / "logs" / "kustomize-controller.log"
    log.write_bytes(f"2026-11-22 12:06:00,000 ERROR {LOUD}\n".encode(errors="surrogatepass"))
    written = Entry(
        time=at(6), source=Source.PUSH, text=LOUD, actor=f"eve {LOUD}", object=ObjectRef(kind=LOUD, name="x")
    )
    alert = replace(written, source=Source.ALERT, part="slack hooks.slack.com", level=Level.ERROR)
    monkeypatch.setattr(query, "read_journal", lambda _: [written])
    monkeypatch.setattr("fluxlab.alerts.read_journal", lambda _: [alert])
    record = LabFolder(lab).read_record()
    assert record
    LabFolder(lab).write_record(record.changed(error=f"etcd died: {LOUD}"))
    shown = run(*words, "--lab=one").out
    assert QUIET in shown
    assert shown.isascii() or "\ufffd" in shown
    assert [sign for sign in LOUD if not sign.isprintable() and sign in shown] == []


def test_in_json_all_is_as_it_was_written(run: Run, lab: Path) -> None:
    loud = LOUD.partition(" \ud800")[0]
    say(lab, loud)
    [*_, line] = json.loads(run("timeline", "--lab=one", "--source=log", "-o", "json").out)
    assert line["text"] == f"unable to record event: {loud}"
