"""What a lab is like apart from its work: taken before and after a rehearsal, the difference is residue."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import psutil

from fluxlab.clusters.api import ApiError, KubeApi
from fluxlab.clusters.objects import KubeObject, items_at, text_at
from fluxlab.clusters.resources import DERIVED, EVENT, HELM_STORAGE, Resource
from fluxlab.clusters.toxics import LinkProxy
from fluxlab.drift.fields import is_platform
from fluxlab.flux.ownership import HELM_LABEL, KUSTOMIZE_LABEL, owner
from fluxlab.lab import Lab

# What controllers make and remove by themselves, under names that nobody chose.
_PASSING = DERIVED | {EVENT.plural, "pods", "replicasets", "componentstatuses", "ipaddresses"}


@dataclass(frozen=True, kw_only=True)
class Trace:
    """What of one object nobody but its maker should change."""

    ours: bool
    """Whether a Kustomization or HelmRelease owns it: git may add and remove it."""
    finalizers: frozenset[str]
    suspended: bool
    managers: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """A lab at rest."""

    processes: Mapping[str, str]
    """The state of each component: running, stopped, dead, or `paused`."""
    rules: frozenset[str]
    """Toxics of links and rules of the gateway."""
    objects: Mapping[str, Trace]
    unlisted: frozenset[str]
    """Resources that the API names, and whose objects it does not give."""
    faults: frozenset[str]

    @classmethod
    def of(cls, lab: Lab) -> "Footprint":
        """The footprint of a lab now. Raises FluxlabError."""
        resources = _resources(lab.cluster.api)
        listed = {resource: found for resource in resources if (found := _list(lab.cluster.api, resource)) is not None}
        return cls(
            processes=dict(_processes(lab)),
            rules=frozenset(_rules(lab)),
            objects={str(one): _trace(one) for found in listed.values() for one in found},
            unlisted=frozenset(
                f"{resource.plural}.{resource.group}" for resource in resources if resource not in listed
            ),
            faults=frozenset(record.id for record in lab.faults.active()),
        )

    def residue(self, before: "Footprint") -> Iterator[str]:
        """What is here now and was not before, or the other way round, a line each."""
        for name, state in self.processes.items():
            if state != before.processes.get(name, state):
                yield f"process {name} is {state}, it was {before.processes[name]}"
        for rule in sorted(self.rules - before.rules):
            yield f"{rule} is still in"
        for fault in sorted(self.faults - before.faults):
            yield f"fault {fault} is still in"
        for resource in sorted(self.unlisted - before.unlisted):
            yield f"{resource} cannot be listed"
        yield from self._objects_left(before)

    def _objects_left(self, before: "Footprint") -> Iterator[str]:
        for name, now in sorted(self.objects.items()):
            then = before.objects.get(name)
            if then is None:
                if not now.ours:
                    yield f"{name} is there, and nobody owns it"
                continue
            for finalizer in sorted(now.finalizers - then.finalizers):
                yield f"{name} has finalizer {finalizer}"
            for manager in sorted(now.managers - then.managers):
                yield f"{name} has fields of {manager}"
            if now.suspended and not then.suspended:
                yield f"{name} is suspended"
        for name in sorted(before.objects.keys() - self.objects.keys()):
            if not before.objects[name].ours:
                yield f"{name} is gone, and nobody owns it"


def _processes(lab: Lab) -> Iterator[tuple[str, str]]:
    status = lab.status()
    for part in (*status.components, *(part for cluster in status.clusters for part in cluster.components)):
        yield part.name, "paused" if part.pid and _is_paused(part.pid) else part.state


def _is_paused(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_STOPPED
    except psutil.NoSuchProcess:
        return False


def _rules(lab: Lab) -> Iterator[str]:
    for rule in lab.control.rules():
        yield f"rule {rule.id} of the gateway for {rule.host}"
    for name in lab.clusters:
        for link, toxic in LinkProxy(lab.folder.cluster(name)).toxics():
            yield f"toxic {toxic} of link {link} in cluster {name}"


def _resources(api: KubeApi) -> Sequence[Resource]:
    """What is listed: each kind once, in the version that comes first."""
    found: dict[tuple[str, str], Resource] = {}
    for resource in api.resources(verb="list"):
        if resource.plural not in _PASSING and resource.group != "events.k8s.io":
            found.setdefault((resource.group, resource.plural), resource)
    return tuple(found.values())


def _list(api: KubeApi, resource: Resource) -> Sequence[KubeObject] | None:
    """The objects of a resource; None when whoever serves it does not give them."""
    try:
        return [one for one in api.list(resource) if text_at(one.raw, "type") != HELM_STORAGE]
    except ApiError:
        return None


def _trace(subject: KubeObject) -> Trace:
    entries = items_at(subject.raw, "metadata", "managedFields")
    managers = {text_at(entry, "manager") for entry in entries if not text_at(entry, "subresource")}
    return Trace(
        ours=any(owner(subject, label) != ("", "") for label in (KUSTOMIZE_LABEL, HELM_LABEL)),
        finalizers=frozenset(str(one) for one in items_at(subject.raw, "metadata", "finalizers")),
        suspended=subject.suspended,
        managers=frozenset(one for one in managers if not is_platform(one)),
    )
