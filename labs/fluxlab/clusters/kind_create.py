"""`python -m fluxlab.clusters.kind_create`: make a kind cluster by pytest-kind, in a process of its own.

Its library downloads what it is not given and writes into its working directory, kind writes to the terminal, and both
may have to be ended at any moment: so they get a process, a folder and a log file. The process loads what it needs
first and then reads its order, one line of JSON, from its standard input: who gives it has something to find out until
then. Without an order it ends.
"""

import json
import os
import shlex
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from fluxlab import host

WRAPPER = "kind-that-dies-with-its-parent"


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

    def to_line(self) -> bytes:
        """As `main` reads it."""
        return json.dumps(asdict(self)).encode() + b"\n"

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
    from pytest_kind import KindCluster  # type: ignore[import-untyped] # noqa: PLC0415 # an extra without types

    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):
        return 0
    order = KindOrder(**json.loads(line))
    os.chdir(order.folder)
    os.environ["KIND_EXPERIMENTAL_DOCKER_NETWORK"] = order.network
    wrapper = Path(order.folder) / WRAPPER
    words = [sys.executable, "-I", "-S", host.__file__, str(os.getpid()), order.kind]
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
