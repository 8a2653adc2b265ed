"""`python -m fluxlab.clusters.kind_create`: make a kind cluster by pytest-kind, in a process of its own.

Its library downloads what it is not given and writes into its working directory, kind writes to the terminal, and both
may have to be ended at any moment: so they get a process, a folder and a log file. Order by an
environment variable, as JSON.
"""

import json
import os
import shlex
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from fluxlab.host import die_when_ends

WRAPPER = "kind-that-dies-with-its-parent"
EXEC = "--exec"
ORDER = "FLUXLAB_KIND_ORDER"


@dataclass(frozen=True, kw_only=True)
class KindOrder:
    """Which cluster to make, and with what."""

    name: str
    folder: str
    """A private one: the working directory."""
    kind: str
    kubectl: str
    image: str
    workers: int
    network: str

    def to_json(self) -> str:
        """As `main` reads it."""
        return json.dumps(asdict(self))

    @property
    def kubeconfig(self) -> Path:
        """Where kind writes it."""
        return Path(self.folder) / "kind.kubeconfig"


def config(order: KindOrder) -> str:
    """Kind's description of the cluster."""
    image = {"image": order.image} if order.image else {}
    nodes = [{"role": "control-plane", **image}, *({"role": "worker", **image} for _ in range(order.workers))]
    content = {"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4", "name": order.name, "nodes": nodes}
    return yaml.dump(content, Dumper=yaml.CSafeDumper, sort_keys=False)


def main() -> int:
    """Make it. What goes wrong kind has told by then."""
    if sys.argv[1:2] == [EXEC]:
        die_when_ends(int(sys.argv[2]))
        os.execv(sys.argv[3], sys.argv[3:])  # noqa: S606 # no shell is the point
    from pytest_kind import KindCluster  # type: ignore[import-untyped] # noqa: PLC0415 # an extra without types

    order = KindOrder(**json.loads(os.environ[ORDER]))
    os.chdir(order.folder)
    os.environ["KIND_EXPERIMENTAL_DOCKER_NETWORK"] = order.network
    wrapper = Path(order.folder) / WRAPPER
    words = [sys.executable, "-m", "fluxlab.clusters.kind_create", EXEC, str(os.getpid()), order.kind]
    wrapper.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    wrapper.chmod(0o700)
    file = Path(order.folder) / "kind.yaml"
    file.write_text(config(order))
    cluster = KindCluster(
        order.name,
        kubeconfig=order.kubeconfig,
        image=order.image or None,
        kind_path=wrapper,
        kubectl_path=Path(order.kubectl),
    )
    try:
        cluster.create(config_file=file)
    except subprocess.CalledProcessError as error:  # whose last words are those of kind
        return error.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
