"""Images put into a node's containerd before there is a node: imported and unpacked by a containerd of our own."""

from collections.abc import Sequence
from pathlib import Path

from fluxlab.commands import CommandError, run
from fluxlab.processes import ManagedProcess
from fluxlab.toolchain import Toolchain
from fluxlab.waiting import wait_until

NAMESPACE = "k8s.io"
LABELS = ("io.cri-containerd.pinned=pinned", "io.cri-containerd.image=managed")
"""Pinned: the kubelet's garbage collection leaves them, as they could not be pulled again."""
IMPORT_SECONDS = 300


def preload(archives: Sequence[Path], *, root: Path, programs: Toolchain, scratch: Path) -> None:
    """Import what is in `archives` into the containerd whose node has the root file system `root`."""
    scratch.mkdir(parents=True, exist_ok=True)
    configuration, socket = scratch / "containerd.toml", scratch / "c.sock"
    configuration.write_text(
        "version = 2\n"
        f'root = "{root}/var/lib/containerd"\n'
        f'state = "{scratch}/state"\n'
        # Neither pods nor /opt/containerd: only the store.
        'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]\n'
        f'[grpc]\n  address = "{socket}"\n'
    )
    ctr: list[str | Path] = [programs.binary("ctr"), "--address", socket, "--namespace", NAMESPACE]

    def answers() -> bool:
        if not daemon.running:
            raise daemon.died()
        try:
            run([*ctr, "version"])
        except CommandError:
            return False
        return True

    daemon = ManagedProcess(
        "containerd", [programs.binary("containerd"), "--config", configuration], log=scratch / "containerd.log"
    )
    try:
        wait_until(answers, what="containerd answers", timeout_seconds=30, interval_seconds=0.1)
        # --local: the transfer service knows no labels. What is unpacked is not kept a second time as an archive, and
        # collected now: without `prune` it would stay until the next collection, which is in the node.
        labels = [f"--label={label}" for label in LABELS]
        for archive in archives:
            run(
                [*ctr, "images", "import", "--local", "--discard-unpacked-layers", *labels, archive],
                timeout_seconds=IMPORT_SECONDS,
            )
        run([*ctr, "content", "prune", "references"], timeout_seconds=IMPORT_SECONDS)
    finally:
        daemon.stop()
