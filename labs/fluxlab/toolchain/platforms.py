"""For which operating system and processor a program is built, in Go's words."""

import os
from dataclasses import dataclass

from fluxlab.errors import UsageError

from .errors import ToolchainError

MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
SYSTEMS = ("linux", "darwin")


@dataclass(frozen=True, kw_only=True)
class Platform:
    """An operating system and a processor architecture, as in GOOS and GOARCH."""

    system: str
    architecture: str

    @classmethod
    def native(cls) -> "Platform":
        """The one that this process runs on."""
        host = os.uname()
        system, architecture = host.sysname.lower(), MACHINES.get(host.machine)
        if system not in SYSTEMS or architecture is None:
            raise ToolchainError(
                f"fluxlab has no toolchain for {host.sysname} on {host.machine}",
                hint="use Linux or macOS on amd64 or arm64",
            )
        return cls(system=system, architecture=architecture)

    @classmethod
    def parse(cls, text: str) -> "Platform":
        """`linux/arm64` as a platform. Raises UsageError when there is no toolchain for it."""
        system, _, architecture = text.partition("/")
        if system not in SYSTEMS or architecture not in MACHINES.values():
            known = ", ".join(f"{name}/{machine}" for name in SYSTEMS for machine in sorted(set(MACHINES.values())))
            raise UsageError(f"{text!r} is no platform of the toolchain", facts=[f"there are: {known}"])
        return cls(system=system, architecture=architecture)

    def __str__(self) -> str:
        return f"{self.system}/{self.architecture}"
