"""Faults of chart repositories and the OCI registry."""

from collections.abc import Sequence
from typing import Any

from .base import Fault

FAULTS: Sequence[type[Fault[Any]]] = ()
