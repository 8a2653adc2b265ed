"""Faults of etcd: it is gone, stands still, is full, or has forgotten."""

from fluxlab.faults.base import FaultTypes

from .restoring import EtcdRestore
from .server import EtcdKill, EtcdPause
from .space import EtcdNoSpace

FAULTS: FaultTypes = (EtcdKill, EtcdPause, EtcdNoSpace, EtcdRestore)
