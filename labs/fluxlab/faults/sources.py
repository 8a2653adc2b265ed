"""Faults of what source-controller keeps: artifacts that are gone, or are not what they were."""

from collections.abc import Sequence
from typing import Any

from .base import Fault

FAULTS: Sequence[type[Fault[Any]]] = ()
