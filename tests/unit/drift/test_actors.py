"""Who made a difference: never for sure by what was seen before somebody else did it, as long as the recorder lags."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fluxlab.clusters.managed_fields import Setter
from fluxlab.clusters.objects import KubeObject
from fluxlab.documents import JsonObject
from fluxlab.drift import actors
from fluxlab.drift.actors import Actors, up_to_date
from fluxlab.drift.aspects import Confidence, DriftClass
from fluxlab.drift.fields import FieldDrift
from fluxlab.redaction import Redactor
from fluxlab.state import LabFolder
from fluxlab.timeline.entries import Detail, Entry, FieldChange, ObjectRef, Source, format_time
from fluxlab.timeline.folder import RECORDER, TimelineFolder
from fluxlab.timeline.journal import Journal

BEGAN = datetime(2026, 11, 22, 14, tzinfo=UTC)
FLUX = "kustomize-controller"
CART = ObjectRef(kind="ConfigMap", namespace="shop", name="cart")


def seen(version: int, user: str, verb: str = "changed", *, after: str | None = None, uid: str = "first") -> Entry:
    """What the timeline has of a request."""
    changes = [FieldChange(field=".data.colour", before='"red"', after=json.dumps(after))] if after else []
    return Entry(
        time=BEGAN + timedelta(seconds=version),
        source=Source.OBJECT,
        text=verb,
        cluster="one",
        object=CART,
        changes=changes,
        actor=user,
        details={
            Detail.VERB: verb,
            Detail.VERSION: f"{version}",
            Detail.USER: user,
            Detail.AUDIT_ID: f"{version}",
            Detail.UID: uid,
        },
    )


def live(version: int, *, uid: str = "first") -> KubeObject:
    metadata: JsonObject = {"name": "cart", "namespace": "shop", "resourceVersion": f"{version}", "uid": uid}
    return KubeObject({"kind": "ConfigMap", "metadata": metadata})


def painted(colour: str) -> FieldDrift:
    change = FieldChange(field=".data.colour", before=json.dumps(colour), after='"red"')
    return FieldDrift(class_=DriftClass.MODIFIED, change=change, setter=Setter(manager="kubectl-edit"))


@pytest.fixture
def actors_after(tmp_path: Path) -> "Timeline":
    return Timeline(tmp_path)


class Timeline:
    """Who did it, as a timeline with some entries has it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, *entries: Entry) -> Actors:
        folder = TimelineFolder(LabFolder(self._folder))
        Journal(folder.journal(RECORDER), redactor=Redactor()).append(entries)
        return Actors(folder, cluster="one")


def test_who_set_a_field_is_known_when_the_timeline_has_the_object_as_it_is(actors_after: Timeline) -> None:
    actor = actors_after(seen(5, "alice", after="blue")).of_field(live(5), painted("blue"))
    assert (actor.user, actor.confidence) == ("alice", Confidence.HIGH)


def test_who_set_a_field_before_is_not_taken_for_who_did_it_since(actors_after: Timeline) -> None:
    actor = actors_after(seen(5, "alice", after="blue")).of_field(live(6), painted("green"))
    assert (actor.who, actor.confidence) == ("kubectl-edit", Confidence.LOW)


def test_what_is_as_the_timeline_saw_it_is_still_by_whom_it_saw(actors_after: Timeline) -> None:
    # Of a change that is none but of the managed fields it has no version.
    actor = actors_after(seen(5, "alice", after="blue")).of_field(live(6), painted("blue"))
    assert (actor.user, actor.confidence) == ("alice", Confidence.HIGH)


@pytest.mark.parametrize(
    ("entries", "user"),
    [
        ([seen(5, "alice", "deleted")], "alice"),
        ([seen(5, "alice", "deleted"), seen(6, "flux", "created", uid="second")], ""),
        ([seen(5, "bob", "deleted"), seen(6, "flux", "created"), seen(7, "alice", "deleted")], "alice"),
        ([seen(5, "alice", "deleted"), seen(4, "flux", "changed", after="red")], "alice"),  # heard of later
        ([], ""),
    ],
)
def test_who_deleted_an_object_before_it_came_back_did_not_delete_it_again(
    actors_after: Timeline, entries: Sequence[Entry], user: str
) -> None:
    actors = actors_after(*entries)
    assert actors.who_deleted(CART).user == user
    assert actors.know([], [CART]) is bool(user)


def marked(version: int, user: str, uid: str) -> Entry:
    mark = FieldChange(field=".metadata.deletionTimestamp", before=None, after='"now"')
    return replace(seen(version, user, uid=uid), changes=[mark])


def test_who_asked_for_the_end_of_an_object_is_known_while_that_waits(actors_after: Timeline) -> None:
    actors = actors_after(marked(2, "bob", "zeroth"), marked(5, "alice", "first"), seen(6, "carol", after="blue"))
    assert actors.who_ends(live(6)).user == "alice"
    assert actors.who_ends(live(9, uid="second")).confidence is Confidence.NONE


