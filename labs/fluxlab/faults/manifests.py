"""Faults that arrive as commits: what git says cannot be built, applied or run."""

from collections.abc import Sequence
from typing import Any

from .base import Fault

FAULTS: Sequence[type[Fault[Any]]] = ()
