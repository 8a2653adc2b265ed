"""Who made a change, and for which commit: told from sources that do not name each other."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fluxlab.timeline.attribution import attribute, commit_of, with_actors
from fluxlab.timeline.entries import Detail, Entry, FieldChange, ObjectRef, Source, format_time

START = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
A, B = "a" * 40, "b" * 40
ROOT = ObjectRef(kind="Kustomization", namespace="flux-system", name="root")
RELEASE = ObjectRef(kind="HelmRelease", namespace="apps", name="shop")


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def change(
    subject: ObjectRef, version: int, *, actor: str, seconds: float = 0, verb: str = "changed", **details: str
) -> Entry:
    return Entry(
        time=at(seconds),
        source=Source.OBJECT,
        text=verb,
        cluster="c",
        object=subject,
        actor=actor,
        details={Detail.VERB: verb, Detail.VERSION: str(version), **details},
    )


def tries(version: int, commit: str) -> Entry:
    return change(ROOT, version, actor="kustomize-controller (status)", revision=f"main@sha1:{commit}")


def deployment(name: str) -> ObjectRef:
    return ObjectRef(kind="Deployment", namespace="apps", name=name)


def commits(*entries: Entry) -> list[str]:
    return [entry.commit for entry in attribute(entries)]


def test_a_change_belongs_to_the_commit_that_its_kustomization_was_at() -> None:
    mine = change(deployment("cart"), 15, actor="kustomize-controller", owner=str(ROOT))
    later = change(deployment("cart"), 25, actor="kustomize-controller", owner=str(ROOT))
    # The watch of Kustomizations may be heard after that of Deployments: versions decide, not the order.
    assert commits(mine, tries(10, A), tries(20, B), later) == [A, A, B, B]


def test_what_a_person_changed_belongs_to_no_commit() -> None:
    byhand = change(deployment("cart"), 15, actor="kubectl-scale", owner=str(ROOT))
    both = change(deployment("cart"), 16, actor="kustomize-controller, kubectl-edit", owner=str(ROOT))
    assert commits(tries(10, A), byhand, both)[1:] == ["", ""]


def test_a_release_stays_with_the_commit_that_changed_it_last() -> None:
    applied = change(RELEASE, 11, actor="kustomize-controller", owner=str(ROOT))
    rolled = change(deployment("cart"), 30, actor="helm-controller", owner=str(RELEASE))
    assert commits(tries(10, A), applied, tries(20, B), rolled) == [A, A, B, A]


def test_nothing_is_said_where_nothing_is_known() -> None:
    foreign = change(deployment("cart"), 15, actor="kustomize-controller", owner="Kustomization other/one")
    unowned = change(deployment("cart"), 15, actor="kustomize-controller")
    early = change(deployment("cart"), 5, actor="kustomize-controller", owner=str(ROOT))
    assert commits(foreign, unowned, early, tries(10, A)) == ["", "", "", A]


def test_the_issues_of_a_commit_stand_beside_all_that_it_brought() -> None:
    said = Entry(time=START, source=Source.COMMIT, text="Scale (#42)", commit=A, issues=("#42",))
    mine = change(deployment("cart"), 15, actor="kustomize-controller", owner=str(ROOT))
    event = Entry(time=START, source=Source.EVENT, text="ok", cluster="c", details={Detail.REVISION: f"main@sha1:{A}"})
    assert [entry.issues for entry in attribute([said, tries(10, A), mine, event])] == [("#42",)] * 4


def test_the_subject_of_a_commit_stands_beside_all_that_it_brought() -> None:
    said = Entry(time=START, source=Source.COMMIT, text="Scale", commit=A, details={Detail.SUBJECT: "Scale"})
    mine = change(deployment("cart"), 15, actor="kustomize-controller", owner=str(ROOT))
    byhand = change(deployment("cart"), 16, actor="kubectl-scale", owner=str(ROOT))
    other = change(deployment("cart"), 25, actor="kustomize-controller", owner=str(ROOT))  # of a commit nobody saw
    told = attribute([said, tries(10, A), mine, byhand, tries(20, B), other])
    assert [entry.details.get(Detail.SUBJECT) for entry in told] == ["Scale", "Scale", "Scale", None, None, None]
    assert told[2].details[Detail.OWNER] == str(ROOT)


@pytest.mark.parametrize(
    ("revision", "commit"),
    [
        (f"main@sha1:{A}", A),
        (f"sha1:{A}", A),
        ("0.0.41", ""),
        (f"sha256:{A}", ""),
        ("", ""),
        (f"latest@sha256:{A}{A[:24]}", ""),
        ("main@sha1:abc", ""),
    ],
)
def test_a_commit_is_read_from_git_revisions_only(revision: str, commit: str) -> None:
    assert commit_of(revision) == commit


def request(  # each test varies another one
    name: str, number: int, seconds: float, *, user: str, agent: str, verb: str = "patch", status: str = "200",
    subresource: str = "", manager: str = "", took: float = 0.01,
) -> Entry:  # fmt: skip
    return Entry(
        time=at(seconds + took),
        source=Source.AUDIT,
        text=verb,
        cluster="c",
        object=ObjectRef(kind="deployments", namespace="apps", name=name),
        details={
            Detail.VERB: verb,
            Detail.STATUS: status,
            Detail.USER: user,
            Detail.USER_AGENT: agent,
            Detail.AUDIT_ID: str(number),
            Detail.RECEIVED: format_time(at(seconds)),
            **({Detail.SUBRESOURCE: subresource} if subresource else {}),
            **({Detail.MANAGER: manager} if manager else {}),
        },
    )


def seen(name: str, seconds: float, actor: str, *, verb: str = "changed") -> Entry:
    return change(deployment(name), 1, actor=actor, seconds=seconds, verb=verb, resource="/apis/apps/v1/deployments")


def test_the_user_of_the_api_is_named_with_the_program() -> None:
    [found], used = with_actors(
        [seen("cart", 1.0, "kubectl-scale")], [request("cart", 7, 0.99, user="ada", agent="kubectl/v1.36.3 (linux)")]
    )
    assert found.actor == "ada with kubectl-scale"
    assert found.details[Detail.AUDIT_ID] == "7"
    assert (found.time, found.details[Detail.SEEN]) == (at(0.99 + 0.01), format_time(at(1.0)))
    assert used == {"7"}


def test_a_write_that_changed_nothing_explains_nothing() -> None:
    writes = [
        request("cart", 1, 0.0, user="ada", agent="kubectl/1"),
        request("cart", 2, 0.5, user="bob", agent="kubectl/1"),  # the same value again
        request("cart", 3, 2.0, user="eve", agent="kubectl/1"),
        request("cart", 4, 2.1, user="eve", agent="kubectl/1", status="403"),
    ]
    found, used = with_actors([seen("cart", 0.02, "kubectl-edit"), seen("cart", 2.02, "kubectl-edit")], writes)
    assert [entry.actor.split()[0] for entry in found] == ["ada", "eve"]
    assert used == {"1", "3"}


def test_an_object_is_made_by_the_request_that_was_answered_so_and_not_by_one_that_found_it() -> None:
    made = seen("cart", 0.3, "kube-controller-manager", verb="created")
    manager = "system:kube-controller-manager"
    creating = request("cart", 1, 0.0, user=manager, agent="kcm/1", verb="create", status="201")
    labelling = request("cart", 2, 0.1, user="ada", agent="kubectl/1", manager="kube-controller-manager")
    [found], _ = with_actors([made], [creating, labelling])
    assert found.details[Detail.USER] == manager
    [unexplained], used = with_actors([made], [labelling])  # the other one was rotated away
    assert (Detail.USER in unexplained.details, used) == (False, set())


def test_a_change_is_never_explained_by_a_later_write() -> None:
    [found], used = with_actors(
        [seen("cart", 1.0, "kubectl-edit")], [request("cart", 1, 1.2, user="ada", agent="kubectl/1")]
    )
    assert found.actor == "kubectl-edit"
    assert not used


def test_quick_writes_of_several_users_keep_their_order() -> None:
    users = ["ada", "bob", "cyn"]
    writes = [request("cart", n, n / 1000, user=user, agent="kubectl/1", took=0.05) for n, user in enumerate(users)]
    found, _ = with_actors([seen("cart", 0.1 + n / 1000, "kubectl-edit") for n in range(3)], writes)
    assert [entry.actor.split()[0] for entry in found] == users


def test_a_status_is_not_explained_by_a_write_of_the_spec() -> None:
    writes = [
        request("cart", 1, 0.0, user="system:kube-controller-manager", agent="kube-controller-manager/v1",
                subresource="status", verb="update"),
        request("cart", 2, 0.1, user="ada", agent="kubectl/1"),
    ]  # fmt: skip
    [found], used = with_actors([seen("cart", 0.2, "kube-controller-manager (status)")], writes)
    assert used == {"1"}
    assert "ada" not in found.actor


def test_what_nobody_manages_is_not_explained_by_a_status_that_came_after_it() -> None:
    # kubectl scale leaves no entry in the managed fields; the controller's answer is received before it is heard of.
    field = FieldChange(field=".spec.replicas", before="1", after="4")
    scaled = replace(seen("cart", 0.3, ""), changes=(field,))
    writes = [
        request("cart", 1, 0.1, user="alice", agent="kubectl/1", subresource="scale"),
        request("cart", 2, 0.2, user="system:kube-controller-manager", agent="kcm/1", subresource="status"),
    ]
    [found], _ = with_actors([scaled], writes)
    assert found.actor == "alice"


def test_what_is_written_with_a_status_is_not_explained_by_the_spec_before_it() -> None:
    # Within one second the managed fields may not tell who it was; a Deployment's revision comes with its status.
    revision = FieldChange(
        field='.metadata.annotations["deployment.kubernetes.io/revision"]', before='"1"', after='"2"'
    )
    status = FieldChange(field=".status.observedGeneration", before="1", after="2")
    rolled = replace(seen("cart", 0.3, ""), changes=(revision, status))
    writes = [
        request("cart", 1, 0.1, user="alice", agent="kubectl/1"),
        request("cart", 2, 0.2, user="system:kube-controller-manager", agent="kcm/1", subresource="status"),
    ]
    alone = replace(rolled, changes=(revision,))
    for told in (rolled, alone):
        [found], _ = with_actors([told], writes)
        assert found.actor == "kube-controller-manager"


def test_who_took_a_field_away_is_told_with_the_manager_of_the_request() -> None:
    # What is left of the object does not name those who only took something away.
    by_hand = request("cart", 1, 0.0, user="ada", agent="kubectl/1", manager="kubectl-edit")
    by_flux = request("quote", 2, 0.0, user="system:serviceaccount:flux-system:kustomize-controller",
                      agent="x", manager="kustomize-controller")  # fmt: skip
    found, _ = with_actors([seen("cart", 0.1, ""), seen("quote", 0.1, "")], [by_hand, by_flux])
    assert [entry.actor for entry in found] == ["ada with kubectl-edit", "kustomize-controller"]


def test_a_deletion_is_told_with_its_user_and_other_objects_are_left_alone() -> None:
    gone = replace(seen("cart", 1.0, "", verb="deleted"))
    other = seen("quote", 1.0, "", verb="deleted")
    writes = [
        request("cart", 1, 0.9, user="system:serviceaccount:flux-system:helm-controller", agent="x", verb="delete")
    ]
    found, _ = with_actors([gone, other], writes)
    assert [entry.actor for entry in found] == ["helm-controller", ""]


def test_what_nobody_asked_to_delete_is_not_ended_by_a_patch_of_a_moment_before() -> None:
    flux = "system:serviceaccount:flux-system:kustomize-controller"
    gone = seen("cart", 1.0, "", verb="deleted")
    patched = request("cart", 1, 0.5, user=flux, agent="kustomize-controller/v1")
    [found], used = with_actors(
        [gone], [patched, request("cart", 2, 0.9, user="bob", agent="kubectl/1", verb="delete")]
    )
    assert (found.actor, used) == ("bob", {"2"})
    assert Detail.CANDIDATES not in found.details

    asked = request("cart", 3, 0.2, user="bob", agent="kubectl/1", verb="delete")
    [found], _ = with_actors([gone], [asked, patched])  # which may have taken the last finalizer away
    assert "bob with kubectl/1" in found.details[Detail.CANDIDATES]


def collection(number: int, seconds: float, *, user: str, selected: bool = False, took: float = 0.01) -> Entry:
    """A request to delete the Deployments of a namespace."""
    asked = request("", number, seconds, user=user, agent="client/1", verb="deletecollection", took=took)
    of_all = {Detail.RESOURCE: "deployments", Detail.NAMESPACE: "apps"}
    return replace(
        asked, object=None, details={**asked.details, **of_all, **({Detail.SELECTED: "yes"} if selected else {})}
    )


def test_what_went_with_its_collection_was_deleted_by_who_asked_for_that_and_not_by_who_wrote_it_last() -> None:
    edited = by("bob", 1, 0.0, manager="kubectl-edit")
    changes = [seen(name, 5.2, "", verb="deleted") for name in ("cart", "quote")]
    found, used = with_actors([seen("cart", 0.1, "kubectl-edit"), *changes], [edited, collection(2, 5.0, user="carol")])
    assert [entry.actor for entry in found] == ["bob with kubectl-edit", "carol", "carol"]
    assert [entry.details[Detail.REQUEST] for entry in found] == ["patch", "deletecollection", "deletecollection"]
    assert not any(Detail.CANDIDATES in entry.details for entry in found)
    assert used == {"1", "2"}


def test_a_request_for_a_collection_explains_neither_a_change_nor_what_is_elsewhere() -> None:
    elsewhere = replace(deployment("cart"), namespace="shop")
    changes = [
        seen("cart", 1.0, ""),
        seen("cart", 1.0, "", verb="created"),
        change(elsewhere, 1, actor="", seconds=1.0, verb="deleted", resource="/apis/apps/v1/deployments"),
        change(deployment("cart"), 1, actor="", seconds=1.0, verb="deleted", resource="/api/v1/configmaps"),
    ]
    found, used = with_actors(changes, [collection(1, 0.9, user="carol")])
    assert (found, used) == (changes, set())


@pytest.mark.parametrize("subresource", ["", "status"])
def test_an_object_whose_deletion_nobody_asked_for_was_not_deleted_by_who_wrote_it_last(subresource: str) -> None:
    last = request("cart", 1, 0.9, user="system:serviceaccount:kube-system:deployment-controller", agent="kcm/1",
                   verb="update", subresource=subresource)  # fmt: skip
    [found], used = with_actors([seen("cart", 1.0, "", verb="deleted")], [last])
    assert (found.actor, used) == ("", set())


def test_the_last_finalizer_goes_with_a_write_of_the_object_and_not_with_one_of_its_status() -> None:
    asked_of = FieldChange(field=".metadata.deletionTimestamp", before=None, after='"2026-11-22T14:00:00Z"')
    marked = replace(seen("cart", 0.1, ""), changes=(asked_of,))
    writes = [
        by("bob", 1, -0.5),
        collection(2, 0.0, user="carol"),
        request("cart", 3, 5.0, user="ada", agent="kubectl/1", manager="kubectl-patch"),
        request("cart", 4, 5.05, user="kubelet", agent="kubelet/1", subresource="status"),
    ]
    found, _ = with_actors([marked, seen("cart", 5.1, "", verb="deleted")], writes)
    assert [entry.actor for entry in found] == ["carol", "ada with kubectl-patch"]
    assert not any(Detail.CANDIDATES in entry.details for entry in found)


@pytest.mark.parametrize(("verb", "subresource"), [("delete", ""), ("create", "eviction")])
def test_who_asked_an_object_to_end_is_not_who_patched_it_a_moment_later(verb: str, subresource: str) -> None:
    asked_of = FieldChange(field=".metadata.deletionTimestamp", before=None, after='"2026-11-22T14:00:00Z"')
    asked = request("cart", 1, 0.0, user="carol", agent="kubectl/1", verb=verb, subresource=subresource)
    [found], _ = with_actors([replace(seen("cart", 0.3, ""), changes=(asked_of,))], [asked, by("bob", 2, 0.2)])
    assert found.actor == "carol"
    assert Detail.CANDIDATES not in found.details


def test_of_a_collection_of_which_only_some_were_meant_it_is_not_certain_that_this_one_was() -> None:
    [found], _ = with_actors([seen("cart", 1.0, "", verb="deleted")], [collection(7, 0.9, user="carol", selected=True)])
    assert found.actor == "carol"
    assert found.details[Detail.CANDIDATES] == "carol with client/1 (audit id 7)"


def test_a_release_of_a_chart_in_git_follows_the_commit_that_it_was_packaged_from() -> None:
    said = Entry(time=START, source=Source.COMMIT, text="Change the chart", commit=B)
    applied = change(RELEASE, 11, actor="kustomize-controller", owner=str(ROOT))
    chart = ObjectRef(kind="HelmChart", namespace="apps", name="shop")
    packaged = change(chart, 21, actor="source-controller (status)", owner=str(RELEASE), revision=f"1.0.0+{B[:12]}")
    rolled = change(deployment("cart"), 30, actor="helm-controller", owner=str(RELEASE))
    before = change(deployment("cart"), 15, actor="helm-controller", owner=str(RELEASE))
    assert commits(said, tries(10, A), applied, before, tries(20, B), packaged, rolled)[-1] == B
    assert commits(said, tries(10, A), applied, before, tries(20, B), packaged, rolled)[3] == A


def test_what_was_heard_of_late_is_told_with_the_time_and_the_person_of_the_request() -> None:
    late = replace(seen("cart", 600.0, "kubectl-edit"))
    late = replace(late, details={**late.details, Detail.LATE: "yes"})
    [found], _ = with_actors([late], [request("cart", 1, 0.0, user="ada", agent="kubectl/1")])
    assert found.actor == "ada with kubectl-edit"
    assert found.time < at(1)
    [unknown], _ = with_actors(
        [seen("cart", 600.0, "kubectl-edit")], [request("cart", 1, 0.0, user="ada", agent="x/1")]
    )
    assert unknown.actor == "kubectl-edit"


def test_a_deletion_by_flux_belongs_to_the_commit_that_pruned_it() -> None:
    gone = change(
        deployment("cart"), 15, actor="", seconds=1.0, verb="deleted", owner=str(ROOT), resource="/x/deployments"
    )
    user = "system:serviceaccount:flux-system:kustomize-controller"
    writes = [request("cart", 1, 0.9, user=user, agent="kustomize-controller/1", verb="delete")]
    named, _ = with_actors([tries(10, A), gone], writes)
    assert [entry.commit for entry in attribute(named)] == [A, A]


TENANTS = "system:serviceaccount:flux-system:kustomize-controller as system:serviceaccount:team-a:flux"
"""What the audit log has where a Kustomization names a service account."""


@pytest.mark.parametrize("actor", ["kustomize-controller", ""])
def test_what_flux_did_as_somebody_s_service_account_flux_did_for_its_commit(actor: str) -> None:
    set_ = replace(seen("cart", 1.0, actor), details={**seen("cart", 1.0, actor).details, Detail.OWNER: str(ROOT)})
    agent, manager = "kustomize-controller/v1", "kustomize-controller"
    write = request("cart", 1, 0.9, user=TENANTS, agent=agent, manager=manager)
    [_, told], _ = with_actors([tries(1, A), set_], [write])
    assert (told.actor, told.details[Detail.USER]) == (manager, TENANTS)
    assert [entry.commit for entry in attribute([tries(1, A), told])] == [A, A]


def test_what_flux_pruned_as_somebody_s_service_account_flux_pruned() -> None:
    gone = change(
        deployment("cart"), 15, actor="", seconds=1.0, verb="deleted", owner=str(ROOT), resource="/x/deployments"
    )
    write = request("cart", 1, 0.9, user=TENANTS, agent="kustomize-controller/v1", verb="delete")
    named, _ = with_actors([tries(10, A), gone], [write])
    assert named[-1].actor == "kustomize-controller"
    assert [entry.commit for entry in attribute(named)] == [A, A]


@pytest.mark.parametrize("user", ["ada as bob", "system:serviceaccount:team-a:dashboard as bob"])
def test_whom_a_person_impersonates_is_told(user: str) -> None:
    [found], _ = with_actors([seen("cart", 1.0, "kubectl-edit")], [by(user, 1, 0.9, manager="kubectl-edit")])
    assert found.actor == f"{user.rpartition(':')[2]} with kubectl-edit"


def candidates(found: Sequence[Entry]) -> list[list[str]]:
    """The users whose requests fit each change, where there are several."""
    return [
        [user for user in ("ada", "bob", "kustomize-controller") if f"{user} with " in told]
        for told in (entry.details.get(Detail.CANDIDATES, "") for entry in found)
    ]


def by(user: str, number: int, seconds: float, *, took: float = 0.01, manager: str = "kubectl-patch") -> Entry:
    return request("cart", number, seconds, user=user, agent="kubectl/1", took=took, manager=manager)


def test_writes_at_the_same_time_are_candidates_for_each_others_changes() -> None:
    writes = [by("ada", 1, 0.0, took=0.05), by("bob", 2, 0.01, took=0.02)]
    found, _ = with_actors([seen("cart", 0.03, "kubectl-patch"), seen("cart", 0.06, "kubectl-patch")], writes)
    assert candidates(found) == [["ada", "bob"], ["ada", "bob"]]


def test_writes_one_after_the_other_that_both_changed_something_are_certain() -> None:
    writes = [by("ada", 1, 0.0), by("bob", 2, 0.1)]
    # The recorder was slow: it heard of both once both were done.
    found, _ = with_actors([seen("cart", 0.3, "kubectl-patch"), seen("cart", 0.3, "kubectl-patch")], writes)
    assert [entry.details[Detail.USER] for entry in found] == ["ada", "bob"]
    assert candidates(found) == [[], []]


@pytest.mark.parametrize("heard", [0.05, 0.3])
def test_a_write_that_may_have_changed_nothing_is_a_candidate_only_if_it_came_before_the_change_was_heard_of(
    heard: float,
) -> None:
    writes = [by("ada", 1, 0.0), by("bob", 2, 0.1)]
    found, _ = with_actors([seen("cart", heard, "kubectl-patch")], writes)
    assert candidates(found) == [["ada", "bob"] if heard > 0.1 else []]


def test_who_writes_under_another_name_is_no_candidate() -> None:
    user = "system:serviceaccount:flux-system:kustomize-controller"
    flux = request("cart", 2, 0.01, user=user, agent="kustomize-controller/1", manager="kustomize-controller", took=0.1)
    writes = [by("ada", 1, 0.0, took=0.05), flux, by("bob", 3, 0.02, manager="kubectl-edit")]
    changes = [seen("cart", 0.1 + n / 100, name) for n, name in enumerate(["kubectl-edit", "kubectl-patch"])]
    found, _ = with_actors(changes, writes)
    assert [entry.details[Detail.USER] for entry in found] == ["bob", "ada"]
    assert candidates(found) == [[], []]


def test_what_one_client_wrote_twice_has_one_candidate() -> None:
    found, _ = with_actors([seen("cart", 0.3, "kubectl-patch")], [by("ada", 1, 0.0), by("ada", 2, 0.1)])
    assert candidates(found) == [[]]


def test_writes_that_only_one_long_request_connects_may_all_be_each_others() -> None:
    writes = [by("ada", 1, 0.0, took=0.5), by("bob", 2, 0.1), by("bob", 3, 0.3)]
    found, _ = with_actors([seen("cart", 0.6, "kubectl-patch")] * 3, writes)
    assert candidates(found) == [["ada", "bob"]] * 3
