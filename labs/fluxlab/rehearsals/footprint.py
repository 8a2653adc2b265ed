"""What a lab is like apart from its work: taken before and after a rehearsal, the difference is residue."""

import os
import re
import shlex
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from fluxlab.clusters.resources import POD
from fluxlab.clusters.toxics import LinkProxy
from fluxlab.commands import run
from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.host import has_terminal
from fluxlab.lab import Lab
from fluxlab.status import ComponentState
from fluxlab.timeline.query import Masks

from .traces import UNOWNED, Trace, broken_pods, listed, resources, traces

_OF_FAULTS = re.compile(rf"(?:{'|'.join(CATALOGUE)})-[0-9a-f]{{6}}(?!.*\.json$)")
"""The id of a fault in the name of a file; its record, in JSON, is told as the fault itself."""
GIT_SECONDS = 30.0
LINE_LENGTH = 160
"""What is told of a command line, once it is masked: some have dozens of options."""


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """A lab at rest."""

    processes: Mapping[str, str]
    """The state of each component: running, stopped, dead, or `paused`."""
    programs: Mapping[int, str]
    """The whole command lines of what runs for the lab besides its components, by process id."""
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
        objects = {resource: found for resource in known if (found := listed(api, resource)) is not None}
        components = tuple(_components(lab))
        return cls(
            processes={one.name: one.state for one in components},
            programs=dict(_programs(lab, {one.pid for one in components})),
            rules=frozenset(_rules(lab)),
            objects=traces(objects),
            pods=frozenset(broken_pods(objects.get(POD, ()))),
            unlisted=frozenset(f"{resource.plural}.{resource.group}" for resource in known if resource not in objects),
            references=frozenset(_references(lab)),
            files=frozenset(_files(lab.folder.root)),
            faults=frozenset(record.id for record in lab.faults.active()),
        )

    def residue(self, before: "Footprint", *, masks: Masks) -> Iterator[str]:
        """What is here now and was not before, or the other way round, a line each; command lines are masked."""
        for name, was in before.processes.items():
            state = self.processes.get(name, "gone")
            if state != was:
                yield f"process {name} is {state}, it was {was}"
        yield from self._programs_left(before, masks)
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

    def _programs_left(self, before: "Footprint", masks: Masks) -> Iterator[str]:
        """One that was started anew has the same command line and another id."""
        known = Counter(before.programs.values())
        for pid, line in sorted(self.programs.items()):
            known[line] -= 1
            if known[line] < 0:
                yield f"process {pid} runs, and did not before: {masks().redact(line)[:LINE_LENGTH]}"

    def _objects_left(self, before: "Footprint") -> Iterator[str]:
        for (group, name), now in sorted(self.objects.items()):
            then = before.objects.get((group, name))
            if then is None and not now.ours:
                yield f"{name} {UNOWNED}"
            elif then is None and now.stays:
                yield f"{name} is to go, and {now.stays}"
            for line in now.left(then) if then else ():
                yield f"{name} {line}"
        for group, name in sorted(before.objects.keys() - self.objects.keys()):
            if not before.objects[group, name].ours:
                yield f"{name} is gone, and nobody owns it"


def _components(lab: Lab) -> Iterator[ComponentState]:
    status = lab.status()
    yield from status.components
    for cluster in status.clusters:
        yield from cluster.components


def _programs(lab: Lab, components: Collection[int | None]) -> Iterator[tuple[int, str]]:
    """What the supervisor has started, and all that this has started, and what works in the lab's folder.

    Not what somebody runs there at a terminal: an editor, `less`, `kubectl port-forward`.
    """
    record = lab.folder.read_record()
    if record is None:
        return
    own = {os.getpid(), *(one.pid for one in psutil.Process().parents()), record.supervisor.pid, *components}
    started: set[int] = set()
    with suppress(psutil.NoSuchProcess):
        started = {one.pid for one in psutil.Process(record.supervisor.pid).children(recursive=True)}
    for process in psutil.process_iter():
        if process.pid in own:
            continue
        with suppress(psutil.Error, ProcessLookupError):  # it has ended, or is somebody else's
            words = process.cmdline()  # none: it has ended, and its parent has not asked for its exit code yet
            works = words and _works_in(lab.folder.root, words) and not has_terminal(process.pid)
            if words and (process.pid in started or works):
                yield process.pid, shlex.join([Path(words[0]).name, *words[1:]])


def _works_in(folder: Path, words: Sequence[str]) -> bool:
    return any(word == str(folder) or f"{folder}/" in word for word in words)


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
