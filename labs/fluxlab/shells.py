"""The environment in which other programs know a lab."""

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from .files import make_private, write_private
from .state import LabFolder
from .supervisor.way_out import way_out
from .toolchain import find

if TYPE_CHECKING:
    from .lab import Lab

TOOLS = ("kubectl", "flux", "helm")
GATEWAY_TOOLS = ("flux", "helm")


def shell_environment(lab: "Lab", *, cluster: str | None = None) -> dict[str, str]:
    """FLUXLAB_LAB, KUBECONFIG (of one cluster, or of all, the first one being current) and a PATH with the tools."""
    clusters = [lab.spec.cluster(cluster)] if cluster else lab.spec.clusters
    kubeconfigs = [str(lab.kubeconfig(each.name)) for each in clusters]
    tools = find()
    folder = lab.folder.root / "bin"
    make_private(folder)
    for tool in TOOLS:
        _write_tool(folder / tool, tools.binary(tool), lab.folder)
    return {
        "FLUXLAB_LAB": lab.name,
        "KUBECONFIG": os.pathsep.join(kubeconfigs),
        "PATH": os.pathsep.join((str(folder), os.environ.get("PATH", os.defpath))),
    }


def _write_tool(file: Path, binary: Path, folder: LabFolder) -> None:
    """A command that runs a tool, through the gateway if it speaks to public hosts: nothing else in a shell should."""
    variables = way_out(folder) if file.name in GATEWAY_TOOLS else {}
    words = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    text = f'#!/bin/sh\n{words} exec {shlex.quote(str(binary))} "$@"\n'
    if not file.is_file() or file.is_symlink() or file.read_text() != text:
        file.unlink(missing_ok=True)
        write_private(file, text).chmod(0o700)
