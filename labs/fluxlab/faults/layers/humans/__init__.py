"""Faults of people: what somebody does by hand, behind git's back."""

from fluxlab.faults.base import FaultTypes

from .presence import HumanDelete, NewObject
from .releases import DeletesReleaseSecret, HelmRollback, HelmUninstall
from .replicas import HumanScale, TakesOver
from .templates import AddsField, HumanEdit, SuspendsAndEdits

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
