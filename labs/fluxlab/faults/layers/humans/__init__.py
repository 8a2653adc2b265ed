"""Faults of people: what somebody does by hand, behind git's back."""

from fluxlab.faults.base import FaultTypes

from .edits import AddsField, HumanDelete, HumanEdit, HumanScale, NewObject, SuspendsAndEdits, TakesOver
from .releases import DeletesReleaseSecret, HelmRollback, HelmUninstall

FAULTS: FaultTypes = (
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
