"""What the timeline is told of a cluster, when watches come, break and come back."""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Full
from typing import Any

import pytest

from fluxlab.clusters.api import ApiUnreachableError, KubeApi
from fluxlab.clusters.capabilities import Footing
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import CONFIG_MAP, EVENT, SECRET, Resource
from fluxlab.clusters.root import Root
from fluxlab.recorder.clusters import ClusterRecord
from fluxlab.recorder.recorder import Recorder
from fluxlab.recorder.watching import Listed, WatchEvent
from fluxlab.redaction import MASK, Redactor
from fluxlab.state import LabFolder
from fluxlab.timeline.entries import Detail, Entry
from fluxlab.timeline.folder import RECORDER, TimelineFolder
from fluxlab.timeline.journal import read_journal, segments_of

BEGAN = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def subject(name: str, version: int, *, made: float = 0, value: str = "1", kind: str = "ConfigMap") -> KubeObject:
    created = (BEGAN + timedelta(seconds=made)).strftime("%Y-%m-%dT%H:%M:%SZ")
    metadata = {
        "name": name,
        "namespace": "d",
        "uid": name,
        "resourceVersion": str(version),
        "creationTimestamp": created,
    }
    return KubeObject({"kind": kind, "metadata": metadata, "data": {"v": value}, "message": value})


def listed(*objects: KubeObject, version: int = 100, resource: Resource = CONFIG_MAP, **how: bool) -> Listed:
    return Listed(cluster="c", resource=resource, objects=objects, version=str(version), time=at(60), **how)


def seen(kind: str, found: KubeObject, *, resource: Resource = CONFIG_MAP, cluster: str = "c") -> WatchEvent:
    return WatchEvent(cluster=cluster, resource=resource, kind=kind, subject=found, time=at(5))


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


class Told:
    """What a ClusterRecord makes of some news."""

    def __init__(self, *, last: datetime | None = None) -> None:
        api: Any = None
        self.record = ClusterRecord("c", api, began=BEGAN, last=last, redactor=Redactor(), digest_key=b"key")

    def __call__(self, *news: Listed | WatchEvent) -> list[tuple[str, str]]:
        return [(str(entry.object), entry.text.split(" ")[0]) for entry in self.entries(*news) if entry.object]

    def entries(self, *news: Listed | WatchEvent) -> Sequence[Entry]:
        return [entry for one in news for entry in self.record.entries(one)]


def test_what_a_lab_began_with_is_no_news_and_what_was_made_since_is() -> None:
    assert Told()(listed(subject("old", 1, made=-10), subject("new", 2, made=3))) == [("ConfigMap d/new", "created")]


def test_after_a_break_all_that_differs_is_told_once_and_marked() -> None:
    told = Told()
    told(listed(subject("same", 1, made=-10), subject("other", 2, made=-10), subject("gone", 3, made=-10)))
    again = listed(subject("same", 1, made=-10), subject("other", 9, made=-10, value="2"), subject("fresh", 8, made=-5))
    entries = told.entries(again)
    assert [(str(entry.object), entry.text.split(" ")[0]) for entry in entries if entry.object] == [
        ("ConfigMap d/other", "changed"),
        ("ConfigMap d/fresh", "created"),  # whenever it was made: it was not there before
        ("ConfigMap d/gone", "deleted"),
    ]
    assert "was not seen" in entries[0].text
    assert all(entry.details[Detail.GAP] == "yes" for entry in entries[1:])
    assert told(again) == []


def test_a_state_that_the_timeline_knows_is_the_ground_for_what_follows() -> None:
    told = Told(last=at(10))
    assert told(listed(subject("a", 1, made=5), version=1, known=True)) == []
    assert told(seen("MODIFIED", subject("a", 2, made=5, value="2"))) == [("ConfigMap d/a", "changed")]
    assert told(seen("DELETED", subject("a", 3, made=5, value="2"))) == [("ConfigMap d/a", "deleted")]


