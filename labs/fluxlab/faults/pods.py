"""Faults of pods: they crash, cannot be pulled, stay Pending, or take their time."""

from collections.abc import Sequence
from typing import Any

from .base import Fault

FAULTS: Sequence[type[Fault[Any]]] = ()
