"""Faults of the API server: it is gone, stands still, refuses, or asks somebody who is dead."""

from collections.abc import Sequence
from typing import Any

from fluxlab.faults.base import Fault

from .admission import AdmissionDeny, WebhookDead
from .server import ApiKill, ApiPause, ApiServiceDead

FAULTS: Sequence[type[Fault[Any]]] = (ApiKill, ApiPause, WebhookDead, AdmissionDeny, ApiServiceDead)