def test_where_history_is_gone_only_what_was_made_since_is_told() -> None:
    told = Told(last=at(10))
    forgotten = listed(subject("a", 1, made=5), subject("b", 2, made=20), forgotten=True)
    assert told(forgotten) == [("ConfigMap d/b", "created")]


def test_events_are_told_once_whatever_breaks() -> None:
    def event(name: str, version: int) -> KubeObject:
        return subject(name, version, made=1, kind="Event")

    told = Told()
    assert len(told.entries(listed(event("a", 1), resource=EVENT))) == 1
    assert len(told.entries(seen("ADDED", event("b", 2), resource=EVENT))) == 1
    again = listed(event("a", 1), event("b", 2), event("c", 3), resource=EVENT)
    assert [entry.details[Detail.VERSION] for entry in told.entries(again)] == ["3"]
    back = Told(last=at(10))
    assert back.entries(listed(event("a", 1), version=1, resource=EVENT, known=True)) == []
    assert len(back.entries(listed(event("a", 1), event("b", 2), resource=EVENT))) == 1


class Api(KubeApi):
    """Answers, or not, when the recorder asks for the Secrets: there is one, if any."""

    def __init__(self, *, answers: bool, value: str = "") -> None:
        self.answers = answers
        self.value = value

    def list(self, resource: Resource, **_: object) -> list[KubeObject]:
        assert resource is SECRET
        if not self.answers:
            raise ApiUnreachableError("gone")
        return [secret(self.value)] if self.value else []


def secret(value: str) -> KubeObject:
    held = subject("token", 1, kind="Secret")
    return KubeObject({**held.raw, "data": {"token": base64.b64encode(value.encode()).decode()}})


def test_a_cluster_that_does_not_answer_holds_back_its_own_entries_only(tmp_path: Path) -> None:
    folder = TimelineFolder(LabFolder(tmp_path))
    dead, well = Api(answers=False), Api(answers=True)
    recorder = Recorder(folder, {"dead": dead, "well": well}, began=BEGAN)

    def written() -> list[str]:
        return [str(entry.object) for entry in read_journal(folder.journal(RECORDER))]

    recorder._write([seen("ADDED", subject("a", 1), cluster="dead"), seen("ADDED", subject("b", 2), cluster="well")])
    recorder._write([seen("ADDED", subject("later", 3), cluster="dead")])
    assert written() == ["ConfigMap d/b"]
    assert Recorder(folder, {}, began=BEGAN)._resume.version("dead", CONFIG_MAP.path()) == ""
    dead.answers = True
    recorder._write([])
    assert written() == ["ConfigMap d/b", "ConfigMap d/a", "ConfigMap d/later"]
    assert recorder._resume.version("dead", CONFIG_MAP.path()) == "3"


def test_a_recorder_that_is_killed_at_once_goes_on_also_where_there_was_nothing_to_tell_yet(tmp_path: Path) -> None:
    folder = TimelineFolder(LabFolder(tmp_path))
    recorder = Recorder(folder, {"c": Api(answers=True)}, began=BEGAN)
    recorder._write([listed(subject("old", 1, made=-10), version=100)])
    assert list(read_journal(folder.journal(RECORDER))) == []
    assert Recorder(folder, {}, began=BEGAN)._resume.version("c", CONFIG_MAP.path()) == "100"


