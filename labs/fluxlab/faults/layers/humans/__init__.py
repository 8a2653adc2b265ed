"""Faults of people: what somebody does by hand, behind git's back."""

from collections.abc import Sequence
from typing import Any

from fluxlab.faults.base import Fault

from .edits import AddsField, HumanDelete, HumanEdit, HumanScale, NewObject, SuspendsAndEdits, TakesOver
from .releases import DeletesReleaseSecret, HelmRollback, HelmUninstall

FAULTS: Sequence[type[Fault[Any]]] = (
    HumanEdit,
    AddsField,
    HumanScale,
    HumanDelete,
    NewObject,
    TakesOver,
    SuspendsAndEdits,
    HelmRollback,
    HelmUninstall,
    DeletesReleaseSecret,
)
