"""What a timeline tells of edits by hand: each field, by whom, and what became of it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fluxlab.clusters.loans import BORROWER
from fluxlab.clusters.objects import KubeObject
from fluxlab.documents import Json, JsonObject
from fluxlab.drift.aspects import DriftClass, Times, Voice
from fluxlab.drift.edits import Edit, added_by_hand, edits
from fluxlab.timeline.entries import Detail, Entry, FieldChange, ObjectRef, Source, format_time

CART = ObjectRef(kind="ConfigMap", namespace="shop", name="cart")
APPS = ObjectRef(kind="Kustomization", namespace="flux-system", name="apps")
BEGAN = datetime(2026, 11, 22, 14, tzinfo=UTC)
FLUX = "system:serviceaccount:flux-system:kustomize-controller"


def entry(second: float, user: str, *changes: tuple[str, str | None, str | None], verb: str = "changed") -> Entry:
    return Entry(
        time=BEGAN + timedelta(seconds=second),
        source=Source.OBJECT,
        text=verb,
        object=CART,
        changes=[FieldChange(field=field, before=before, after=after) for field, before, after in changes],
        actor=user.rpartition(":")[2],
        details={Detail.VERB: verb, Detail.USER: user, Detail.OWNER: str(APPS), Detail.AUDIT_ID: "1"},
    )


def told(found: Sequence[Edit]) -> list[tuple[str, DriftClass, str | None, str | None, str]]:
    return [(one.field, one.class_, one.before, one.after, one.fortune) for one in found]


def test_an_edit_that_flux_has_reverted_is_told_with_how_long_it_lasted() -> None:
    found = edits(
        [
            entry(0, "alice", (".data.colour", '"red"', '"blue"')),
            entry(0.2, FLUX, (".data.colour", '"blue"', '"red"')),
        ]
    )
    reverted = "reverted by kustomize-controller after 0.2 s"
    assert told(found) == [(".data.colour", DriftClass.MODIFIED, '"red"', '"blue"', reverted)]
    assert found[0].ending is not None
    assert found[0].ending.reverted


def test_what_report_only_does_and_undoes_is_no_edit_by_hand() -> None:
    held = entry(0, "admin", (".spec.suspend", None, "true"))
    let_go = entry(1, "admin", (".spec.suspend", "true", None))
    own = [replace(one, details={**one.details, Detail.MANAGER: BORROWER}) for one in (held, let_go)]
    assert edits(own) == []
    assert len(edits([held, let_go])) == 1


def test_what_is_added_with_its_map_is_told_field_by_field() -> None:
    found = edits(
        [
            entry(0, "alice", (".metadata.labels", None, '{"a": "1", "b": "2"}')),
            entry(1, FLUX, (".metadata.labels.b", '"2"', None)),
        ]
    )
    assert told(found) == [
        (".metadata.labels.a", DriftClass.ADDED, None, '"1"', "it is still so"),
        (".metadata.labels.b", DriftClass.ADDED, None, '"2"', "reverted by kustomize-controller after 1.0 s"),
    ]


def test_of_two_edits_of_a_field_the_first_was_changed_again_and_git_ends_the_second() -> None:
    found = edits(
        [
            entry(0, "alice", (".data.colour", '"red"', '"blue"')),
            entry(1, "bob", (".data.colour", '"blue"', None)),
            entry(2, FLUX, (".data.colour", None, '"red"')),
        ]
    )
    assert told(found) == [
        (".data.colour", DriftClass.MODIFIED, '"red"', '"blue"', "changed again by bob after 1.0 s"),
        (".data.colour", DriftClass.REMOVED, '"blue"', None, "reverted by kustomize-controller after 1.0 s"),
    ]


def test_who_takes_an_edit_back_makes_no_other_one() -> None:
    there_and_back = [
        entry(0, "alice", (".data.colour", '"red"', '"blue"')),
        entry(5, "alice", (".data.colour", '"blue"', '"red"')),
    ]
    [one] = edits(there_and_back)
    assert one.fortune == "reverted by alice after 5.0 s"
    again = edits([*there_and_back, entry(9, "alice", (".data.colour", '"red"', '"green"'))])
    assert [edit.fortune for edit in again] == ["reverted by alice after 5.0 s", "it is still so"]


def test_a_commit_that_brings_another_value_reverts_nothing() -> None:
    found = edits(
        [
            entry(0, "alice", (".data.colour", '"red"', '"blue"')),
            entry(2, FLUX, (".data.colour", '"blue"', '"green"')),
        ]
    )
    assert [one.fortune for one in found] == ["changed again by kustomize-controller after 2.0 s"]


def test_a_deletion_is_an_edit_that_ends_when_the_object_is_made_again() -> None:
    found = edits(
        [
            entry(0, "alice", (".data.colour", '"red"', '"blue"')),
            entry(1, "bob", verb="deleted"),
            entry(3, FLUX, verb="created"),
        ]
    )
    assert told(found) == [
        (".data.colour", DriftClass.MODIFIED, '"red"', '"blue"', "changed again by bob after 1.0 s"),
        ("", DriftClass.DELETED, None, None, "recreated by kustomize-controller after 2.0 s"),
    ]
    assert found[1].ending
    assert found[1].ending.reverted


HELM = "system:serviceaccount:flux-system:helm-controller"
ASKED = (".metadata.deletionTimestamp", None, '"2026-11-22T14:00:00Z"')
PATIENCE = (".metadata.deletionGracePeriodSeconds", None, "0")
FINALIZED = (".metadata.finalizers", '["finalizers.fluxcd.io"]', None)


def of(uid: str, told: Entry) -> Entry:
    return replace(told, details={**told.details, Detail.UID: uid})


def test_who_asks_for_a_deletion_deletes_whoever_runs_the_finalizers() -> None:
    coloured = of("1", entry(0, "carol", (".data.colour", '"red"', '"blue"')))
    asked = of("1", entry(1, "alice", ASKED, PATIENCE, (".metadata.finalizers", None, '["foregroundDeletion"]')))
    finalized, gone = of("1", entry(2, HELM, FINALIZED)), of("1", entry(2, HELM, verb="deleted"))
    again = of("2", entry(4, FLUX, verb="created"))
    assert edits([asked, finalized]) == []  # it is still there
    assert told(edits([coloured, asked, finalized, gone, again])) == [
        (".data.colour", DriftClass.MODIFIED, '"red"', '"blue"', "changed again by alice after 1.0 s"),
        ("", DriftClass.DELETED, None, None, "recreated by kustomize-controller after 3.0 s"),
    ]
    [deleted] = edits([asked, finalized, gone])
    assert (deleted.actor.user, deleted.actor.time) == ("alice", BEGAN + timedelta(seconds=1))


def test_who_takes_the_finalizers_off_what_flux_deletes_has_deleted_nothing() -> None:
    asked, gone = of("1", entry(0, FLUX, ASKED)), of("1", entry(2, "alice", verb="deleted"))
    assert edits([asked, gone]) == []


def test_who_asked_for_the_deletion_of_an_earlier_object_has_not_deleted_this_one() -> None:
    asked = of("1", entry(0, "alice", ASKED))
    assert edits([asked, of("2", entry(3, HELM, verb="deleted"))]) == []
    [deleted] = edits([asked, of("2", entry(3, "bob", verb="deleted"))])
    assert deleted.actor.user == "bob"


def test_what_a_person_makes_in_the_place_of_a_deleted_object_is_an_edit_until_flux_has_it() -> None:
    def owned(one: Entry) -> Entry:
        return replace(one, details={**one.details, Detail.OWNER: ""})  # kubectl create puts no labels on it

    deleted, created = entry(0, "bob", verb="deleted"), owned(entry(1, "alice", verb="created"))
    taken = entry(3, FLUX, (".metadata.labels", None, '{"a": "1"}'))
    found = edits([deleted, created])
    assert told(found) == [
        ("", DriftClass.DELETED, None, None, "recreated by alice after 1.0 s"),
        ("", DriftClass.RECREATED, None, None, "it is still so"),
    ]
    assert [one.owner for one in found] == [str(APPS), str(APPS)]
    assert found[0].ending
    assert not found[0].ending.reverted
    assert edits([deleted, created, taken])[1].fortune == "reverted by kustomize-controller after 2.0 s"
    assert edits([created]) == []


def test_what_programs_do_and_what_is_no_state_is_no_edit() -> None:
    assert not edits(
        [
            entry(0, FLUX, (".data.colour", '"red"', '"blue"')),
            entry(1, FLUX, verb="deleted"),
            entry(2, "alice", (".status.ready", "true", "false")),
            entry(3, "alice", ('.metadata.annotations["reconcile.fluxcd.io/requestedAt"]', None, '"now"')),
            entry(4, "", (".data.colour", '"blue"', '"green"')),
        ]
    )


def test_what_flux_said_of_an_edit_is_what_its_owner_said_of_the_object_since() -> None:
    def said(second: float, text: str) -> Entry:
        return Entry(time=BEGAN + timedelta(seconds=second), source=Source.EVENT, text=text, object=APPS)

    edit = entry(1, "alice", (".data.colour", '"red"', '"blue"'))
    before, other = said(0, "Progressing: ConfigMap/shop/cart created"), said(2, "Progressing: ConfigMap/shop/x done")
    after = said(3, "Progressing: ConfigMap/shop/cart configured")
    assert [one.flux_said for one in edits([before, edit, other])] == [""]
    assert [one.flux_said for one in edits([before, edit, other, after])] == [after.text]


def test_when_an_edit_was_made_seen_alerted_and_corrected() -> None:
    def at(second: float) -> datetime:
        return BEGAN + timedelta(seconds=second)

    made = entry(1, "alice", (".data.colour", '"red"', '"blue"'))
    made = replace(made, details={**made.details, Detail.SEEN: format_time(at(1.1))})
    back = entry(3, FLUX, (".data.colour", '"blue"', '"red"'))
    text = "ConfigMap/shop/cart configured"
    event = Entry(time=at(3.2), source=Source.EVENT, text=f"Progressing: {text}", object=APPS)
    alert = Entry(time=at(3.3), source=Source.ALERT, text=text, object=APPS)
    [open_] = edits([made])
    assert open_.times == Times(changed=at(1), detected=at(1.1))
    [ended] = edits([made, back, event, alert])
    assert ended.times == Times(changed=at(1), detected=at(1.1), alerted=at(3.3), corrected=at(3))
    assert ended.said.voice is Voice.EVENT
    [changed_again] = edits([made, entry(3, FLUX, (".data.colour", '"blue"', '"green"'))])
    assert changed_again.times.corrected is None


def test_what_was_added_by_hand_is_drift_unless_git_names_it_or_it_has_changed() -> None:
    def fields(live: JsonObject, wanted: JsonObject) -> list[str]:
        changes = [entry(0, "alice", (".spec.replicas", "1", "4"))]
        found = added_by_hand(changes, KubeObject({"spec": wanted}), KubeObject({"spec": live}), reported=())
        return [one.change.field for one in found]

    assert fields({"replicas": 4}, {}) == [".spec.replicas"]
    assert fields({"replicas": 5}, {}) == []
    assert fields({}, {}) == []
    assert fields({"replicas": 4}, {"replicas": 1}) == []


@pytest.mark.parametrize("maker", [FLUX, "alice"])
def test_what_was_added_to_an_object_that_git_wants_is_drift_whoever_made_it(maker: str) -> None:
    scaled = entry(1, "bob", (".spec.replicas", "1", "4"))
    changes = [entry(0, maker, verb="created"), scaled]
    [found] = added_by_hand(changes, KubeObject({}), KubeObject({"spec": {"replicas": 4}}), reported=())
    assert (found.class_, found.change.field, found.change.before) == (DriftClass.ADDED, ".spec.replicas", "4")


def test_what_was_added_to_an_object_that_was_deleted_since_is_no_drift_of_the_one_that_is_there() -> None:
    scaled, gone = entry(0, "bob", (".spec.replicas", "1", "4")), entry(1, FLUX, verb="deleted")
    changes = [scaled, gone, entry(2, FLUX, verb="created")]
    live = KubeObject({"spec": {"replicas": 4}})
    assert not list(added_by_hand(changes, KubeObject({}), live, reported=()))


def test_what_the_platform_set_is_not_taken_for_what_a_person_did_at_that_moment() -> None:
    revision = '.metadata.annotations["deployment.kubernetes.io/revision"]'
    fields: JsonObject = {"f:metadata": {"f:annotations": {"f:deployment.kubernetes.io/revision": {}}}}

    def live(manager: str) -> KubeObject:
        managed: Json = [{"manager": manager, "operation": "Update", "fieldsV1": fields}]
        annotations = {"deployment.kubernetes.io/revision": "2"}
        return KubeObject({"metadata": {"annotations": annotations, "managedFields": managed}})

    changes = [entry(0, "alice", (revision, '"1"', '"2"'))]
    assert list(added_by_hand(changes, KubeObject({}), live("kube-controller-manager"), reported=())) == []
    for name in (Detail.MANAGER, Detail.USER_AGENT):  # who calls herself so does not hide behind it
        forged = [replace(one, details={**one.details, Detail.AUDIT_ID: "1", name: "kubelet"}) for one in changes]
        [found] = added_by_hand(forged, KubeObject({}), live("kubelet"), reported=())
        assert found.change.field == revision
        unsure = [replace(one, details={**one.details, Detail.CANDIDATES: "bob"}) for one in forged]
        assert list(added_by_hand(unsure, KubeObject({}), live("kubelet"), reported=())) == []
    [found] = added_by_hand(changes, KubeObject({}), live("kubectl-edit"), reported=())
    assert found.change.field == revision


NAMESPACE_OF_GIT = Entry(
    time=BEGAN,
    source=Source.OBJECT,
    text="created",
    object=ObjectRef(kind="Namespace", name="shop"),
    actor="kustomize-controller",
    details={Detail.VERB: "created", Detail.OWNER: str(APPS)},
)


def made(
    second: float, user: str = "alice", *, verb: str = "created", claim: str = "", agent: str = "kubectl/v1"
) -> Entry:
    """Something about an object that bears, rightly or not, the labels of what Flux owns."""
    told = entry(second, user, verb=verb)
    return replace(told, details={**told.details, Detail.CLAIM: claim, Detail.USER_AGENT: agent})


@pytest.mark.parametrize(
    ("entries", "endings"),
    [
        ([made(1)], ["it is still so"]),
        ([made(1), made(3, "bob", verb="deleted")], ["removed by bob after 2.0 s"]),
        ([made(1), made(2, FLUX, verb="changed")], ["taken over by kustomize-controller after 1.0 s"]),
        ([made(1), made(2, "bob", verb="deleted"), made(3)], ["removed by bob after 1.0 s", "it is still so"]),
        ([made(1, FLUX)], []),
        ([made(1, claim="CronJob backup owns it")], ["it is still so"]),  # which did not make it
        ([made(1, "system:serviceaccount:ops:postgres", claim="Postgres cart owns it")], []),
        ([made(1, claim="fluxlab made it", agent="fluxlab")], []),  # a Secret that the lab was asked to set
    ],
)
def test_what_a_person_made_is_nobodys_until_flux_takes_it_over(entries: Sequence[Entry], endings: list[str]) -> None:
    found = edits([NAMESPACE_OF_GIT, *entries])
    assert [(one.class_, one.field, one.owner) for one in found] == [(DriftClass.ORPHAN, "", "")] * len(endings)
    assert [one.fortune for one in found] == endings
    assert [one.times.corrected is not None for one in found] == [text.startswith("removed") for text in endings]


def test_who_made_what_says_otherwise_is_told_with_what_it_says() -> None:
    [edit] = edits([NAMESPACE_OF_GIT, made(1, claim="CronJob backup owns it")])
    assert edit.actor.reason == "the audit log, which contradicts what the object says: CronJob backup owns it"


def test_the_books_of_helm_are_no_edit_whoever_ran_it() -> None:
    release = ObjectRef(kind="Secret", namespace="shop", name="sh.helm.release.v1.cart.v2")
    assert edits([NAMESPACE_OF_GIT, replace(made(1), object=release)]) == []


def test_what_a_flux_object_reads_is_no_orphan_as_long_as_it_does() -> None:
    def flux(second: float, reads: str, *, verb: str = "changed") -> Entry:
        told = replace(entry(second, FLUX, verb=verb), object=APPS)
        resource = "/apis/kustomize.toolkit.fluxcd.io/v1/kustomizations"
        return replace(told, details={**told.details, Detail.RESOURCE: resource, Detail.READS: reads})

    reading, mine = flux(0, "ConfigMap shop/cart, Secret shop/key"), made(1)
    assert edits([NAMESPACE_OF_GIT, reading, mine]) == []
    assert edits([NAMESPACE_OF_GIT, mine, replace(reading, time=mine.time)]) == []
    for no_more in (flux(2, ""), flux(2, "Secret shop/key"), flux(2, "ConfigMap shop/cart", verb="deleted")):
        assert [one.class_ for one in edits([NAMESPACE_OF_GIT, reading, mine, no_more])] == [DriftClass.ORPHAN]
    elsewhere = replace(reading, cluster="other")
    assert [one.class_ for one in edits([NAMESPACE_OF_GIT, elsewhere, mine])] == [DriftClass.ORPHAN]


def test_what_a_person_made_where_git_has_nothing_is_told_by_none() -> None:
    elsewhere = replace(NAMESPACE_OF_GIT, object=ObjectRef(kind="Namespace", name="other"))
    other_cluster = replace(NAMESPACE_OF_GIT, cluster="other")
    mine = replace(made(1), details={Detail.VERB: "created", Detail.USER: "alice"})
    assert edits([elsewhere, other_cluster, mine]) == []
    assert [one.class_ for one in edits([NAMESPACE_OF_GIT, mine])] == [DriftClass.ORPHAN]


def test_what_is_changed_of_what_nobody_owns_is_no_edit_until_flux_owns_it() -> None:
    mine = entry(2, "alice", (".data.colour", '"red"', '"blue"'))
    found = edits([NAMESPACE_OF_GIT, made(1), mine, made(3, FLUX, verb="changed"), replace(mine, time=BEGAN)])
    assert [one.class_ for one in found] == [DriftClass.MODIFIED, DriftClass.ORPHAN]


def keeping(second: float, field: str, before: Json, after: Json) -> Entry:
    """What the Kustomization says of what it keeps."""
    told = [None if value is None else json.dumps(value) for value in (before, after)]
    return replace(entry(second, FLUX, (field, told[0], told[1])), object=APPS)


KEPT: Json = {"id": "shop_cart__ConfigMap", "v": "v1"}
ANOTHER: Json = {"id": "shop_settings__ConfigMap", "v": "v1"}


@pytest.mark.parametrize(
    "said",
    [
        keeping(1.5, ".status", {"conditions": []}, {"conditions": [], "inventory": {"entries": [ANOTHER, KEPT]}}),
        keeping(1.5, ".status.inventory", None, {"entries": [KEPT]}),
        keeping(1.5, ".status.inventory.entries", [], [KEPT, ANOTHER]),
        keeping(1.5, '.status.inventory.entries[id="shop_cart__ConfigMap"]', None, KEPT),
    ],
    ids=lambda said: said.changes[0].field,
)
def test_what_git_wants_and_flux_leaves_as_a_person_made_it_is_no_longer_nobodys(said: Entry) -> None:
    mine = replace(entry(2, "bob", (".data.colour", '"red"', '"blue"')), details=made(0, "bob").details)
    mine = replace(mine, details={**mine.details, Detail.VERB: "changed", Detail.OWNER: ""})
    found = edits([NAMESPACE_OF_GIT, made(1), said, mine])
    assert [(one.class_, one.owner, one.fortune) for one in found] == [
        (DriftClass.ORPHAN, "", "taken over by kustomize-controller after 0.5 s"),
        (DriftClass.MODIFIED, str(APPS), "it is still so"),
    ]
    wanted_before = replace(said, time=BEGAN)
    assert [one.class_ for one in edits([NAMESPACE_OF_GIT, wanted_before, made(1), mine])] == [DriftClass.MODIFIED]
    elsewhere = replace(said, cluster="other")
    assert [one.class_ for one in edits([NAMESPACE_OF_GIT, elsewhere, made(1), mine])] == [DriftClass.ORPHAN]


def test_what_git_no_longer_wants_is_nobodys_when_a_person_makes_it() -> None:
    kept = keeping(0, ".status.inventory", None, {"entries": [KEPT, ANOTHER]})
    path = '.status.inventory.entries[id="shop_cart__ConfigMap"]'
    for no_more in (
        keeping(0.5, ".status.inventory.entries", [KEPT, ANOTHER], [ANOTHER]),
        keeping(0.5, path, KEPT, None),
        replace(entry(0.5, FLUX, verb="deleted"), object=APPS),
    ):
        assert [one.class_ for one in edits([NAMESPACE_OF_GIT, kept, no_more, made(1)])] == [DriftClass.ORPHAN]
    other = ObjectRef(kind="Kustomization", namespace="flux-system", name="other")
    anothers = replace(keeping(0.5, path, KEPT, None), object=other)
    assert edits([NAMESPACE_OF_GIT, kept, anothers, made(1)]) == []
    masked = replace(kept, changes=[FieldChange(field=".status.inventory", before=None, after="***")])
    assert [one.class_ for one in edits([NAMESPACE_OF_GIT, masked, made(1)])] == [DriftClass.ORPHAN]


def test_what_becomes_true_is_an_edit_where_it_was_one() -> None:
    [edit] = edits([entry(0, "alice", (".data.count", "1", "true"))])
    assert (edit.class_, edit.before, edit.after) == (DriftClass.MODIFIED, "1", "true")


def test_what_the_flux_of_another_cluster_does_is_no_edit_by_hand() -> None:
    kept = replace(keeping(2, ".status.inventory", None, {"entries": [KEPT]}), cluster="hub")

    def as_admin(done: Entry) -> Entry:
        said = {Detail.OWNER: str(APPS), Detail.CLAIM: "kustomize-controller made it", Detail.USER: "admin"}
        details = {**done.details, **said, Detail.MANAGER: "kustomize-controller"}
        return replace(done, actor="admin with kustomize-controller", details=details)

    made_there = as_admin(made(1))
    mine = entry(3, "alice", (".data.colour", '"red"', '"blue"'))
    taken_back = as_admin(entry(4, "admin", (".data.colour", '"blue"', '"red"')))
    found = edits([NAMESPACE_OF_GIT, made_there, kept, mine, taken_back])
    assert told(found) == [
        (".data.colour", DriftClass.MODIFIED, '"red"', '"blue"', "reverted by kustomize-controller after 1.0 s")
    ]
    at_home = replace(kept, cluster=made_there.cluster)
    assert len(edits([NAMESPACE_OF_GIT, made_there, at_home])) == 1, "who calls itself so at home is a person"
