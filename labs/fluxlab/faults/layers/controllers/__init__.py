"""Faults of the programs that act: Flux's controllers, Kubernetes' own, KWOK."""

from fluxlab.faults.base import FaultTypes

from .deployments import ControllerOom, ControllerScaledDown
from .lease import ControllerLeaseStolen
from .mid_prune import ControllerKilledMidPrune
from .mid_release import ControllerKilledMidRelease, ControllerKilledMidUninstall
from .processes import ControllerKill, ControllerPause
from .receiver import ReceiverSecretWrong

FAULTS: FaultTypes = (
    ControllerPause,
    ControllerKill,
    ControllerScaledDown,
    ControllerKilledMidRelease,
    ControllerKilledMidUninstall,
    ControllerKilledMidPrune,
    ControllerLeaseStolen,
    ControllerOom,
    ReceiverSecretWrong,
)
