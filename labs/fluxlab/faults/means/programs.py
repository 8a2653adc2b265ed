"""What is done to the programs of a cluster: they stand still, or are killed and have to be started again."""

import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from random import Random
from typing import Any, ClassVar

import psutil

from fluxlab.clusters.api import ApiError, ApiUnreachableError
from fluxlab.clusters.capabilities import Capability
from fluxlab.clusters.links import link_name, provider_of
from fluxlab.clusters.programs import API_SERVER, ETCD, KWOK, PROGRAMS
from fluxlab.clusters.resources import Resource
from fluxlab.documents import Json
from fluxlab.errors import FluxlabError, WaitTimeoutError
from fluxlab.fault_records import FaultRecords
from fluxlab.faults.base import Fault, Ground, Injection, NoParameters, Plan
from fluxlab.processes import Identity
from fluxlab.supervisor.control import SupervisorGoneError
from fluxlab.waiting import wait_until

EVERYBODY = frozenset(f"process:{program}" for program in PROGRAMS)
"""What is touched when etcd or the API server dies: all others are started anew, to not wait out long pauses."""

HEARD_SECONDS = 5.0
ANSWER_SECONDS = 2.0
SOON_SECONDS = 10.0
"""As long as a start anew takes: what comes back by itself within that needs none."""
PATIENT_SECONDS = 30.0
"""For what cannot be started anew, because another fault is in the way."""
GONE = "gone"
BEGUN_SECONDS = 60.0
"""How long it may take until a program is at some work."""
STEP_SECONDS = 0.01


def running(ground: Ground) -> Mapping[str, Identity]:
    """The programs of the cluster that run, by name. Raises SupervisorGoneError when nobody owns them (any more)."""
    record, prefix = ground.folder.read_record(), f"{ground.cluster.name}/"
    if record is None or ground.control.answering() != record.supervisor:
        hint = f"fluxlab up --name {ground.folder.name}"
        raise SupervisorGoneError(f"lab {ground.folder.name}: its supervisor does not answer", hint=hint)
    return {
        name.removeprefix(prefix): identity
        for name, identity in sorted(record.children.items())
        if name.startswith(prefix) and identity.process()
    }


def find_process(ground: Ground, program: str) -> psutil.Process | None:
    """The process of a program, if it runs."""
    identity = running(ground).get(program)
    return identity.process() if identity else None


def remembered(identity: Identity) -> Mapping[str, Json]:
    """A process, for the undo information of a plan."""
    return {"pid": identity.pid, "since_boot": identity.since_boot}


def recalled(injection: Injection[Any]) -> Identity:
    """The process that a plan remembers."""
    return Identity(pid=int(injection.text("pid")), since_boot=float(injection.text("since_boot")))


def send(identity: Identity, number: signal.Signals) -> None:
    """A signal, if that very process still runs."""
    if process := identity.process():
        with suppress(psutil.NoSuchProcess):  # it ended just now
            process.send_signal(number)


def end(identity: Identity) -> None:
    """SIGKILL, and wait for the end: a large program takes a while to go."""
    send(identity, signal.SIGKILL)
    wait_until(lambda: identity.process() is None, what=f"process {identity.pid} ends", timeout_seconds=HEARD_SECONDS)


def kill_at_work(identity: Identity, at_work: Callable[[], bool], *, what: str) -> None:
    """Kill a program in the middle of its work.

    It goes on in small steps, and is looked at between them: the moment may be shorter than it takes to hear of it.
    Raises WaitTimeoutError with `what` when the moment does not come, and what `at_work` raises.
    """

    def caught() -> bool:
        send(identity, signal.SIGSTOP)
        if at_work():
            return True
        send(identity, signal.SIGCONT)
        return False

    wait_until(caught, what=what, timeout_seconds=BEGUN_SECONDS, interval_seconds=STEP_SECONDS)
    end(identity)


def start(ground: Ground, program: str) -> None:
    """Start a program that does not run, unless it was stopped on purpose. Raises SupervisorGoneError."""
    if program not in running(ground) and not stopped(ground, program):
        ground.control.restart(f"{ground.cluster.name}/{program}")


