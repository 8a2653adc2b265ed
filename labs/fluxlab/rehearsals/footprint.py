"""What a lab is like apart from its work: taken before and after a rehearsal, the difference is residue."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from fluxlab.clusters.toxics import LinkProxy
from fluxlab.commands import run
from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.lab import Lab

from .traces import Trace, broken_pods, resources, traces

_OF_FAULTS = re.compile(rf"(?:{'|'.join(CATALOGUE)})-[0-9a-f]{{6}}(?!.*\.json$)")
"""The id of a fault in the name of a file; its record, in JSON, is told as the fault itself."""
GIT_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """A lab at rest."""

    processes: Mapping[str, str]
    """The state of each component: running, stopped, dead, or `paused`."""
    rules: frozenset[str]
    """Toxics of links and rules of the gateway."""
    objects: Mapping[tuple[str, str], Trace]
    """By API group and name: kinds of two groups may have one name."""
    pods: frozenset[str]
    """What is wrong with pods."""
    references: frozenset[str]
    """The branches and tags of git, and where HEAD leads."""
    files: frozenset[str]
    """What faults have put into the lab's folder."""
    unlisted: frozenset[str]
    """Resources that the API names, and whose objects it does not give."""
    faults: frozenset[str]

    @classmethod
    def of(cls, lab: Lab) -> "Footprint":
        """The footprint of a lab now. Raises FluxlabError."""
        api = lab.cluster.api
        known = resources(api)
        listed = {resource: found for resource in known if (found := traces(api, resource)) is not None}
        return cls(
            processes=dict(_processes(lab)),
            rules=frozenset(_rules(lab)),
            objects={name: trace for found in listed.values() for name, trace in found.items()},
            pods=frozenset(broken_pods(api)),
            unlisted=frozenset(f"{resource.plural}.{resource.group}" for resource in known if resource not in listed),
            references=frozenset(_references(lab)),
            files=frozenset(_files(lab.folder.root)),
            faults=frozenset(record.id for record in lab.faults.active()),
        )

    def residue(self, before: "Footprint") -> Iterator[str]:
        """What is here now and was not before, or the other way round, a line each."""
        for name, was in before.processes.items():
            state = self.processes.get(name, "gone")
            if state != was:
                yield f"process {name} is {state}, it was {was}"
        for rule in sorted(self.rules - before.rules):
            yield f"{rule} is still in"
        for fault in sorted(self.faults - before.faults):
            yield f"fault {fault} is still in"
        for resource in sorted(self.unlisted - before.unlisted):
            yield f"{resource} cannot be listed"
        yield from sorted(self.pods - before.pods)
        for reference in sorted(self.references - before.references):
            yield f"git has {reference}"
        for reference in sorted(before.references - self.references):
            yield f"git has lost {reference}"
        for file in sorted(self.files - before.files):
            yield f"file {file} is there"
        yield from self._objects_left(before)

    def _objects_left(self, before: "Footprint") -> Iterator[str]:
        for (group, name), now in sorted(self.objects.items()):
            then = before.objects.get((group, name))
            if then is None and not now.ours:
                yield f"{name} is there, and nobody owns it"
            for line in now.left(then) if then else ():
                yield f"{name} {line}"
        for group, name in sorted(before.objects.keys() - self.objects.keys()):
            if not before.objects[group, name].ours:
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


def _references(lab: Lab) -> Iterator[str]:
    for bare in sorted(lab.folder.repositories.glob("*.git")):
        git = ["git", "-c", f"safe.directory={bare}", f"--git-dir={bare}"]
        told = run([*git, "for-each-ref", "--format=%(refname)"], timeout_seconds=GIT_SECONDS).stdout
        yield from (f"{reference} in {bare.stem}" for reference in filter(None, told.split("\n")))
        head = (bare / "HEAD").read_text().strip()
        yield f"HEAD {head.removeprefix('ref: ')} in {bare.stem}"


def _files(folder: Path) -> Iterator[str]:
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            if _OF_FAULTS.search(name):
                yield str((Path(place) / name).relative_to(folder))
