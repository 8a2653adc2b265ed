"""The environment in which other programs know a lab."""

import os
from typing import TYPE_CHECKING

from .files import make_private
from .toolchain import find

if TYPE_CHECKING:
    from .lab import Lab

TOOLS = ("kubectl", "flux", "helm")


def shell_environment(lab: "Lab", *, cluster: str | None = None) -> dict[str, str]:
    """FLUXLAB_LAB, KUBECONFIG (of one cluster, or of all, the first one being current) and a PATH with the tools."""
    clusters = [lab.spec.cluster(cluster)] if cluster else lab.spec.clusters
    kubeconfigs = [str(lab.kubeconfig(each.name)) for each in clusters]
    tools = find()
    folder = lab.folder.root / "bin"
    make_private(folder)
    for tool in TOOLS:
        link = folder / tool
        if not link.is_symlink() or link.readlink() != tools.binary(tool):
            link.unlink(missing_ok=True)
            link.symlink_to(tools.binary(tool))
    return {
        "FLUXLAB_LAB": lab.name,
        "KUBECONFIG": os.pathsep.join(kubeconfigs),
        "PATH": os.pathsep.join((str(folder), os.environ.get("PATH", os.defpath))),
    }
