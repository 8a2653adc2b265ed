"""The Deployments that git manages, and their pods: how faults name them, find them and read them."""

from collections.abc import Sequence

from fluxlab.clusters.api import KubeApi
from fluxlab.clusters.objects import KubeObject, dig, items_at, number_at, text_at
from fluxlab.clusters.resources import DEPLOYMENT, POD
from fluxlab.documents import Json, JsonObject
from fluxlab.faults.base import Ground
from fluxlab.flux.ownership import parent

from .followers import followers
from .places import find_at, place_of, remove

STANDS_FOR = "fluxlab.dev/stands-for"
"""The annotation of the pods of Flux's own controllers, which are processes."""
_OPERATORS = {"In": "in", "NotIn": "notin"}


def touched(place: str) -> str:
    """How faults name a Deployment that they change, or whose pods."""
    return f"object:Deployment {place}"


def managed_deployments(ground: Ground) -> Sequence[str]:
    """The Deployments with pods that a follower of the lab's repository has applied, but for Flux's own."""
    known = {one.reference: one for one in followers(ground)}
    there = (one for one in ground.api.list(DEPLOYMENT) if number_at(one.raw, "spec", "replicas"))
    found = (one for one in there if one.namespace != ground.cluster.root.namespace)
    return sorted(place_of(one) for one in found if parent(one, known))


def find_deployment(api: KubeApi, place: str) -> KubeObject | None:
    """The Deployment at a place, or None when it is not there (any more)."""
    return find_at(api, DEPLOYMENT, place)


def pods_at(api: KubeApi, place: str) -> Sequence[KubeObject]:
    """The pods of the Deployment at a place; none when it is not there (any more)."""
    deployment = find_deployment(api, place)
    return pods_of(api, deployment) if deployment else ()


def pods_of(api: KubeApi, deployment: KubeObject) -> Sequence[KubeObject]:
    """The pods that a Deployment selects and that are not on their way out."""
    query = {"labelSelector": label_selector(dig(deployment.raw, "spec", "selector"))}
    return [pod for pod in api.list(POD, namespace=deployment.namespace, query=query) if not pod.deleting]


def label_selector(selector: Json) -> str:
    """A selector of the API, as a query has it."""
    labels = dig(selector, "matchLabels")
    words = [f"{key}={value}" for key, value in labels.items()] if isinstance(labels, dict) else []
    for one in items_at(selector, "matchExpressions"):
        key, operator = text_at(one, "key"), text_at(one, "operator")
        values = ",".join(map(str, items_at(one, "values")))
        absent = {"Exists": key, "DoesNotExist": f"!{key}"}
        words.append(absent.get(operator) or f"{key} {_OPERATORS[operator]} ({values})")
    return ",".join(words)


def phase(pod: KubeObject) -> str:
    """Pending, Running, Succeeded or Failed."""
    return text_at(pod.raw, "status", "phase")


def waiting_reasons(pod: KubeObject) -> Sequence[str]:
    """For what each container of a pod waits; empty texts for those that do not."""
    statuses = items_at(pod.raw, "status", "containerStatuses")
    return [text_at(one, "state", "waiting", "reason") for one in statuses]


def restarts(pod: KubeObject) -> int:
    """How often the containers of a pod were started again."""
    return sum(number_at(one, "restartCount") for one in items_at(pod.raw, "status", "containerStatuses"))


def images(pod: KubeObject) -> Sequence[str]:
    """The images of a pod's containers."""
    return [text_at(one, "image") for one in items_at(pod.raw, "spec", "containers")]


def with_tag(image: str, tag: str) -> str:
    """The same image with another tag."""
    place, slash, name = image.partition("@")[0].rpartition("/")
    return f"{place}{slash}{name.partition(':')[0]}:{tag}"


def condition_of(pod: KubeObject, type_: str) -> JsonObject:
    """A condition of a pod, with all its fields; empty when it has none of that type."""
    return next(
        (
            one
            for one in items_at(pod.raw, "status", "conditions")
            if isinstance(one, dict) and text_at(one, "type") == type_
        ),
        {},
    )


def delete_pod(api: KubeApi, pod: KubeObject) -> None:
    """Delete a pod, if it is still there."""
    remove(api, POD, pod.name, namespace=pod.namespace)