def start_everybody(ground: Ground, program: str) -> None:
    """Start a program on which all depend, if it does not run, and all others anew. Raises SupervisorGoneError."""
    if program not in running(ground):
        wait_until(
            lambda: any(part.name.endswith(f"/{program}") and not part.pid for part in ground.state().components),
            what=f"the supervisor hears of the end of {program}",
            timeout_seconds=HEARD_SECONDS,
        )
    ground.control.repair(ground.cluster.name)  # what another one has lost on purpose stays away


def dead(ground: Ground, program: str, identity: Identity) -> str:
    """That a process has ended and none has taken its place; empty when that is not so."""
    if identity.process() or program in running(ground):
        return ""
    return f"process {identity.pid} has ended, and {program} does not run"


def stopped(ground: Ground, program: str) -> str:
    """That a program was stopped on purpose, as by scaling it to 0; empty when it runs or is dead."""
    return f"{program} is stopped on purpose" if _told_of(ground, program) == "stopped" else ""


def serving(process: psutil.Process | None) -> str:
    """Where a process listens: one that has just been started does not yet. Empty when nowhere, or it has ended."""
    try:
        sockets = process.net_connections(kind="tcp") if process else []
    except psutil.NoSuchProcess:
        return ""
    ports = sorted(one.laddr.port for one in sockets if one.status == psutil.CONN_LISTEN)
    return f"process {process.pid} listens on port {ports[0]}" if process and ports else ""


def api_serves(ground: Ground) -> str:
    """That the API server serves, with all that it needs itself; empty when it does not, or does not answer."""
    return f"{ground.api.server} says that it is ready" if ground.api.healthy() else ""


def etcd_answers(ground: Ground) -> str:
    """That etcd answers the API server for each resource: it has a connection for each, and tries each again by itself.

    `/readyz` has one of its own, and says nothing of these (k8s.io/apiserver, `newETCD3Storage`, `newETCD3ReadyCheck`).
    """
    if not (seen := api_serves(ground)):
        return ""
    resources = list(ground.api.resources(verb="get"))
    whole = all(_is_answered(ground, resource) for resource in resources)
    return f"{seen}, and looks up each of {len(resources)} resources" if whole else ""


def _is_answered(ground: Ground, resource: Resource) -> bool:
    """Whether the API server can look up an object, for which it asks etcd: that it is not there is an answer."""
    path = resource.path(namespace="default", name="nobody")
    try:
        ground.api.request("GET", path, timeout_seconds=ANSWER_SECONDS)
    except ApiUnreachableError:
        return False
    except ApiError as error:
        return error.status == HTTPStatus.NOT_FOUND
    return True


def have_etcd_answer(ground: Ground, injection: Injection[Any]) -> None:
    """Have the API server serve again that had to do without etcd, or stood still, and KWOK write again.

    Left alone each connection to etcd is tried again after pauses that grow to two minutes: gRPC's own, which
    k8s.io/apiserver leaves as they are (`newETCD3Client`).

    Raises WaitTimeoutError when it does not serve, and cannot be started anew because another fault is in the way.
    """
    alone = not any(map(_needed_to_start, _touched_by_others(ground, injection)))
    try:
        wait_until(
            lambda: etcd_answers(ground),
            what="etcd answers the API server",
            timeout_seconds=SOON_SECONDS if alone else PATIENT_SECONDS,
            interval_seconds=0.1,
        )
    except WaitTimeoutError:
        if not alone:
            raise
        ground.control.restart(f"{ground.cluster.name}/{API_SERVER}")  # and with it whoever had to do without
    else:
        have_kwok_look(ground, injection)


def have_kwok_look(ground: Ground, injection: Injection[Any]) -> None:
    """Have KWOK look at everything, as it does when it starts, if it runs and no other fault is in its way.

    What it could not write it tries again for few reasons only (kwok 0.8, `shouldRetry`), and its watches, as long as
    they go on, tell it nothing anew: a pod stays Pending, and a node whose heartbeat was lost has no other one.
    """
    ways = {f"process:{KWOK}", _link(KWOK, "api"), _link("api", ETCD)}
    in_its_way = ways & _touched_by_others(ground, injection)
    if KWOK in running(ground) and not in_its_way:
        ground.control.restart(f"{ground.cluster.name}/{KWOK}")


def _link(consumer: str, provider: str) -> str:
    """A link, as faults that touch it name it."""
    return f"link:{link_name(consumer, provider)}"


def _needed_to_start(thing: str) -> bool:
    """Whether something may not be touched where everything is started anew."""
    return thing in EVERYBODY or (thing.startswith("link:") and provider_of(thing) in {"api", ETCD})


