"""What an object that git does not want may be there for: who keeps it by its own account, which anybody may write, and
which Flux object reads it. Pure.
"""

from collections.abc import Iterator, Mapping

from fluxlab.clusters.api import FIELD_MANAGER
from fluxlab.clusters.managed_fields import creators
from fluxlab.clusters.objects import KubeObject, dig, items_at, text_at
from fluxlab.clusters.resources import CONFIG_MAP, SECRET, SERVICE_ACCOUNT, is_flux
from fluxlab.documents import Json
from fluxlab.timeline.entries import ObjectRef

from .helm_storage import PREFIX

_PLATFORM = frozenset(
    {
        "kustomize-controller",
        "helm-controller",
        "source-controller",
        "notification-controller",
        "kube-controller-manager",
        "kube-scheduler",
        "kube-apiserver",
        "kubelet",
        "kwok",
    }
)
_FLUX_PREFIX = "gotk-"
"""How Flux's controllers call themselves when they write to their own objects."""


def is_platform(manager: str) -> bool:
    """Whether a program keeps what git wants running (finalizers, revisions, scheduling): what it adds is no drift."""
    return manager in _PLATFORM or manager.startswith(_FLUX_PREFIX)


def is_bookkeeping(subject: ObjectRef) -> bool:
    """Whether Helm or Kubernetes makes such an object for itself, whoever it was that asked for something else."""
    if subject.kind == SERVICE_ACCOUNT.kind:
        return subject.name == "default"  # made without a word on who did
    return subject.kind == SECRET.kind and subject.name.startswith(PREFIX)


def claim_of(subject: KubeObject) -> str:
    """Who keeps an object by its own account, such as `ReplicaSet cart-1 owns it`; empty when it names nobody.

    The lab itself makes the keys to its servers, the Receiver, and the Secrets that `secret set` was asked for.
    """
    if owners := [_name(one) for one in items_at(subject.raw, "metadata", "ownerReferences")]:
        return f"{' and '.join(owners)} {'owns' if len(owners) == 1 else 'own'} it"
    makers = creators(subject.raw)
    if makers and all(is_platform(one) or one == FIELD_MANAGER for one in makers):
        return f"{' and '.join(makers)} made it"
    return ""


def _name(reference: Json) -> str:
    return f"{text_at(reference, 'kind')} {text_at(reference, 'name')}"


def read_by(subject: KubeObject) -> Iterator[ObjectRef]:
    """The Secrets and ConfigMaps that a Flux object reads: their content is not git's to say."""
    if is_flux(subject.api_version):
        yield from _references(dig(subject.raw, "spec"), subject.namespace, key="")


def _references(value: Json, namespace: str, *, key: str) -> Iterator[ObjectRef]:
    name = text_at(value, "name")
    if name and key.endswith("secretref"):
        yield ObjectRef(kind=SECRET.kind, namespace=namespace, name=name)
    if name and key in {"substitutefrom", "valuesfrom"} and text_at(value, "kind") in {SECRET.kind, CONFIG_MAP.kind}:
        yield ObjectRef(kind=text_at(value, "kind"), namespace=namespace, name=name)
    if items := items_at(value):
        for item in items:
            yield from _references(item, namespace, key=key)
    elif isinstance(value, Mapping):
        for inner_key, inner in value.items():
            yield from _references(inner, namespace, key=str(inner_key).lower())
