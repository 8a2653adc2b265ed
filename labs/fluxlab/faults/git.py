"""Faults of the git server: it does not answer, answers wrongly, or says something else than before."""

from collections.abc import Sequence
from typing import Any

from .base import Fault

FAULTS: Sequence[type[Fault[Any]]] = ()
