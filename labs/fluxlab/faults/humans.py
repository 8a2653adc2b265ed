"""Faults of people: what somebody does by hand, behind git's back."""

from collections.abc import Sequence
from typing import Any

from .base import Fault

FAULTS: Sequence[type[Fault[Any]]] = ()