def test_of_a_cluster_that_does_not_answer_no_more_is_held_than_there_is_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fluxlab.recorder.recorder.WAITING_CHANGES", 10)
    folder = TimelineFolder(LabFolder(tmp_path))
    dead, well = Api(answers=False), Api(answers=True)
    recorder = Recorder(folder, {"dead": dead, "well": well}, began=BEGAN)

    def write() -> None:
        for cluster in ("dead", "well"):
            recorder._write(recorder._take(cluster))

    def hear(numbers: Sequence[int], *, cluster: str) -> None:
        for number in numbers:
            recorder._news[cluster].put_nowait(seen("ADDED", subject(f"{cluster}-{number}", number), cluster=cluster))

    def written(cluster: str) -> list[str]:
        objects = [entry.object for entry in read_journal(folder.journal(RECORDER)) if entry.object]
        return [one.name for one in objects if one.name.startswith(cluster)]

    def names(cluster: str, count: int) -> list[str]:
        return [f"{cluster}-{number}" for number in range(count)]

    for numbers in (range(10), range(10, 20)):
        hear(numbers, cluster="dead")
        hear(numbers, cluster="well")
        write()
    with pytest.raises(Full):  # its watches wait, too
        hear([20], cluster="dead")
    assert (written("dead"), written("well")) == ([], names("well", 20))
    dead.answers = True
    write()
    write()
    assert written("dead") == names("dead", 20)


def test_a_folder_that_was_removed_does_not_come_back(tmp_path: Path) -> None:
    recorder = Recorder(TimelineFolder(LabFolder(tmp_path / "lab")), {}, began=BEGAN)
    with pytest.raises(OSError, match="was removed"):
        recorder._resume.save()
    assert not (tmp_path / "lab").exists()


FIRST, SECOND = "canary-of-the-first-day", "canary-of-the-second-day"


def journal_of(folder: TimelineFolder) -> str:
    return "".join(file.read_text() for file in segments_of(folder.journal(RECORDER)))


@pytest.mark.parametrize("by", ["list", "watch"])
def test_what_a_secret_held_before_a_recorder_was_killed_the_next_one_masks_too(tmp_path: Path, by: str) -> None:
    """The next one goes on where it finds only what took its place, and an object that still has the old value."""
    folder, api = TimelineFolder(LabFolder(tmp_path)), Api(answers=True, value=FIRST if by == "list" else SECOND)
    first = Recorder(folder, {"c": api}, began=BEGAN)
    if by == "watch":
        first._masking.see("c", secret(FIRST))
    first._write([seen("ADDED", subject("app", 2, made=1, value=FIRST))])
    api.value = SECOND
    second = Recorder(folder, {"c": api}, began=BEGAN)
    second._write([seen("ADDED", subject("app", 2, made=1, value=FIRST))])
    second._write([seen("MODIFIED", subject("app", 3, made=1, value=SECOND))])
    assert '.data.v: \\"[redacted]\\" -> \\"[redacted]\\"' in journal_of(folder)
    assert FIRST not in journal_of(folder)
    assert SECOND not in journal_of(folder)


def test_what_was_learned_is_for_its_owner_only_and_known_to_all_who_write_about_the_lab(tmp_path: Path) -> None:
    folder = TimelineFolder(LabFolder(tmp_path))
    recorder = Recorder(folder, {"c": Api(answers=False)}, began=BEGAN)
    recorder._masking.see("c", secret(FIRST))
    recorder._write([seen("ADDED", subject("app", 2))])  # it is held: the cluster does not answer any more
    assert folder.learned.stat().st_mode & 0o777 == 0o600
    assert folder.redactor().redact(FIRST) == MASK


def test_of_a_cluster_that_is_there_without_the_lab_no_value_is_kept(tmp_path: Path) -> None:
    folder = TimelineFolder(LabFolder(tmp_path))
    Root(footing=Footing.GUEST).save(folder.lab.cluster("somebodys"))
    apis = {"somebodys": Api(answers=True, value=FIRST), "ours": Api(answers=True, value=SECOND)}
    recorder = Recorder(folder, apis, began=BEGAN)
    recorder._write([seen("ADDED", subject("app", 2, value=FIRST), cluster=name) for name in apis])
    assert FIRST not in journal_of(folder)
    assert [file for file in tmp_path.rglob("*") if file.is_file() and FIRST.encode() in file.read_bytes()] == []
    assert SECOND in folder.learned.read_text()