def test_who_asked_for_a_deletion_did_it_and_not_who_ran_the_finalizers(actors_after: Timeline) -> None:
    earlier = [marked(2, "bob", "zeroth"), seen(3, "flux", "deleted", uid="zeroth")]
    actors = actors_after(*earlier, marked(5, "alice", "first"), seen(6, "flux", "deleted"))
    assert actors.who_deleted(CART).user == "alice"
    assert actors_after(seen(8, "carol", "deleted", uid="second")).who_deleted(CART).user == "carol"


def test_who_made_an_object_before_did_not_make_the_one_that_is_there(actors_after: Timeline) -> None:
    actors = actors_after(seen(5, "alice", "created"), seen(6, "alice", "deleted"))
    assert actors.who_made(live(5)).user == "alice"
    assert actors.who_made(live(7, uid="second")).confidence is Confidence.NONE


def added(colour: str) -> FieldDrift:
    change = FieldChange(field=".data.colour", before=json.dumps(colour), after=None)
    return FieldDrift(
        class_=DriftClass.ADDED,
        change=change,
        setter=Setter(manager="node-fetch", time=format_time(BEGAN + timedelta(seconds=5))),
    )


def elsewhere(version: int) -> Entry:
    return replace(seen(version, "bob"), object=replace(CART, name="another"))


@pytest.mark.parametrize(
    ("entries", "by_flux"),
    [
        ([seen(5, FLUX, "created")], True),
        ([seen(4, FLUX, "created"), seen(5, "alice", after="red")], False),
        ([seen(4, "alice", "created"), seen(5, FLUX, after="red")], True),
        ([seen(5, "alice", "created")], False),
        ([seen(4, FLUX, "created")], False),  # what came since is not known
        ([seen(4, FLUX, "created"), elsewhere(8)], True),  # nothing that could be seen
        ([seen(4, FLUX, "created"), elsewhere(6)], False),
        ([seen(5, FLUX, "created", uid="earlier")], False),
    ],
)
def test_what_flux_set_last_git_has_named_once(
    actors_after: Timeline, entries: Sequence[Entry], *, by_flux: bool
) -> None:
    assert actors_after(*entries).set_by_flux(live(5), added("red")) is by_flux


SUSPENDED = FieldChange(field=".spec.suspend", before=None, after="true")
HANDLED = FieldChange(field=".status.lastHandledReconcileAt", before=None, after='"please"')


@pytest.mark.parametrize(
    ("changes", "acknowledged"),
    [
        ([SUSPENDED, HANDLED], True),
        ([HANDLED, SUSPENDED], False),
        ([SUSPENDED], False),
        ([HANDLED], False),  # the timeline does not know when it was suspended
    ],
)
def test_who_acknowledges_a_request_while_suspended_is_told(
    actors_after: Timeline, changes: Sequence[FieldChange], *, acknowledged: bool
) -> None:
    entries = [replace(seen(5 + number, "alice"), changes=(one,)) for number, one in enumerate(changes)]
    assert actors_after(*entries).acknowledged_in_sleep(live(9)) is acknowledged


def test_what_was_made_since_the_timeline_began_and_is_not_told_of_is_unseen(actors_after: Timeline) -> None:
    def made(second: int, *, uid: str, name: str = "cart") -> KubeObject:
        time = format_time(BEGAN + timedelta(seconds=second))
        metadata: JsonObject = {"name": name, "namespace": "shop", "uid": uid, "creationTimestamp": time}
        return KubeObject({"kind": "ConfigMap", "metadata": metadata})

    actors = actors_after(seen(5, "alice", "created", uid="told"), seen(9, "alice", uid="told"))
    told, older, missed, other = (
        made(5, uid="told"),
        made(4, uid="old"),
        made(7, uid="another"),
        made(6, uid="x", name="y"),
    )
    assert actors.unseen([told, older, missed, other]) == [missed, other]
    assert actors_after().unseen([told]) == []
    assert Actors(TimelineFolder(LabFolder(Path("nowhere"))), cluster="one").unseen([told]) == []


def test_who_made_an_object_is_waited_for_only_while_the_recorder_may_not_have_seen_it(
    actors_after: Timeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content: list[bool] = []

    def look_once(check: Callable[[], bool], **_: object) -> None:
        content.append(check())

    monkeypatch.setattr(actors, "wait_until", look_once)

    def waits_for(uid: str, *, age: timedelta = timedelta()) -> bool:
        metadata: JsonObject = {"name": "cart", "namespace": "shop", "uid": uid, "resourceVersion": "5"}
        made = {**metadata, "creationTimestamp": format_time(datetime.now(UTC) - age)}
        subject = KubeObject({"kind": "ConfigMap", "metadata": made})
        up_to_date(TimelineFolder(LabFolder(tmp_path)), cluster="one", there=(), made=[subject], gone=())
        return not content[-1]

    actors_after(seen(5, "alice", "created", uid="seen"))
    assert not waits_for("seen")
    assert not waits_for("older", age=timedelta(hours=1))  # than the lab, perhaps
    assert waits_for("new")
