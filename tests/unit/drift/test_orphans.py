"""What nobody owns in the namespaces that git fills, and what an owner left behind."""

from collections.abc import Sequence

from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import CONFIG_MAP, NAMESPACE
from fluxlab.documents import Json, JsonObject
from fluxlab.drift.live import Live
from fluxlab.drift.orphans import orphans

APPS = KubeObject({"kind": "Kustomization", "metadata": {"namespace": "flux-system", "name": "apps"}})
OF_APPS = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}


def config_map(name: str, manager: str = "kustomize-controller", **metadata: Json) -> KubeObject:
    managed: Json = [{"manager": manager, "operation": "Apply", "time": "2026-11-22T12:00:00Z"}]
    place: JsonObject = {"namespace": "shop", "name": name, "managedFields": managed, **metadata}
    return KubeObject({"apiVersion": "v1", "kind": "ConfigMap", "metadata": place})


KEPT = config_map("kept", labels=OF_APPS)
WANTED = config_map("wanted", labels=OF_APPS)


def found(
    *there: KubeObject,
    wanted: Sequence[KubeObject] = (WANTED,),
    told: Sequence[KubeObject] = (APPS,),
    untold: Sequence[KubeObject] = (),
    shared: bool = False,
) -> list[str]:
    live = Live({CONFIG_MAP: {(one.namespace, one.name): one for one in there}}, {})
    return [one.name for one in orphans(live, wanted, told=told, untold=untold, shared=shared)]


def test_what_a_person_made_is_nobodys_and_what_git_wants_is_not() -> None:
    assert found(WANTED, config_map("made", "kubectl-create")) == ["made"]


def test_what_flux_was_told_not_to_prune_is_nobodys_as_soon_as_its_owner_wants_it_no_more() -> None:
    assert found(WANTED, KEPT) == ["kept"]
    assert found(WANTED, KEPT, wanted=(WANTED, KEPT)) == []


def test_of_an_owner_that_is_not_known_to_want_it_or_not_nothing_is_said() -> None:
    assert found(WANTED, KEPT, told=(), untold=(APPS,)) == []
    assert found(WANTED, KEPT, told=()) == []  # somebody else's Kustomization


def test_what_goes_what_is_a_hook_and_what_only_bears_the_labels_is_not_left_behind() -> None:
    going = config_map("going", labels=OF_APPS, deletionTimestamp="2026-11-22T12:00:01Z")
    hook = config_map("hook", "helm-controller", labels=OF_APPS, annotations={"helm.sh/hook": "test"})
    copied = config_map("copied", "kube-controller-manager", labels=OF_APPS)  # as Endpoints copy those of a Service
    assert found(WANTED, going, hook, copied) == []


def test_the_chart_that_a_release_has_made_for_itself_is_not_left_behind() -> None:
    release = KubeObject({"kind": "HelmRelease", "metadata": {"namespace": "shop", "name": "cart"}})
    labels = {"helm.toolkit.fluxcd.io/name": "cart", "helm.toolkit.fluxcd.io/namespace": "shop"}
    made = config_map("shop-cart", "helm-controller", labels=labels)
    chart = KubeObject({**made.raw, "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "HelmChart"})
    assert found(WANTED, made, told=(release,)) == ["shop-cart"]
    assert found(WANTED, chart, told=(release,)) == []


def test_a_namespace_is_git_s_when_git_has_it_also_while_nothing_else_is_in_it() -> None:
    made = config_map("made", "kubectl-create")
    namespace = KubeObject({"apiVersion": "v1", "kind": NAMESPACE.kind, "metadata": {"name": "shop"}})
    for shared in (False, True):
        assert found(made, wanted=(namespace,), shared=shared) == ["made"]
        assert found(made, wanted=(), shared=shared) == []
    assert found(made, wanted=(WANTED,), shared=True) == []  # somebody else may work there
