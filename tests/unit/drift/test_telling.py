"""What is told of an object that differs: by whom, and what becomes of it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from fluxlab.cluster import Cluster
from fluxlab.clusters.api import ApiUnreachableError
from fluxlab.clusters.capabilities import Capability
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import SECRET, Resource
from fluxlab.clusters.root import Root
from fluxlab.documents import Json, JsonObject
from fluxlab.drift.aspects import DriftClass, Mark
from fluxlab.drift.comparing import Compared
from fluxlab.drift.desired import Desired
from fluxlab.drift.fields import FieldDrift
from fluxlab.drift.records import Drift
from fluxlab.drift.telling import redactor_of, tell
from fluxlab.redaction import MASK, Redactor
from fluxlab.state import LabFolder
from fluxlab.timeline.entries import Detail, Entry, FieldChange, ObjectRef, Source
from fluxlab.timeline.folder import RECORDER, TimelineFolder
from fluxlab.timeline.journal import Journal
from fluxlab.timeline.learned import Learned

DATA = ObjectRef(kind="PersistentVolumeClaim", namespace="shop", name="data")
PLACE: JsonObject = {"namespace": "shop", "name": "data", "uid": "first"}
WANTED = KubeObject({"apiVersion": "v1", "kind": DATA.kind, "metadata": PLACE})
FINALIZERS = FieldChange(field=".metadata.finalizers", before=None, after='["a.b/c"]')
SIZE = FieldChange(field=".spec.size", before="2", after="1")


class Here(Cluster):
    """A cluster of which only name and root are asked."""

    def __init__(self) -> None:
        self.name = "one"
        self.root = Root()

    def lacks(self, _: Capability) -> str:
        return ""


def there(**metadata: Json) -> KubeObject:
    """The claim as its Kustomization has applied it."""
    managed: Json = [{"manager": "kustomize-controller", "operation": "Apply"}]
    return KubeObject(
        {**WANTED.raw, "metadata": {**PLACE, "resourceVersion": "5", "managedFields": managed, **metadata}}
    )


def told(folder: Path, live: KubeObject, *fields: FieldChange, suspend: bool = False) -> Sequence[Drift]:
    """As `told_of`, of fields that were changed or taken away."""
    drifts = [
        FieldDrift(class_=DriftClass.MODIFIED if one.before else DriftClass.REMOVED, change=one) for one in fields
    ]
    return told_of(folder, live, drifts, suspend=suspend)


def told_of(folder: Path, live: KubeObject, fields: Sequence[FieldDrift], *, suspend: bool = False) -> Sequence[Drift]:
    """What is told of the claim, of which alice has asked for the end if anybody has."""
    mark = FieldChange(field=".metadata.deletionTimestamp", before=None, after='"now"')
    changed = Entry(
        time=datetime(2026, 11, 22, 14, tzinfo=UTC),
        source=Source.OBJECT,
        text="",
        cluster="one",
        object=DATA,
        actor="alice",
        changes=[mark],
        details={
            Detail.VERB: "changed",
            Detail.VERSION: "5",
            Detail.UID: "first",
            Detail.AUDIT_ID: "x",
            Detail.USER: "alice",
        },
    )
    timeline = TimelineFolder(LabFolder(folder))
    Journal(timeline.journal(RECORDER), redactor=Redactor()).append([changed])
    spec: Json = {"interval": "10m", "suspend": suspend}
    owner = KubeObject({"kind": "Kustomization", "metadata": {"namespace": "n", "name": "apps"}, "spec": spec})
    desired = Desired(owner=owner, chain=[], manifests=[WANTED])
    compared = Compared(desired=desired, wanted=WANTED, live=live, fields=fields)
    return tell(Here(), timeline, [compared], [], rootless=False, redactor=Redactor(), stopped={}).drifts


@pytest.mark.parametrize("suspend", [False, True])
def test_what_waits_for_its_finalizers_is_deleted_by_who_asked_for_it(tmp_path: Path, *, suspend: bool) -> None:
    live = there(deletionTimestamp="2026-11-22T14:00:00Z", finalizers=["kubernetes.io/pvc-protection"])
    [one] = told(tmp_path, live, SIZE, suspend=suspend)
    assert (one.object, one.class_, one.actor.user) == (DATA, DriftClass.DELETED, "alice")
    assert one.fate.why.startswith("it is being deleted and waits for kubernetes.io/pvc-protection; ")
    assert (one.fate.reverted, Mark.SUSPENDED in one.marks) == (not suspend, suspend)


def test_a_finalizer_alone_stays_away_and_comes_back_with_what_else_is_reverted(tmp_path: Path) -> None:
    [alone] = told(tmp_path, there(), FINALIZERS)
    assert (alone.fate.reverted, alone.marks) == (False, (Mark.UNDETECTABLE,))
    both = told(tmp_path, there(), FINALIZERS, SIZE)
    assert [one.fate.reverted for one in both] == [True, True]


def test_what_flux_drops_because_the_api_has_no_such_field_stays_away_and_nobody_took_it(tmp_path: Path) -> None:
    dropped = FieldDrift(
        class_=DriftClass.REMOVED,
        change=FieldChange(field=".spec.siez", before=None, after='"1"'),
        undeclared=True,
    )
    [one] = told_of(tmp_path, there(), [dropped])
    assert (one.class_, one.pointer, one.desired, one.live) == (DriftClass.REMOVED, "/spec/siez", '"1"', None)
    assert (one.fate.reverted, one.marks) == (False, (Mark.UNDETECTABLE,))
    assert one.fate.why == "PersistentVolumeClaim has no such field: kustomize-controller drops it, and says nothing"
    assert (one.actor.who, one.actor.user) == ("kustomize-controller", "")


def test_a_report_is_masked_by_what_the_secrets_hold_and_by_what_they_held_before(tmp_path: Path) -> None:
    timeline = TimelineFolder(LabFolder(tmp_path))
    learned = Learned(timeline.learned)
    learned.add("canary-of-before")
    learned.save()

    def listed(resource: Resource, **_: object) -> list[KubeObject]:
        assert resource == SECRET
        return [KubeObject({"kind": "Secret", "data": {"a": "Y2FuYXJ5LW9mLW5vdw=="}})]

    def unheard(*_: object, **__: object) -> list[KubeObject]:
        raise ApiUnreachableError("nobody answers")

    clusters = [cast("Cluster", SimpleNamespace(name="one", api=SimpleNamespace(list=listed)))]
    assert redactor_of(clusters, timeline).redact("canary-of-now canary-of-before") == f"{MASK} {MASK}"
    clusters.append(cast("Cluster", SimpleNamespace(name="two", api=SimpleNamespace(list=unheard))))
    with pytest.raises(ApiUnreachableError):  # a report that quotes what may be secret is none
        redactor_of(clusters, timeline)
