"""Faults of the programs that act: Flux's controllers, Kubernetes' own, KWOK."""

from fluxlab.faults.base import FaultTypes

from .deployments import ControllerOom, ControllerScaledDown
from .lease import ControllerLeaseStolen
from .mid_release import ControllerKilledMidRelease
from .processes import ControllerKill, ControllerPause

FAULTS: FaultTypes = (
    ControllerPause,
    ControllerKill,
    ControllerScaledDown,
    ControllerKilledMidRelease,
    ControllerLeaseStolen,
    ControllerOom,
)
