"""Faults of the programs that act: Flux's controllers, Kubernetes' own, KWOK."""

from collections.abc import Sequence
from typing import Any

from fluxlab.faults.base import Fault

from .in_pods import ControllerLeaseStolen, ControllerOom
from .mid_release import ControllerKilledMidRelease
from .processes import ControllerKill, ControllerPause, ControllerScaledDown

FAULTS: Sequence[type[Fault[Any]]] = (
    ControllerPause,
    ControllerKill,
    ControllerScaledDown,
    ControllerKilledMidRelease,
    ControllerLeaseStolen,
    ControllerOom,
)
