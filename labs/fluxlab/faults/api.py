"""Faults of the API server: it is gone, stands still, refuses, or asks somebody who is dead."""

from collections.abc import Sequence
from typing import Any

from .base import Fault

FAULTS: Sequence[type[Fault[Any]]] = ()
