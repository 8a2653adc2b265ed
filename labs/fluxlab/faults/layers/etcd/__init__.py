"""Faults of etcd: it is gone, stands still, is full, or has forgotten."""

from collections.abc import Sequence
from typing import Any

from fluxlab.faults.base import Fault

from .restoring import EtcdRestore
from .server import EtcdKill, EtcdPause
from .space import EtcdNoSpace

FAULTS: Sequence[type[Fault[Any]]] = (EtcdKill, EtcdPause, EtcdNoSpace, EtcdRestore)