def _touched_by_others(ground: Ground, injection: Injection[Any]) -> frozenset[str]:
    """What the other faults of the cluster have changed."""
    others = [one for one in FaultRecords(ground.folder).readable() if one.id != injection.id]
    return frozenset(thing for one in others if one.cluster == ground.cluster.name for thing in one.touches)


def _state(process: psutil.Process | None) -> str:
    try:
        return str(process.status()) if process else GONE
    except psutil.NoSuchProcess:
        return GONE


def _told_of(ground: Ground, program: str) -> str:
    """What the supervisor says of a program: running, stopped on purpose, or dead."""
    return next((part.state for part in ground.state().components if part.name.endswith(f"/{program}")), "")


class OnPrograms(Fault[NoParameters]):
    """Something that is done to one program."""

    needs = frozenset({Capability.PROCESSES})
    programs: ClassVar[Sequence[str]]
    """Whom it can be done to."""

    def candidates(self, ground: Ground) -> Sequence[str]:
        return [name for name in running(ground) if name in self.programs]

    def plan(self, ground: Ground, target: str, parameters: NoParameters, random: Random) -> Plan:
        del parameters, random
        return Plan(touches=frozenset({f"process:{target}"}), undo=remembered(running(ground)[target]))


class Pause(OnPrograms):
    """SIGSTOP: the process is there, its connections too, and it does nothing."""

    def inject(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        del ground
        send(recalled(injection), signal.SIGSTOP)

    def injected(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        del ground
        identity = recalled(injection)
        return f"process {identity.pid} is stopped" if _state(identity.process()) == psutil.STATUS_STOPPED else ""

    def heal(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        send(recalled(injection), signal.SIGCONT)
        if _told_of(ground, injection.target) == "dead":  # it was killed, or has ended when it found its Lease lost
            self.start(ground, injection.target)

    def start(self, ground: Ground, program: str) -> None:
        """Start the program, which is dead."""
        start(ground, program)

    def healed(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        process = find_process(ground, injection.target)  # another one, if the lab was started again since
        state = _state(process)
        if state == GONE and (seen := stopped(ground, injection.target)):
            return seen
        well = state not in {GONE, psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}
        return f"the process of {injection.target} is {state}" if well else ""

    def by_hand(self, ground: Ground, injection: Injection[NoParameters]) -> Sequence[str]:
        return [f"kill -CONT {recalled(injection).pid}", *super().by_hand(ground, injection)]


class Kill(OnPrograms):
    """SIGKILL: the supervisor leaves dead what dies by itself, and says so."""

    def inject(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        del ground
        end(recalled(injection))

    def injected(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        return dead(ground, injection.target, recalled(injection))

    def heal(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        if ground.links and _link(injection.target, "api") in _touched_by_others(ground, injection):
            raise FluxlabError(f"{injection.target} would end again: its link to the API is broken on purpose")
        start(ground, injection.target)

    def healed(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        return serving(find_process(ground, injection.target)) or stopped(ground, injection.target)

    def by_hand(self, ground: Ground, injection: Injection[NoParameters]) -> Sequence[str]:
        return [f"fluxlab up --name {ground.folder.name}", *super().by_hand(ground, injection)]


class KillForAll(Kill):
    """SIGKILL of a program without which the API server does not serve: all others are started anew with it."""

    def plan(self, ground: Ground, target: str, parameters: NoParameters, random: Random) -> Plan:
        return replace(super().plan(ground, target, parameters, random), touches=EVERYBODY)

    def injected(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        return "" if api_serves(ground) else super().injected(ground, injection)

    def heal(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        start_everybody(ground, injection.target)

    def healed(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        return super().healed(ground, injection) and api_serves(ground)


class PauseForAll(Pause):
    """SIGSTOP of a program without which the API server does not serve."""

    then: ClassVar[str]
    """What shows of it at the API server."""

    def injected(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        seen = super().injected(ground, injection)
        return f"{seen}, and {ground.api.server} {self.then}" if seen and not api_serves(ground) else ""

    def heal(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        super().heal(ground, injection)
        have_etcd_answer(ground, injection)

    def start(self, ground: Ground, program: str) -> None:
        start_everybody(ground, program)

    def healed(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        return super().healed(ground, injection) and etcd_answers(ground)
