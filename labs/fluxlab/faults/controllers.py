"""Faults of the programs that act: Flux's controllers, Kubernetes' own, KWOK."""

import signal
from collections.abc import Sequence
from random import Random
from typing import Any

import psutil

from fluxlab.clusters.capabilities import Capability
from fluxlab.errors import FluxlabError

from .base import Fault, Ground, Injection, Layer, NoParameters, Plan


def programs(ground: Ground) -> dict[str, int]:
    """The processes of the cluster's programs that run, by name."""
    prefix = f"{ground.cluster.name}/"
    return {part.name.removeprefix(prefix): part.pid for part in ground.state().components if part.pid}


class ControllerPause(Fault[NoParameters]):
    """SIGSTOP: the process is there, its connections too, and it does nothing."""

    name = "controller-pause"
    layer = Layer.CONTROLLERS
    summary = "a controller stands still (SIGSTOP): its process and its connections stay, and nothing is done"
    expect = "no signal but a health check that times out; it catches up within a second of going on"
    needs = frozenset({Capability.PROCESSES})

    def candidates(self, ground: Ground) -> Sequence[str]:
        return sorted(name for name in programs(ground) if name.endswith("-controller"))

    def plan(self, ground: Ground, targets: tuple[str, ...], parameters: NoParameters, random: Random) -> Plan:
        del parameters, random
        (name,) = targets
        return Plan(
            targets=targets,
            touches=frozenset({f"process:{name}"}),
            undo={"pid": programs(ground)[name]},
        )

    def inject(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        self._signal(ground, injection, signal.SIGSTOP)

    def injected(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        pid = programs(ground).get(injection.target)
        state = psutil.Process(pid).status() if pid else "gone"
        return f"process {pid} is in state {state}" if state == psutil.STATUS_STOPPED else ""

    def heal(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        self._signal(ground, injection, signal.SIGCONT)

    def healed(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        pid = programs(ground).get(injection.target)
        if pid is None:
            raise FluxlabError(f"{injection.target} does not run", hint=f"fluxlab up --name {ground.folder.name}")
        state = psutil.Process(pid).status()
        return "" if state == psutil.STATUS_STOPPED else f"process {pid} is in state {state}"

    @staticmethod
    def _signal(ground: Ground, injection: Injection[NoParameters], number: signal.Signals) -> None:
        if pid := programs(ground).get(injection.target):
            psutil.Process(pid).send_signal(number)


FAULTS: Sequence[type[Fault[Any]]] = (ControllerPause,)
