"""What a refusal in one namespace matches, as the API server decides that."""

from collections.abc import Sequence
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fluxlab.cluster import Cluster
from fluxlab.clusters.kinds import Kinds
from fluxlab.clusters.objects import KubeObject, dig, items_at, text_at
from fluxlab.clusters.resources import CONFIG_MAP, DEPLOYMENT, NAMESPACE, NODE, POD, Resource
from fluxlab.documents import Json
from fluxlab.errors import UsageError
from fluxlab.faults.base import Fault, Ground, Injection
from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.faults.layers.api.admission import Refusal

SHOP = "shop"
CLUSTER_ROLE = Resource(kind="ClusterRole", plural="clusterroles", group="rbac.authorization.k8s.io", namespaced=False)
SERVED = (CONFIG_MAP, POD, DEPLOYMENT, NAMESPACE, NODE, CLUSTER_ROLE)
REFUSALS = ("webhook-dead", "admission-deny")


class Api:
    """An API server that has one object of each kind."""

    def resources(self) -> Sequence[Resource]:
        return SERVED


def ground() -> Ground:
    def there(kind: str, *, namespace: str) -> Sequence[KubeObject]:
        found = Kinds(cast("Any", api)).find(kind)
        return [KubeObject({"kind": found.kind, "metadata": {"name": "x", "namespace": namespace}})]

    api, unused = Api(), cast("Any", None)
    cluster = cast("Cluster", SimpleNamespace(api=api, list=there))
    return Ground(cluster=cluster, folder=unused, control=unused, open_repository=lambda: unused, links=False)


def planned(name: str, resource: str) -> tuple[Fault[Any], Injection[Any]]:
    fault = CATALOGUE[name]
    parameters = fault.parameters.model_validate({"resource": resource})
    plan = fault.plan(ground(), SHOP, parameters, Random(1))  # noqa: S311
    return fault, Injection(id="x-1", target=SHOP, parameters=parameters, undo=plan.undo)


def refuses(name: str, resource: str, *, written: Resource, namespace: str) -> bool:
    """Whether such a write meets the fault: `rules.go` and `namespace/matcher.go` of the API server's
    admission/plugin/webhook/predicates, by which policies go, too.
    """
    fault, injection = planned(name, resource)
    assert isinstance(fault, Refusal)
    made = fault.objects(injection)[0][1].raw
    matching: Json = (items_at(made, "webhooks") or [dig(made, "spec", "matchConstraints")])[0]
    (rule,) = items_at(matching, "rules") or items_at(matching, "resourceRules")
    if text_at(rule, "scope") == "Namespaced" and not written.namespaced:
        return False
    if not {"*", written.plural} & set(map(str, items_at(rule, "resources"))):
        return False
    labelled = text_at(matching, "namespaceSelector", "matchLabels", "kubernetes.io/metadata.name")
    return not namespace or namespace == labelled  # what is in no namespace is never exempted


@pytest.mark.parametrize("name", REFUSALS)
def test_what_is_in_no_namespace_is_written_while_all_kinds_of_one_are_refused(name: str) -> None:
    assert refuses(name, "*", written=CONFIG_MAP, namespace=SHOP)
    assert not refuses(name, "*", written=CONFIG_MAP, namespace="other")
    for written in (NODE, CLUSTER_ROLE):
        assert not refuses(name, "*", written=written, namespace="")
    assert not refuses(name, "*", written=NAMESPACE, namespace=SHOP), "a namespace's own name stands for its namespace"


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("resource", ["nodes", "node", "namespaces", "clusterrole"])
def test_a_kind_that_is_in_no_namespace_is_refused_before_anything_is_touched(name: str, resource: str) -> None:
    with pytest.raises(UsageError, match="in no namespace"):
        planned(name, resource)


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("resource", ["deployments", "deployment"])
def test_a_kind_is_meant_by_either_of_its_names(name: str, resource: str) -> None:
    assert refuses(name, resource, written=DEPLOYMENT, namespace=SHOP)
    assert not refuses(name, resource, written=CONFIG_MAP, namespace=SHOP)
