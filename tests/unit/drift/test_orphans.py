"""What nobody owns in the namespaces that git fills, and what an owner left behind."""

from collections.abc import Sequence

import pytest

from fluxlab.clusters.api import FIELD_MANAGER
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import CONFIG_MAP, DEPLOYMENT, NAMESPACE, SECRET
from fluxlab.documents import Json, JsonObject
from fluxlab.drift.aspects import Actor, Confidence, Mark
from fluxlab.drift.live import Live
from fluxlab.drift.orphans import Stray, is_orphan, maker_of_orphan, strays

NOBODY = Actor(who="", time=None, confidence=Confidence.NONE, reason="")
APPS = KubeObject({"kind": "Kustomization", "metadata": {"namespace": "flux-system", "name": "apps"}})
OF_APPS = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}


def config_map(name: str, manager: str = "kustomize-controller", **metadata: Json) -> KubeObject:
    managed: Json = [{"manager": manager, "operation": "Apply", "time": "2026-11-22T12:00:00Z"}]
    place: JsonObject = {"namespace": "shop", "name": name, "managedFields": managed, **metadata}
    return KubeObject({"apiVersion": "v1", "kind": "ConfigMap", "metadata": place})


KEPT = config_map("kept", labels=OF_APPS)
WANTED = config_map("wanted", labels=OF_APPS)
SHOP = KubeObject({"apiVersion": "v1", "kind": NAMESPACE.kind, "metadata": {"name": "shop"}})


def stray(
    *there: KubeObject,
    wanted: Sequence[KubeObject] = (WANTED,),
    told: Sequence[KubeObject] = (APPS,),
    untold: Sequence[KubeObject] = (),
    beside: Sequence[KubeObject] = (),
    shared: bool = False,
) -> list[Stray]:
    """What nobody keeps; `beside`: owners that are there, and that the lab does not follow."""
    live = Live({CONFIG_MAP: {(one.namespace, one.name): one for one in there}}, {})
    present = {one.reference for one in (*told, *untold, *beside)}
    all_ = strays(live, wanted, told=told, untold=untold, present=present, shared=shared)
    return [one for one in all_ if is_orphan(one.claim, NOBODY)]


def found(
    *there: KubeObject,
    wanted: Sequence[KubeObject] = (WANTED,),
    told: Sequence[KubeObject] = (APPS,),
    untold: Sequence[KubeObject] = (),
    beside: Sequence[KubeObject] = (),
    shared: bool = False,
) -> list[str]:
    all_ = stray(*there, wanted=wanted, told=told, untold=untold, beside=beside, shared=shared)
    return [one.subject.name for one in all_]


def test_what_a_person_made_is_nobodys_and_what_git_wants_is_not() -> None:
    assert found(WANTED, config_map("made", "kubectl-create")) == ["made"]


def keeping(subject: KubeObject) -> list[Stray]:
    """What is said of one object, and of a Deployment that is there."""
    deployment = KubeObject({"kind": "Deployment", "metadata": {"namespace": "shop", "name": "cart", "uid": "1"}})
    live = Live({CONFIG_MAP: {("shop", subject.name): subject}, DEPLOYMENT: {("shop", "cart"): deployment}}, {})
    return strays(live, [WANTED, deployment], present=())


def owned_by(*owners: tuple[str, str]) -> KubeObject:
    """By Deployments of these groups and UIDs."""
    references: Json = [
        {"apiVersion": f"{group}/v1", "kind": "Deployment", "name": "cart", "uid": uid} for group, uid in owners
    ]
    return config_map("made", "kubectl-create", ownerReferences=references)


def by(user: str, *, agent: str = "kubectl/v1", confidence: Confidence = Confidence.HIGH) -> Actor:
    return Actor(who=user, time=None, user=user, user_agent=agent, confidence=confidence, reason="the audit log")


@pytest.mark.parametrize(
    ("subject", "claim"),
    [
        (owned_by(("apps", "1")), "Deployment cart owns it"),
        (config_map("made", "kube-controller-manager"), "kube-controller-manager made it"),
        (config_map("made", FIELD_MANAGER), "fluxlab made it"),
    ],
)
def test_what_says_that_somebody_keeps_it_is_an_orphan_only_if_the_audit_log_says_that_a_person_made_it(
    subject: KubeObject, claim: str
) -> None:
    [one] = keeping(subject)
    assert one.claim == claim
    alice = by("admin as alice")
    assert is_orphan(one.claim, alice)
    assert maker_of_orphan(one.claim, alice).reason == (
        f"the audit log, which contradicts what the object says: {claim}"
    )
    for maker in (
        NOBODY,
        by("admin as alice", confidence=Confidence.MEDIUM),  # or another one
        by("system:kube-controller-manager"),
        by("system:serviceaccount:kube-system:deployment-controller"),
        by("system:serviceaccount:operators:postgres"),  # it acts for somebody, and keeps what it makes
        by("admin", agent="fluxlab"),  # the lab itself
    ):
        assert not is_orphan(one.claim, maker)


def test_what_says_nothing_is_nobodys_whoever_made_it() -> None:
    [one] = keeping(config_map("made", "postgres-operator"))
    maker = by("system:serviceaccount:operators:postgres")
    assert (one.claim, is_orphan(one.claim, maker)) == ("", True)
    assert maker_of_orphan(one.claim, maker) == maker


