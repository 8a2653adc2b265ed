"""The one process that owns a running lab, and how others speak to it."""

from .control import Control, SupervisorGoneError

__all__ = ["Control", "SupervisorGoneError"]
