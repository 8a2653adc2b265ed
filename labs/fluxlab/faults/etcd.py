"""Faults of etcd: it is gone, stands still, is full, or has forgotten."""

from collections.abc import Sequence
from typing import Any

from .base import Fault

FAULTS: Sequence[type[Fault[Any]]] = ()
