"""Drift: what differs from git, who did it, and what will become of it. Here is what tests expect of it by name."""

from .aspects import DriftClass, Mark
from .records import Allowed, Expected

__all__ = ["Allowed", "DriftClass", "Expected", "Mark"]
