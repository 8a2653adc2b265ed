"""Faults of pods: they crash, cannot be pulled, stay Pending, take their time, or end."""

from fluxlab.faults.base import FaultTypes

from .ending import PodDeleted, PodFailed
from .waiting import PodCrashLoop, PodImagePull, PodNeverReady, PodPending, PodSlowStart

FAULTS: FaultTypes = (
    PodCrashLoop,
    PodImagePull,
    PodPending,
    PodNeverReady,
    PodSlowStart,
    PodFailed,
    PodDeleted,
)
