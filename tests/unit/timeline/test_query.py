"""What a person types finds what they mean."""

import functools
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fluxlab.errors import UsageError
from fluxlab.gateway.requestlog import Entry as Request
from fluxlab.gateway.requestlog import RequestLog
from fluxlab.logs import bound_logs
from fluxlab.redaction import Redactor
from fluxlab.state import LabFolder
from fluxlab.timeline import journal, loglines
from fluxlab.timeline import query as module
from fluxlab.timeline.audit import is_person, read_audit, short_user
from fluxlab.timeline.entries import Detail, Entry, Level, ObjectRef, Source, format_time, from_line
from fluxlab.timeline.folder import RECORDER, SUPERVISOR, TimelineFolder
from fluxlab.timeline.issues import issue_references
from fluxlab.timeline.journal import Journal
from fluxlab.timeline.loglines import read_log_lines
from fluxlab.timeline.query import Query, ask, ask_logs, matches, news
from fluxlab.timeline.requests import read_requests
from fluxlab.timeline.times import parse_moment

NOW = datetime(2026, 11, 22, 14, 30, tzinfo=UTC)
CART = ObjectRef(kind="NetworkPolicy", namespace="shop", name="cart")


@pytest.mark.parametrize(
    "text", ["cart", "shop/cart", "networkpolicy/cart", "networkpolicies/shop/cart", "NetworkPolicy shop/cart"]
)
def test_an_object_is_found_by_any_of_its_names(text: str) -> None:
    assert CART.answers_to(text)


@pytest.mark.parametrize("text", ["car", "other/cart", "deployment/cart", "networkpolicy/other/cart", "a/b/c/cart", ""])
def test_another_object_is_not(text: str) -> None:
    assert not CART.answers_to(text)


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ("Scale cart (#42)", ("#42",)),
        ("OPS-7: fix it\n\nCloses #42, #42 and acme/fleet#9", ("OPS-7", "#42", "acme/fleet#9")),
        ("See https://github.com/acme/fleet/issues/12.", ("#12",)),
        ("https://gitlab.example/a/b/-/merge_requests/5", ("#5",)),
        ("Use UTF-8 and SHA-256, colour #ffffff, a#1b, &#39;", ()),
        ("", ()),
    ],
)
def test_issues_are_found_in_messages(message: str, found: tuple[str, ...]) -> None:
    assert issue_references(message) == found


def test_times_are_read_as_people_type_them() -> None:
    local = NOW.astimezone()
    assert parse_moment("5m", now=NOW) == NOW - timedelta(minutes=5)
    assert parse_moment("1h30m", now=NOW) == NOW - timedelta(minutes=90)
    assert parse_moment("1.5s", now=NOW) == NOW - timedelta(seconds=1.5)
    assert parse_moment(f"{local:%H:%M}", now=NOW) == NOW
    assert parse_moment("2026-11-22T14:02:00Z", now=NOW) == datetime(2026, 11, 22, 14, 2, tzinfo=UTC)
    tonight = local + timedelta(hours=2)
    assert parse_moment(f"{tonight:%H:%M:%S}", now=NOW) == NOW + timedelta(hours=2) - timedelta(days=1)


