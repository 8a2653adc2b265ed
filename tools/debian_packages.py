"""Debian's packages that kind clusters need here, installed as far as their programs are missing."""

import os
import shutil

from fluxlab.commands import run
from fluxlab.errors import FluxlabError

PACKAGES = {"dockerd": "docker.io", "docker": "docker.io", "iptables-save": "iptables", "debootstrap": "debootstrap"}
"""By the programs that are needed; the last one for node images only."""
HINT = "`python -m tools.docker_daemon install` on Debian and Ubuntu"
TIMEOUT_SECONDS = 600


def install() -> None:
    """Install what is missing. Raises FluxlabError."""
    missing = sorted({package for program, package in PACKAGES.items() if shutil.which(program) is None})
    if not missing:
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise FluxlabError(f"missing: {', '.join(missing)}", hint="install it, as root")
    # In the runlevel for repairs Debian's scripts start no daemon. systemd has none: there Debian's daemon starts.
    environment = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    run(["apt-get", "update"], timeout_seconds=TIMEOUT_SECONDS)
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    run(command, environment=environment, timeout_seconds=TIMEOUT_SECONDS)
