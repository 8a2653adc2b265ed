"""Faults of pods: they crash, cannot be pulled, stay Pending, take their time, or end."""

from collections.abc import Sequence
from typing import Any

from fluxlab.faults.base import Fault

from .ending import PodDeleted, PodFailed
from .waiting import PodCrashLoop, PodImagePull, PodNeverReady, PodPending, PodSlowStart

FAULTS: Sequence[type[Fault[Any]]] = (
    PodCrashLoop,
    PodImagePull,
    PodPending,
    PodNeverReady,
    PodSlowStart,
    PodFailed,
    PodDeleted,
)
