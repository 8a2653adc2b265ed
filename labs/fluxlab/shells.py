"""The environment in which other programs know a lab."""

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from .command_lines import TOOLS
from .files import make_private, write_private
from .state import LabFolder
from .toolchain import find

if TYPE_CHECKING:
    from .lab import Lab

GATEWAY_TOOLS = ("flux", "helm")


def shell_environment(lab: "Lab", *, cluster: str | None = None) -> dict[str, str]:
    """FLUXLAB_LAB, KUBECONFIG (of one cluster, or of all, the first one being current) and a PATH with the tools."""
    clusters = [lab.spec.cluster(cluster)] if cluster else lab.spec.clusters
    kubeconfigs = [str(lab.clusters[each.name].kubeconfig) for each in clusters]
    tools = find()
    folder = tools_folder(lab)
    make_private(folder)
    for tool in TOOLS:
        _write_tool(folder / tool, tools.binary(tool), lab.folder)
    return {
        "FLUXLAB_LAB": lab.name,
        "KUBECONFIG": os.pathsep.join(kubeconfigs),
        "PATH": os.pathsep.join((str(folder), os.environ.get("PATH", os.defpath))),
    }


def tools_folder(lab: "Lab") -> Path:
    """Where a lab's kubectl, flux and helm are."""
    return lab.folder.root / "bin"


def _write_tool(file: Path, binary: Path, folder: LabFolder) -> None:
    """A command that runs a tool, through the gateway if it speaks to public hosts: nothing else in a shell should.

    It reads how when it runs: the supervisor that a lab is resumed by has other credentials.
    """
    through = f". {shlex.quote(str(folder.way_out))}\n" if file.name in GATEWAY_TOOLS else ""
    remembering = f"export KUBECACHEDIR={shlex.quote(str(folder.discoveries))}\n"
    text = f'#!/bin/sh\n{through}{remembering}exec {shlex.quote(str(binary))} "$@"\n'
    if not file.is_file() or file.read_text() != text:
        write_private(file, text, mode=0o700)
