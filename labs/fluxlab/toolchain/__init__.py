"""The pinned upstream programs: find, build, verify, cache and bundle them.

What builds and bundles is in `building`, `bundling` and `installing`: whoever only runs the programs does not load it.
"""

from .components import COMPONENTS, KIND_COMPONENTS, Component
from .errors import DiskFullError, ToolchainError
from .handle import Toolchain
from .lookup import ComponentStatus, find, status
from .platforms import Platform
from .progress import Progress, Silent

__all__ = [
    "COMPONENTS",
    "KIND_COMPONENTS",
    "Component",
    "ComponentStatus",
    "DiskFullError",
    "Platform",
    "Progress",
    "Silent",
    "Toolchain",
    "ToolchainError",
    "find",
    "status",
]