@pytest.mark.parametrize("text", ["", "soon", "25:00", "5x", "m", "-5m", "9999999999999d"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no time"):
        parse_moment(text, now=NOW)


def entry(source: Source, level: Level = Level.INFO, **fields: object) -> Entry:
    return Entry(time=NOW, source=source, text="x", level=level, **fields)  # type: ignore[arg-type]


def test_without_filters_programs_are_heard_only_when_they_fail() -> None:
    usual = Query()
    assert matches(entry(Source.OBJECT), usual)
    assert not matches(entry(Source.OBJECT, Level.DEBUG), usual)
    assert not matches(entry(Source.LOG, Level.WARNING, part="c/kustomize-controller"), usual)
    assert matches(entry(Source.LOG, Level.ERROR, part="c/kustomize-controller"), usual)
    assert not matches(entry(Source.LOG, Level.ERROR, part="c/kube-controller-manager"), usual)
    assert matches(entry(Source.LOG, Level.DEBUG, part="c/etcd"), Query(sources=frozenset({Source.LOG})))
    assert matches(entry(Source.LOG, Level.WARNING, part="c/etcd"), Query(level=Level.INFO))


def test_each_filter_narrows_the_answer() -> None:
    mine = entry(Source.OBJECT, cluster="a", commit="abcdef", issues=("#42",), object=CART)
    hour = timedelta(hours=1)
    for query in (
        Query(since=NOW),
        Query(until=NOW),
        Query(commit="abc"),
        Query(issue="42"),
        Query(issue="#42"),
        Query(cluster="a"),
        Query(subject="cart"),
    ):
        assert matches(mine, query), query
    for query in (
        Query(since=NOW + hour),
        Query(until=NOW - hour),
        Query(commit="abd"),
        Query(issue="4"),
        Query(cluster="b"),
        Query(subject="quote"),
        Query(sources=frozenset({Source.PUSH})),
        Query(level=Level.WARNING),
    ):
        assert not matches(mine, query), query


LINES = {
    '{"level":"error","ts":"2026-11-22T18:02:58.515Z","msg":"failed","controllerKind":"Kustomization","name":"apps",'
    f'"namespace":"flux-system","error":"boom","revision":"main@sha1:{"a" * 40}"}}': (Level.ERROR, "failed: boom"),
    '{"time":"2026-11-22T18:02:59.142798333Z","level":"INFO","msg":"Watch all nodes"}': (Level.INFO, "Watch all nodes"),
    "W1122 18:02:56.695742   16710 logging.go:55] [core] lost": (Level.WARNING, "[core] lost"),
    "2026-11-22 18:04:02,153 WARNING fluxlab.x: slow": (Level.WARNING, "fluxlab.x: slow"),
    'time="2026-11-22T18:02:58.5Z" level=error msg="no \\"such\\" blob" go.version=go1': (
        Level.ERROR,
        'no \\"such\\" blob',
    ),
}


@pytest.mark.parametrize("line", LINES)
def test_the_lines_of_all_programs_are_understood(tmp_path: Path, line: str) -> None:
    file = tmp_path / "some.log"
    file.write_text(f"{line}\n  and more of it\n")
    [first, more] = read_log_lines(file, part="c/some")
    assert (first.entry.level, first.entry.text) == LINES[line]
    assert first.entry.time.year == 2026
    assert first.raw == line
    assert (more.entry.time, more.entry.level) == (first.entry.time, first.entry.level)


@pytest.fixture(params=["UTC", "<+14>-14", "<-11>11"])
def _in_a_time_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as changed:
        changed.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_in_a_time_zone")
@pytest.mark.parametrize(
    ("written", "line", "meant"),
    [
        ("2027-01-02T12:00", "1231", "2026-12-31"),
        ("2027-01-02T12:00", "0102", "2027-01-02"),
        ("2027-01-02T12:00", "0103", "2027-01-03"),  # the clock was set back
        ("2026-12-31T23:59", "1231", "2026-12-31"),
        ("2027-01-01T11:30", "0101", "2027-01-01"),
        ("2026-12-31T23:59", "0101", "2027-01-01"),
        ("2027-01-01T00:00", "1231", "2026-12-31"),
        ("2029-01-02T12:00", "0229", "2028-02-29"),
    ],
)
def test_a_line_that_names_no_year_is_not_of_a_time_after_the_last_one(
    tmp_path: Path, written: str, line: str, meant: str
) -> None:
    file = tmp_path / "some.log"
    file.write_text(f"I{line} 11:00:00.000000   16710 logging.go:55] x\n")
    moment = datetime.fromisoformat(written).timestamp()
    os.utime(file, (moment, moment))
    [found] = read_log_lines(file, part="c/some")
    assert found.entry.time == datetime.fromisoformat(f"{meant}T11:00").astimezone()


def test_a_controllers_line_names_object_and_commit(tmp_path: Path) -> None:
    file = tmp_path / "some.log"
    file.write_text(next(iter(LINES)) + "\n")
    [line] = read_log_lines(file, part="c/kustomize-controller", cluster="c")
    assert line.entry.object == ObjectRef(kind="Kustomization", namespace="flux-system", name="apps")
    assert line.entry.commit == "a" * 40


@pytest.mark.parametrize("rubbish", ["{", "{}", '{"ts": 5}', "E9999 99:99:99.1 1 x.go:1] y", "\x00\xff", '{"ts":"x"}'])
def test_rubbish_in_a_log_is_a_line_without_a_time(tmp_path: Path, rubbish: str) -> None:
    file = tmp_path / "some.log"
    file.write_text(f"{rubbish}\n")
    [line] = read_log_lines(file, part="x")
    assert line.raw == rubbish
    assert line.entry.level is Level.DEBUG


def test_the_audit_log_tells_who_did_what(tmp_path: Path) -> None:
    raw = {
        "auditID": "1",
        "verb": "patch",
        "requestURI": "/apis/apps/v1/namespaces/shop/deployments/cart?fieldManager=x",
        "user": {"username": "ada"},
        "impersonatedUser": {"username": "bob"},
        "userAgent": "kubectl/1",
        "objectRef": {"resource": "deployments", "namespace": "shop", "name": "cart"},
        "responseStatus": {"code": 403},
        "requestReceivedTimestamp": "2026-11-22T14:00:00.000000Z",
        "stageTimestamp": "2026-11-22T14:00:00.100000Z",
    }
    dry = {**raw, "auditID": "2", "requestURI": raw["requestURI"] + "&dryRun=All"}  # type: ignore[operator]
    log = tmp_path / "audit.log"
    log.write_text(f"{json.dumps(raw, separators=(',', ':'))}\nrubbish\n{json.dumps(dry, separators=(',', ':'))}\n")
    refused, tried = read_audit(tmp_path, cluster="c")
    assert refused.actor == "ada as bob"
    assert refused.level is Level.WARNING
    assert str(refused.object) == "deployments shop/cart"
    assert "fieldManager" not in refused.text
    assert refused.details[Detail.MANAGER] == "x"
    assert tried.level is Level.DEBUG
    assert not list(read_audit(tmp_path, cluster="c", until=NOW - timedelta(hours=1)))
    reads = [{**raw, "verb": verb, "userAgent": '"verb":"patch"'} for verb in ("get", "list", "watch")]
    write = {**raw, "auditID": "3", "userAgent": '"verb":"get"'}
    log.write_text("".join(json.dumps(one, separators=(",", ":")) + "\n" for one in [*reads, write]))
    assert len(list(read_audit(tmp_path, cluster="c"))) == 4
    [found] = read_audit(tmp_path, cluster="c", writes_only=True)
    assert found.details[Detail.AUDIT_ID] == "3"


class AuditLog:
    """The audit log of a cluster, as the API server writes and rotates it (lumberjack)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rotations = 0

    def write(self, audit_id: str) -> None:
        raw = {
            "auditID": audit_id,
            "verb": "patch",
            "requestURI": "/api/v1/namespaces/shop/configmaps/cart",
            "user": {"username": "ada"},
            "responseStatus": {"code": 200},
            "requestReceivedTimestamp": format_time(NOW),
            "stageTimestamp": format_time(NOW),
        }
        with (self._folder / "audit.log").open("a") as log:
            log.write(json.dumps(raw, separators=(",", ":")) + "\n")

    def rotate(self) -> None:
        self._rotations += 1
        (self._folder / "audit.log").rename(self._folder / f"audit-2026-11-22T14-0{self._rotations}-00.000.log")


@pytest.fixture
def audit_log(tmp_path: Path) -> AuditLog:
    """One that was rotated once."""
    log = AuditLog(tmp_path)
    log.write("1")
    log.rotate()
    log.write("2")
    return log


def test_an_audit_log_that_is_rotated_while_it_is_read_is_read_to_its_end(tmp_path: Path, audit_log: AuditLog) -> None:
    found = read_audit(tmp_path, cluster="c")
    ids = [next(found).details[Detail.AUDIT_ID]]
    audit_log.write("3")
    audit_log.rotate()
    audit_log.write("4")
    ids += [entry.details[Detail.AUDIT_ID] for entry in found]
    assert ids == ["1", "2", "3"]


def test_an_audit_log_that_is_rotated_before_it_is_read_has_all(tmp_path: Path, audit_log: AuditLog) -> None:
    audit_log.rotate()  # there is no new one yet
    assert [entry.details[Detail.AUDIT_ID] for entry in read_audit(tmp_path, cluster="c")] == ["1", "2"]
    audit_log.write("3")
    assert [entry.details[Detail.AUDIT_ID] for entry in read_audit(tmp_path, cluster="c")] == ["1", "2", "3"]


@pytest.mark.parametrize(("selectors", "selected"), [("", False), ("?labelSelector=app%3Dcart", True),
                                                      ("?limit=5&fieldSelector=metadata.name%3Dx", True)])  # fmt: skip
def test_the_audit_log_tells_of_which_collection_objects_were_deleted(
    tmp_path: Path, selectors: str, selected: bool
) -> None:
    raw = {
        "auditID": "1",
        "verb": "deletecollection",
        "requestURI": f"/api/v1/namespaces/shop/configmaps{selectors}",
        "user": {"username": "carol"},
        "objectRef": {"resource": "configmaps", "namespace": "shop", "apiVersion": "v1"},
        "responseStatus": {"code": 200},
        "requestReceivedTimestamp": "2026-11-22T14:00:00.000000Z",
        "stageTimestamp": "2026-11-22T14:00:00.100000Z",
    }
    log = tmp_path / "audit.log"
    log.write_text(json.dumps(raw, separators=(",", ":")) + "\n")
    [found] = read_audit(tmp_path, cluster="c")
    assert found.object is None
    assert (found.details[Detail.RESOURCE], found.details[Detail.NAMESPACE]) == ("configmaps", "shop")
    assert (Detail.SELECTED in found.details) is selected


def test_people_and_programs_are_told_apart() -> None:
    assert is_person("admin")
    assert not is_person("system:serviceaccount:flux-system:helm-controller")
    assert not is_person(
        "system:serviceaccount:flux-system:kustomize-controller as system:serviceaccount:shop:deployer"
    )
    assert not is_person("system:serviceaccount:kube-system:deployment-controller")
    assert is_person("system:serviceaccount:tools:dashboard")  # it does what somebody asked of it
    assert not is_person("")
    assert short_user("system:serviceaccount:flux-system:helm-controller") == "helm-controller"
    assert short_user("system:kube-scheduler") == "kube-scheduler"
    tenants = "system:serviceaccount:team-a:flux"
    assert (
        short_user(f"system:serviceaccount:flux-system:helm-controller as {tenants}") == f"helm-controller as {tenants}"
    )
    assert short_user("admin as alice") == "admin as alice"


def test_requests_that_fail_are_warnings_and_half_a_line_is_no_entry(tmp_path: Path) -> None:
    log = tmp_path / "gateway.log"
    asked = {"time": "2026-11-22T14:00:00.000Z", "asked_by": "c.source-controller", "host": "github.com"}
    line = {**asked, "method": "GET", "path": "/x", "status": 502, "bytes": 0, "duration_ms": 1.0, "note": "reset"}
    log.write_text(json.dumps(line) + "\n" + json.dumps({**line, "status": 200}) + "\n" + '{"time": "2026')
    failed, fine = read_requests(log)
    assert (failed.level, fine.level) == (Level.WARNING, Level.DEBUG)
    assert (failed.actor, failed.cluster) == ("source-controller", "c")
    assert "https://github.com/x: 502 (reset)" in failed.text


def test_a_request_log_that_gives_way_while_it_is_read_is_read_to_its_end(tmp_path: Path) -> None:
    log = tmp_path / "gateway.log"
    for path in ("/older", "/newer"):
        size = 1 if path == "/older" else 1000  # it moves aside at once, or not
        asked = Request(asked_by="c.x", host="h", method="GET", path=path, status=200, bytes=0, duration_ms=1)
        RequestLog(log, Redactor(), maximum_bytes=size).write(asked)
    found = read_requests(log)
    first = next(found)
    log.replace(tmp_path / "gateway.log.1")
    log.touch()
    assert [entry.text for entry in (first, *found)] == ["GET https://h/older: 200", "GET https://h/newer: 200"]


def test_a_lab_without_a_timeline_has_an_empty_one(tmp_path: Path) -> None:
    assert ask(TimelineFolder(LabFolder(tmp_path)), Query()) == []


@pytest.mark.parametrize(
    "rubbish",
    [
        '{"stageTimestamp":"2026-11-2{"stageTimestamp":"2026-11-22T14:00:00Z"}',
        '{"stageTimestamp":"2026-11-22T14:00:00Z","auditID":"1","responseStatus":"x"}',
        '{"stageTimestamp":"2026-11-22T14:00:00Z"}',
        '{"stageTimestamp":"2026-11-22T14:00:00Z","auditID":"1","requestReceivedTimestamp":"then"}',
        '{"stageTimestamp":"2026-11-22T14:00:00Z"',
        '["stageTimestamp":"2026-11-22T14:00:00Z"]',
    ],
)
def test_a_damaged_line_of_the_audit_log_is_named_or_left_out(tmp_path: Path, rubbish: str) -> None:
    log = tmp_path / "audit.log"
    log.write_text(f"{rubbish}\n")
    assert all("cannot be read" in entry.text for entry in read_audit(tmp_path, cluster="c"))


def test_what_was_moved_aside_of_a_log_is_still_searched(tmp_path: Path) -> None:
    folder = LabFolder(tmp_path)
    log = folder.supervisor_log
    log.parent.mkdir(parents=True, exist_ok=True)
    log.with_name(f"{log.name}.1").write_text("2026-11-22 14:00:00,000 INFO older\n")
    log.write_text("2026-11-22 14:00:01,000 ERROR newer\nwith a second line\n")
    found = ask_logs(TimelineFolder(folder), Query(), component="supervisor")
    assert [line.entry.text for line in found] == ["older", "newer", "with a second line"]
    assert [line.entry.level for line in found] == [Level.INFO, Level.ERROR, Level.ERROR]


def test_a_log_that_would_move_aside_while_it_is_searched_is_searched_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = LabFolder(tmp_path)
    log = folder.supervisor_log
    log.with_name(f"{log.name}.1").write_text("2026-11-22 14:00:00,000 INFO older\n")
    log.write_text("2026-11-22 14:00:01,000 ERROR newer\n")
    plain = loglines._entry

    def seen(*line: object, **of: object) -> object:
        bound_logs(folder, maximum_bytes=log.stat().st_size - 1)
        return plain(*line, **of)  # type: ignore[arg-type]

    monkeypatch.setattr(loglines, "_entry", seen)
    found = ask_logs(TimelineFolder(folder), Query(), component="supervisor")
    assert [line.entry.text for line in found] == ["older", "newer"]


@pytest.mark.parametrize("query", [Query(since=NOW), Query(subject="cart"), Query(sources=frozenset({Source.EVENT}))])
def test_the_message_of_a_commit_is_told_though_the_commit_was_not_asked_for(tmp_path: Path, query: Query) -> None:
    folder, commit = TimelineFolder(LabFolder(tmp_path)), "c" * 40
    pushed = Entry(
        time=NOW - timedelta(minutes=1),
        source=Source.COMMIT,
        text="Scale cart (#42)",
        commit=commit,
        issues=("#42",),
        details={Detail.SUBJECT: "Scale cart (#42)"},
    )
    event = entry(Source.EVENT, cluster="c", object=CART, details={Detail.REVISION: f"main@sha1:{commit}"})
    Journal(folder.journal(SUPERVISOR), redactor=Redactor()).append([pushed])
    Journal(folder.journal(RECORDER), redactor=Redactor()).append([event])
    [found] = ask(folder, query)
    assert (found.commit, found.issues) == (commit, ("#42",))
    assert found.details[Detail.SUBJECT] == "Scale cart (#42)"


class Bench:
    """A lab's timeline that is followed; in each pause one more thing happens."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = TimelineFolder(LabFolder(root))
        self._journal = Journal(self.folder.journal(RECORDER), redactor=Redactor(), segment_bytes=2000, segments=3)
        self._audit_log = self.folder.lab.cluster("c") / "audit.log"
        self._audit_log.parent.mkdir(parents=True)
        self._monkeypatch = monkeypatch

    def see(self, text: str, seconds: float, version: int, **details: str) -> None:
        """The recorder writes of a change at that time, whenever that is."""
        seen = {Detail.VERB: "changed", Detail.VERSION: str(version), Detail.RESOURCE: "/api/v1/configmaps", **details}
        subject = ObjectRef(kind="ConfigMap", namespace="shop", name="cart")
        time_ = NOW + timedelta(seconds=seconds)
        self._journal.append(
            [Entry(time=time_, source=Source.OBJECT, text=text, cluster="c", object=subject, details=seen)]
        )

    def ask_for(self, seconds: float, user: str) -> None:
        """Somebody patches the object."""
        moment = format_time(NOW + timedelta(seconds=seconds))
        raw = {
            "auditID": f"{user}-{seconds}",
            "verb": "patch",
            "requestURI": "/api/v1/namespaces/shop/configmaps/cart",
            "user": {"username": user},
            "objectRef": {"resource": "configmaps", "namespace": "shop", "name": "cart"},
            "responseStatus": {"code": 200},
            "requestReceivedTimestamp": moment,
            "stageTimestamp": moment,
        }
        with self._audit_log.open("a") as log:
            log.write(json.dumps(raw, separators=(",", ":")) + "\n")

    def follow(self, query: Query, *happenings: Callable[[], None]) -> list[list[str]]:
        """What is told at first and after each that tells anything; with who it was, where that is known."""
        left = [*happenings, self._stop]
        self._monkeypatch.setattr(time, "sleep", lambda _: left.pop(0)())
        told: list[list[str]] = []
        with suppress(InterruptedError):
            for entries in news(self.folder, query, begin_with=-1):
                told += [[" by ".join(filter(None, [entry.text, entry.actor])) for entry in entries]]
        return told

    def _stop(self) -> None:
        raise InterruptedError


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def test_who_follows_is_told_what_was_heard_long_after_it_happened_and_each_thing_once(bench: Bench) -> None:
    bench.see("old", 0, 1)
    told = bench.follow(
        Query(),
        lambda: bench.see("new", 100, 3),
        lambda: bench.see("late", 20, 2),  # the API server was down
        lambda: bench.see("newer", 101, 4),
        lambda: None,
    )
    assert told == [["old"], ["new"], ["late"], ["newer"]]
    assert [entry.text for entry in ask(bench.folder, Query())] == ["old", "late", "new", "newer"]


def test_who_follows_is_told_who_did_what_was_heard_late(bench: Bench) -> None:
    bench.ask_for(-500, "ada")
    bench.see("new", 100, 3)
    told = bench.follow(Query(), lambda: bench.see("late", 101, 2, late="yes"))
    assert told == [["patch /api/v1/namespaces/shop/configmaps/cart: 200 by ada", "new"], ["late by ada"]]


def test_who_follows_is_not_told_what_happened_before_the_time_that_was_asked_for(bench: Bench) -> None:
    query = Query(since=NOW + timedelta(seconds=50))
    bench.ask_for(40, "ada")
    told = bench.follow(
        query,
        lambda: bench.see("new", 100, 3),
        lambda: bench.see("late", 20, 2),
        lambda: bench.see("by ada before that", 101, 4, late="yes"),
    )
    assert told == [[], ["new"]]
    assert [entry.text for entry in ask(bench.folder, query)] == ["new"]


def test_who_follows_reads_each_line_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def parsed(line: str) -> Entry:
        read.append(line)
        return from_line(line)

    monkeypatch.setattr(journal, "from_line", parsed)
    happenings = [functools.partial(bench.see, f"entry {number}", number, number) for number in range(20)]
    bench.see("old", 0, 1)
    assert sum(map(len, bench.follow(Query(), *happenings))) >= 20
    assert len(read) == 21
    assert len(set(read)) == 21


def test_while_nothing_is_written_nothing_is_read(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Path] = []

    def looked(place: Path, **of: object) -> Iterator[Entry]:
        looks.append(place)
        return read_audit(place, **of)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "read_audit", looked)
    monkeypatch.setattr(module, "SETTLING", timedelta(minutes=10))
    bench.see("old", 0, 1)
    idle = [lambda: None] * 5
    told = bench.follow(Query(), *idle, lambda: bench.see("new", 1, 2), *idle, lambda: bench.ask_for(2, "ada"), *idle)
    assert told == [["old"], ["new"], ["patch /api/v1/namespaces/shop/configmaps/cart: 200 by ada"]]
    assert len(looks) == 3


def test_what_is_told_only_once_it_has_settled_is_told_although_nothing_more_is_written(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request is told with the change that it made, which comes a moment later; without one a while after it."""
    monkeypatch.setattr(module, "SETTLING", timedelta(seconds=0.05))
    bench.see("old", 0, 1)
    pause = time.sleep
    asked = (datetime.now(UTC) - NOW).total_seconds()
    told = bench.follow(Query(), lambda: bench.ask_for(asked, "ada"), lambda: pause(0.1), lambda: None)
    assert told == [["old"], ["patch /api/v1/namespaces/shop/configmaps/cart: 200 by ada"]]


def test_who_follows_for_long_is_told_only_once_that_the_oldest_is_gone(bench: Bench) -> None:
    happenings = [functools.partial(bench.see, f"entry {number}", number, number) for number in range(60)]
    told = [text for texts in bench.follow(Query(), *happenings) for text in texts]
    assert [text for text in told if text.startswith("entry")] == [f"entry {number}" for number in range(60)]
    assert len(told) == 61
