"""Edits by hand are told only where the audit log can tell them: none is a claim, too."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fluxlab.clusters.capabilities import Footing
from fluxlab.clusters.root import Root
from fluxlab.drift.aspects import DriftClass
from fluxlab.drift.trail import follow, trail
from fluxlab.errors import UnknownError
from fluxlab.redaction import Redactor
from fluxlab.state import LabFolder
from fluxlab.timeline.entries import Detail, Entry, FieldChange, ObjectRef, Source, format_time
from fluxlab.timeline.folder import RECORDER, TimelineFolder
from fluxlab.timeline.journal import Journal

BEGAN = datetime(2026, 11, 22, 14, tzinfo=UTC)
HOUR = timedelta(hours=1)
ANSWERED = timedelta(milliseconds=5)
"""How long a request took."""
CART = ObjectRef(kind="ConfigMap", namespace="shop", name="cart")


def request(at: datetime, **changes: object) -> str:
    """A line of the audit log: alice patches the ConfigMap."""
    line = {
        "auditID": format_time(at),
        "verb": "patch",
        "user": {"username": "alice"},
        "userAgent": "kubectl/v1.36.3",
        "requestURI": "/api/v1/namespaces/shop/configmaps/cart?fieldManager=kubectl-patch",
        "objectRef": {"resource": "configmaps", "namespace": "shop", "name": "cart"},
        "responseStatus": {"code": 200},
        "requestReceivedTimestamp": format_time(at),
        "stageTimestamp": format_time(at + ANSWERED),
    }
    return json.dumps({**line, **changes}, separators=(",", ":"))


WIDGETS = {"resource": "customresourcedefinitions", "name": "widgets.acme.io"}
DEFINITION: dict[str, object] = {
    "requestURI": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.acme.io?fieldManager=kubectl-edit",
    "objectRef": WIDGETS,
}
CLAIM: dict[str, object] = {
    "requestURI": "/apis/resource.k8s.io/v1/namespaces/shop/resourceclaims/gpu",
    "objectRef": {"resource": "resourceclaims", "namespace": "shop", "name": "gpu"},
}


def recorded(at: datetime) -> Entry:
    """What the watch saw of it."""
    return Entry(
        time=at + timedelta(milliseconds=10),
        source=Source.OBJECT,
        text="changed",
        cluster="one",
        object=CART,
        changes=[FieldChange(field=".data.colour", before='"red"', after=json.dumps(f"{at:%H:%M}"))],
        actor="kubectl-patch",
        details={
            Detail.VERB: "changed",
            Detail.VERSION: f"{at.timestamp():.0f}",
            Detail.RESOURCE: "/api/v1/configmaps",
            Detail.OWNER: "Kustomization flux-system/apps",
        },
    )


@pytest.fixture
def folder(tmp_path: Path) -> TimelineFolder:
    """A lab whose recorder saw two edits, an hour apart."""
    found = TimelineFolder(LabFolder(tmp_path / "lab"))
    audit_log(found).parent.mkdir(parents=True)
    Journal(found.journal(RECORDER), redactor=Redactor()).append([recorded(BEGAN), recorded(BEGAN + HOUR)])
    return found


def audit_log(folder: TimelineFolder) -> Path:
    return folder.lab.cluster("one") / "audit.log"


def write(file: Path, *times: datetime) -> None:
    file.write_text("".join(f"{request(at)}\n" for at in times))


def test_edits_are_told_where_the_audit_log_reaches_back_to_them(folder: TimelineFolder) -> None:
    write(audit_log(folder), BEGAN, BEGAN + HOUR)
    assert [edit.after for edit in trail(folder)] == ['"14:00"', '"15:00"']
    assert [edit.after for edit in trail(folder, since=BEGAN - HOUR)] == ['"14:00"', '"15:00"']
    assert trail(folder, since=BEGAN + 2 * HOUR) == []


def add(file: Path, at: datetime, **changes: object) -> None:
    with file.open("a") as lines:
        lines.write(f"{request(at, **changes)}\n")


def test_of_what_is_not_recorded_it_is_told_that_somebody_changed_it(folder: TimelineFolder) -> None:
    write(audit_log(folder), BEGAN, BEGAN + HOUR)
    add(audit_log(folder), BEGAN + HOUR / 2, **DEFINITION)
    add(audit_log(folder), BEGAN + 2 * HOUR, verb="delete", **CLAIM)
    told = [(str(edit.object), edit.class_, edit.actor.who) for edit in trail(folder)]
    assert told[1::2] == [
        ("customresourcedefinitions widgets.acme.io", DriftClass.UNKNOWN, "alice with kubectl-edit"),
        ("resourceclaims shop/gpu", DriftClass.UNKNOWN, "alice with kubectl"),
    ]
    [_, definition, _, claim] = trail(folder)
    assert definition.fortune == "what that patch changed, and whether it is still so, was not recorded"
    assert claim.fortune.startswith("what that delete changed")
    assert (definition.actor.verb, definition.actor.seen, definition.actor.confidence) == ("patch", None, "high")
    assert [str(edit.object) for edit in trail(folder, since=BEGAN + 1.5 * HOUR)] == ["resourceclaims shop/gpu"]
    edit = next(follow(folder, since=BEGAN + 1.5 * HOUR))
    assert str(edit.object) == "resourceclaims shop/gpu"


@pytest.mark.parametrize(
    "changes",
    [
        {"user": {"username": "system:apiserver"}},
        {"userAgent": "fluxlab"},
        {"responseStatus": {"code": 201}},  # it was made, and no namespace is filled with such
        {"responseStatus": {"code": 409}},
        {"verb": "get"},
        {"requestURI": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.acme.io?dryRun=All"},
        {"objectRef": {**WIDGETS, "subresource": "status"}},
    ],
)
def test_what_no_person_changed_of_what_is_not_recorded_is_no_edit(
    folder: TimelineFolder, changes: dict[str, object]
) -> None:
    write(audit_log(folder), BEGAN, BEGAN + HOUR)
    add(audit_log(folder), BEGAN + 2 * HOUR, **{**DEFINITION, **changes})
    assert len(trail(folder)) == 2


def test_what_was_there_before_the_lab_asks_for_no_audit_log(folder: TimelineFolder) -> None:
    write(audit_log(folder), BEGAN, BEGAN + HOUR)
    made = recorded(BEGAN - HOUR)  # by the lab that its seed was taken from
    found = replace(made, changes=(), details={**made.details, Detail.VERB: "created", Detail.GAP: "yes"})
    Journal(folder.journal(RECORDER), redactor=Redactor()).append([found])
    assert len(trail(folder)) == 2
    assert len(trail(folder, since=BEGAN - 2 * HOUR)) == 2


def test_where_nothing_was_changed_yet_nothing_was_changed_by_hand(tmp_path: Path) -> None:
    folder = TimelineFolder(LabFolder(tmp_path / "lab"))
    audit_log(folder).parent.mkdir(parents=True)
    write(audit_log(folder), BEGAN)
    assert trail(folder, since=BEGAN - HOUR) == []


def test_before_what_was_rotated_away_it_is_unknown(folder: TimelineFolder) -> None:
    write(audit_log(folder), BEGAN + HOUR)
    with pytest.raises(UnknownError, match="cluster one") as error:
        trail(folder)
    assert "fluxlab drift --since" in error.value.hint
    assert [edit.after for edit in trail(folder, since=BEGAN + HOUR + ANSWERED)] == ['"15:00"']
    rotated = audit_log(folder).with_name("audit-2026-11-22T14-30-00.000.log")
    write(rotated, BEGAN)
    assert len(trail(folder)) == 2


def test_what_the_recorder_missed_is_unknown_and_what_came_later_is_not(folder: TimelineFolder) -> None:
    write(audit_log(folder), BEGAN, BEGAN + HOUR)
    gap, end = "configmaps: what happened after 14:10 was not seen", BEGAN + HOUR / 2
    note = Entry(
        time=end,
        source=Source.RECORDER,
        text=gap,
        cluster="one",
        part=RECORDER,
        details={Detail.GAP: "yes"},
    )
    Journal(folder.journal(RECORDER), redactor=Redactor()).append([replace(note, cluster="other")])
    assert len(trail(folder)) == 2
    Journal(folder.journal(RECORDER), redactor=Redactor()).append([note])
    for ask in (trail, follow):
        with pytest.raises(UnknownError, match=f"cluster one can be told since {format_time(end)} only") as error:
            ask(folder, since=BEGAN)
        assert gap in error.value.facts
    assert [edit.after for edit in trail(folder, since=end)] == ['"15:00"']


def test_of_edits_whose_files_are_gone_it_is_not_said_that_there_were_none(tmp_path: Path) -> None:
    folder = TimelineFolder(LabFolder(tmp_path / "lab"))
    audit_log(folder).parent.mkdir(parents=True)
    write(audit_log(folder), BEGAN, BEGAN + HOUR)
    journal = Journal(folder.journal(RECORDER), redactor=Redactor(), segment_bytes=1, segments=3)
    for at in (BEGAN, BEGAN + HOUR / 2, BEGAN + HOUR):
        journal.append([recorded(at)])
    with pytest.raises(UnknownError, match="can be told since"):
        trail(folder, since=BEGAN)
    assert [edit.after for edit in trail(folder, since=BEGAN + HOUR)] == ['"15:00"']


def test_who_follows_goes_on_when_what_was_told_is_rotated_away(tmp_path: Path) -> None:
    folder = TimelineFolder(LabFolder(tmp_path / "lab"))
    audit_log(folder).parent.mkdir(parents=True)
    times = [datetime.now(UTC) - HOUR + timedelta(minutes=minute) for minute in range(5)]
    write(audit_log(folder), *times)
    journal = Journal(folder.journal(RECORDER), redactor=Redactor(), segment_bytes=1, segments=3)
    journal.append([recorded(times[0])])
    following = follow(folder, since=times[0])
    assert next(following).after == json.dumps(f"{times[0]:%H:%M}")
    for at in times[1:]:
        journal.append([recorded(at)])
    assert next(following).actor.user == "alice"


def test_without_its_audit_log_it_is_unknown(folder: TimelineFolder) -> None:
    for ask in (trail, follow):
        with pytest.raises(UnknownError, match="cluster one"):
            ask(folder, since=BEGAN)
    audit_log(folder).touch()
    with pytest.raises(UnknownError, match="cluster one"):
        trail(folder, since=BEGAN + HOUR)


@pytest.mark.parametrize("footing", [Footing.KIND, Footing.INSTALLED, Footing.GUEST])
def test_in_a_cluster_that_keeps_no_audit_log_it_is_unknown(folder: TimelineFolder, footing: Footing) -> None:
    Root(footing=footing).save(folder.lab.cluster("one"))
    for ask in (trail, follow):
        with pytest.raises(UnknownError, match="cluster one") as error:
            ask(folder, cluster="one")
        assert "audit" in str(error.value) or "control plane" in str(error.value)


def test_who_follows_is_told_when_the_audit_log_goes(folder: TimelineFolder) -> None:
    write(audit_log(folder), BEGAN, BEGAN + HOUR)
    following = follow(folder, since=BEGAN)
    assert [next(following).after, next(following).after] == ['"14:00"', '"15:00"']
    audit_log(folder).unlink()
    with pytest.raises(UnknownError, match="cluster one"):
        next(following)
