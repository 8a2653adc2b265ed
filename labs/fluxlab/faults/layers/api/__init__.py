"""Faults of the API server: it is gone, stands still, refuses, or asks somebody who is dead."""

from fluxlab.faults.base import FaultTypes

from .admission import AdmissionDeny, WebhookDead
from .server import ApiKill, ApiPause, ApiServiceDead

FAULTS: FaultTypes = (ApiKill, ApiPause, WebhookDead, AdmissionDeny, ApiServiceDead)
