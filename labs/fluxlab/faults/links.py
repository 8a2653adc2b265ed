"""Faults of the TCP hops between the parts of a lab: slow, narrow, silent, cut."""

from collections.abc import Sequence
from typing import Any

from .base import Fault

FAULTS: Sequence[type[Fault[Any]]] = ()
