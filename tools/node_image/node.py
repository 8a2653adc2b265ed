"""Put a node's root file system together: Debian, the overlay, the programs, systemd with little to do, the images."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from tools.image_archives import write_archive

from fluxlab.commands import run
from fluxlab.toolchain import Toolchain

from .components import CNI_PLUGINS, CONTAINERD
from .images import node_images
from .preload import preload

OVERLAY = Path(__file__).with_name("overlay")
PLACES = {
    "usr/bin": ("kubeadm", "kubelet", "kubectl"),
    "usr/local/bin": (*CONTAINERD, "crictl"),
    "opt/cni/bin": CNI_PLUGINS,
}
UNITS = ("containerd", "kubelet")
UNIT_FOLDER = Path("etc/systemd/system")
VENDOR_FOLDER = Path("lib/systemd/system")
# What Debian starts in a machine and a container does without: terminals, file systems, udev, timers.
IDLE = (
    *("multi-user.target.wants", "local-fs.target.wants", "basic.target.wants", "timers.target.wants"),
    *("getty.target.wants", "sockets.target.wants/systemd-udevd-*", "sockets.target.wants/systemd-initctl*"),
    *("sysinit.target.wants/systemd-tmpfiles-setup.service", "sysinit.target.wants/systemd-pstore.service"),
)


def assemble(root: Path, *, programs: Toolchain, scratch: Path, archives: Sequence[Path] = ()) -> None:
    """Turn an unpacked Debian into a node, which holds the images in `archives`, too."""
    run(["cp", "--recursive", "--preserve=mode", "--no-target-directory", OVERLAY, root])
    for place, names in PLACES.items():
        (root / place).mkdir(parents=True, exist_ok=True)
        for name in names:
            shutil.copyfile(programs.binary(name), root / place / name)
            (root / place / name).chmod(0o755)
    (root / "kind/version").write_text(f"v{programs.versions['kubelet']}\n")
    for name in ("etc/kubernetes/manifests", "etc/cni/net.d", "etc/containerd/certs.d"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "etc/containerd/cri-base.json").write_text(_base_specification(programs))
    _quieten(root)
    images = scratch / "images.tar"
    write_archive(images, node_images(programs, root=root))
    preload([images, *archives], root=root, programs=programs, scratch=scratch)
    images.unlink()


def _base_specification(programs: Toolchain) -> str:
    """What containerd starts containers from, without limits: raising them needs CAP_SYS_RESOURCE."""
    specification = json.loads(run([programs.binary("ctr"), "oci", "spec"]).stdout)
    del specification["process"]["rlimits"]
    return json.dumps(specification)


def _quieten(root: Path) -> None:
    """Let systemd start containerd and the kubelet, and of its own only what they need."""
    for folder in (VENDOR_FOLDER, UNIT_FOLDER):
        for pattern in IDLE:
            for path in (root / folder).glob(pattern):
                for link in path.iterdir() if path.is_dir() else [path]:
                    link.unlink()
    wanted = root / UNIT_FOLDER / "multi-user.target.wants"
    wanted.mkdir(exist_ok=True)
    for name in UNITS:
        (wanted / f"{name}.service").symlink_to(f"/{UNIT_FOLDER}/{name}.service")
    # Debian's settings are for a machine: some would be made on the one that the node is on.
    for path in [*(root / "usr/lib/sysctl.d").glob("*.conf"), root / "etc/sysctl.d/99-sysctl.conf"]:
        path.unlink(missing_ok=True)
    # Mounts a file system that belongs to the machine.
    (root / UNIT_FOLDER / "systemd-binfmt.service").symlink_to("/dev/null")
    default = root / VENDOR_FOLDER / "default.target"
    default.unlink(missing_ok=True)
    default.symlink_to("multi-user.target")
    (root / "etc/machine-id").write_text("")  # each node makes its own
    for name in ("etc/hostname", "etc/resolv.conf"):  # of the machine that ran debootstrap; Docker mounts a node's own
        (root / name).write_text("")
