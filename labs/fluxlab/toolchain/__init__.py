"""The pinned upstream programs: find, build, verify, cache and bundle them."""

from .building import build
from .bundling import Bundle, bundle
from .components import COMPONENTS, KIND_COMPONENTS, Component
from .errors import DiskFullError, ToolchainError
from .handle import Toolchain
from .installing import install
from .lookup import ComponentStatus, find, status
from .platforms import Platform
from .progress import Progress, Silent
from .unpacking import BundleRefusedError

__all__ = [
    "COMPONENTS",
    "KIND_COMPONENTS",
    "Bundle",
    "BundleRefusedError",
    "Component",
    "ComponentStatus",
    "DiskFullError",
    "Platform",
    "Progress",
    "Silent",
    "Toolchain",
    "ToolchainError",
    "build",
    "bundle",
    "find",
    "install",
    "status",
]