def test_kubernetes_deletes_what_has_owners_of_which_none_is_there() -> None:
    [kept], [stays], [goes] = map(
        keeping, (owned_by(("apps", "1")), owned_by(("apps", "2"), ("example.org", "3")), owned_by(("apps", "2")))
    )
    assert not kept.fate.reverted
    assert not stays.fate.reverted  # nobody has looked whether the other one is there
    assert goes.fate.reverted
    assert "no Deployment cart with the UID" in goes.fate.why


def test_the_books_of_helm_and_kubernetes_are_no_orphans() -> None:
    def of(kind: str, name: str) -> KubeObject:
        return KubeObject({"kind": kind, "metadata": {"namespace": "shop", "name": name}})

    books = [of("Secret", "sh.helm.release.v1.cart.v1"), of("ServiceAccount", "default")]
    live = Live({SECRET: {("shop", one.name): one for one in books}}, {})
    assert strays(live, [WANTED], present=()) == []


def test_what_flux_was_told_not_to_prune_is_nobodys_as_soon_as_its_owner_wants_it_no_more() -> None:
    assert found(WANTED, KEPT) == ["kept"]
    assert found(WANTED, KEPT, wanted=(WANTED, KEPT)) == []


def test_of_an_owner_that_is_not_known_to_want_it_or_not_nothing_is_said() -> None:
    assert found(WANTED, KEPT, told=(), untold=(APPS,)) == []
    assert found(WANTED, KEPT, told=(), beside=(APPS,)) == []  # somebody else's Kustomization


@pytest.mark.parametrize("shared", [False, True])
def test_what_an_owner_that_is_gone_left_behind_is_nobodys(*, shared: bool) -> None:
    wanted = (WANTED, SHOP)
    [one] = stray(WANTED, KEPT, wanted=wanted, told=(), shared=shared)
    assert (one.subject, one.claim) == (KEPT, "")
    assert one.fate.reverted is False
    assert one.fate.why.startswith("Kustomization flux-system/apps left it behind and is gone")
    assert one.fate.marks == (Mark.UNDETECTABLE,)


def test_what_is_left_behind_where_git_has_nothing_any_more_is_found_unless_somebody_else_may_work_there() -> None:
    assert found(KEPT, wanted=(), told=()) == ["kept"]
    assert found(KEPT, wanted=(), told=(), shared=True) == []
    assert found(config_map("made", "kubectl-create"), wanted=(), told=()) == []


def test_an_owner_that_git_still_wants_is_not_gone_but_will_be_made_again() -> None:
    assert found(WANTED, KEPT, wanted=(WANTED, APPS), told=()) == []
    # What an owner wants of which that cannot be told, its inventory tells.
    entries: Json = [{"id": "flux-system_apps_kustomize.toolkit.fluxcd.io_Kustomization", "v": "v1"}]
    metadata: JsonObject = {"namespace": "flux-system", "name": "above"}
    status: JsonObject = {"inventory": {"entries": entries}}
    above = KubeObject({"kind": "Kustomization", "metadata": metadata, "status": status})
    assert found(WANTED, KEPT, told=(), untold=(above,)) == []


def test_what_an_owner_that_is_gone_left_and_kubernetes_removes_is_told_so() -> None:
    reference: Json = [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "cart", "uid": "2"}]
    live = config_map("kept", labels=OF_APPS, ownerReferences=reference)
    place = {("shop", "kept"): live}
    [one] = strays(Live({CONFIG_MAP: place, DEPLOYMENT: {}}, {}), [WANTED], present=())
    assert one.fate.reverted
    assert "garbage collector" in one.fate.why


def test_what_goes_what_is_a_hook_and_what_only_bears_the_labels_is_not_left_behind() -> None:
    going = config_map("going", labels=OF_APPS, deletionTimestamp="2026-11-22T12:00:01Z")
    hook = config_map("hook", "helm-controller", labels=OF_APPS, annotations={"helm.sh/hook": "test"})
    copied = config_map("copied", "kube-controller-manager", labels=OF_APPS)  # as Endpoints copy those of a Service
    assert found(WANTED, going, hook, copied) == []
    assert found(WANTED, going, hook, copied, told=()) == []


def test_the_chart_that_a_release_has_made_for_itself_is_not_left_behind() -> None:
    release = KubeObject({"kind": "HelmRelease", "metadata": {"namespace": "shop", "name": "cart"}})
    labels = {"helm.toolkit.fluxcd.io/name": "cart", "helm.toolkit.fluxcd.io/namespace": "shop"}
    made = config_map("shop-cart", "helm-controller", labels=labels)
    chart = KubeObject({**made.raw, "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "HelmChart"})
    assert found(WANTED, made, told=(release,)) == ["shop-cart"]
    assert found(WANTED, chart, told=(release,)) == []
    assert found(WANTED, chart, told=()) == ["shop-cart"]  # nobody needs it any more


def test_a_namespace_is_git_s_when_git_has_it_also_while_nothing_else_is_in_it() -> None:
    made = config_map("made", "kubectl-create")
    for shared in (False, True):
        assert found(made, wanted=(SHOP,), shared=shared) == ["made"]
        assert found(made, wanted=(), shared=shared) == []
    assert found(made, wanted=(WANTED,), shared=True) == []  # somebody else may work there
