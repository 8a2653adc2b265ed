"""Faults of Secrets: missing, empty, malformed, rotated."""

from collections.abc import Sequence
from typing import Any

from .base import Fault

FAULTS: Sequence[type[Fault[Any]]] = ()
