"""Faults of the programs that act: Flux's controllers, Kubernetes' own, KWOK."""

from fluxlab.faults.base import FaultTypes

from .in_pods import ControllerLeaseStolen, ControllerOom
from .mid_release import ControllerKilledMidRelease
from .processes import ControllerKill, ControllerPause, ControllerScaledDown

FAULTS: FaultTypes = (
    ControllerPause,
    ControllerKill,
    ControllerScaledDown,
    ControllerKilledMidRelease,
    ControllerLeaseStolen,
    ControllerOom,
)
