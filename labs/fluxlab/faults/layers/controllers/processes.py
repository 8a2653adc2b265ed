"""Signals to the programs that act."""

from fluxlab.clusters.flux_controllers import CONTROLLERS
from fluxlab.clusters.programs import WORKERS
from fluxlab.faults.base import Layer
from fluxlab.faults.means.programs import Kill, Pause


class ControllerPause(Pause):
    """SIGSTOP of one that acts."""

    name = "controller-pause"
    layer = Layer.CONTROLLERS
    summary = "a controller stands still (SIGSTOP): its process and its connections stay, and nothing is done"
    expect = "no signal but a health check that times out; it catches up within a second of going on"
    programs = (*CONTROLLERS, *WORKERS)


class ControllerKill(Kill):
    """SIGKILL of one that acts."""

    name = "controller-kill"
    layer = Layer.CONTROLLERS
    summary = "a controller is gone (SIGKILL), and stays so until it is started again"
    expect = (
        "what it would have done is not done, and nobody says so: conditions stay as they were; without "
        "notification-controller each event costs the others up to 15 s; healing starts it, and it catches up"
    )
    programs = (*CONTROLLERS, *WORKERS)
