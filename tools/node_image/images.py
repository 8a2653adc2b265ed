"""The images that a node holds from the start: what kubeadm and kind's two manifests name."""

import re
from pathlib import Path

from tools.image_archives import TEMPORARY, Image, Layer, Member, program

from fluxlab.commands import run
from fluxlab.toolchain import Toolchain

KUBEADM = "registry.k8s.io"
OWN = "docker.io/fluxlab"
# As this kubeadm names them (`kubeadm config images list`); the programs in them are those of the toolchain.
ETCD = f"{KUBEADM}/etcd:3.6.8-0"
COREDNS = f"{KUBEADM}/coredns/coredns:v1.14.2"
PAUSE = f"{KUBEADM}/pause:3.10.2"
FILTERS = ("usr/sbin/xtables-nft-multi", "usr/sbin/nft", "usr/sbin/conntrack")
FILTER_NAMES = ("iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore")


def node_images(programs: Toolchain, *, root: Path) -> list[Image]:
    """All of them; `root` is the unpacked root file system, whose packet filter some of them need."""
    version = programs.versions["kubelet"]
    filters = packet_filter(root)
    control_plane = [
        _plain(programs, name, f"{KUBEADM}/{name}:v{version}")
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
    ]
    provisioner = programs.versions["local-path-provisioner"]
    return [
        *control_plane,
        _plain(programs, "etcd", ETCD),
        Image(names=(f"{KUBEADM}/kube-proxy:v{version}",), layers=(filters, program(programs.binary("kube-proxy")))),
        Image(
            names=(f"{OWN}/podnet:v1",),
            layers=(filters, program(programs.binary("podnet"))),
            entrypoint=("/usr/local/bin/podnet",),
        ),
        # The manifest that kubeadm applies names no command.
        Image(names=(COREDNS,), layers=(program(programs.binary("coredns")),), entrypoint=("/usr/local/bin/coredns",)),
        _plain(programs, "local-path-provisioner", f"{OWN}/local-path-provisioner:v{provisioner}"),
        Image(names=(PAUSE,), layers=(program(programs.binary("pause")),), entrypoint=("/usr/local/bin/pause",)),
        busybox(root),
    ]


def busybox(root: Path) -> Image:
    """Debian's static busybox under all its names, for the helper pods of local-path-provisioner."""
    binary = root / "bin/busybox"
    names = [name for name in run([binary, "--list"]).stdout.split() if name != "busybox"]
    members = (
        Member(path="bin/busybox", source=binary),
        *(Member(path=f"bin/{name}", link="busybox") for name in names),
        Member(path="tmp", mode=TEMPORARY),
    )
    return Image(
        names=(f"{OWN}/busybox:v1",),
        layers=(Layer(members=members),),
        entrypoint=("/bin/sh",),
    )


def packet_filter(root: Path) -> Layer:
    """Iptables (with nftables behind it), nft and conntrack of the root file system, with all libraries that they load.

    The modules of iptables are loaded by name when a rule needs them, so what *they* are linked with counts too:
    without libm a rule with statistics fails with "Couldn't load match statistic".
    """
    modules = [str(path.relative_to(root)) for path in root.glob("usr/lib/*/xtables/*.so")]
    loaded = {library for name in (*FILTERS, *modules) for library in _libraries(root, name)}
    files = [Member(path=name, source=_resolved(root, name)) for name in (*FILTERS, *modules, *sorted(loaded))]
    links = [Member(path=f"usr/sbin/{name}", link="xtables-nft-multi") for name in FILTER_NAMES]
    tables = [name for name in ("etc/protocols", "etc/services") if (root / name).exists()]
    return Layer(
        members=(
            *files,
            *links,
            *(Member(path=name, source=root / name, mode=0o644) for name in tables),
            Member(path="lib", link="usr/lib"),
            Member(path="lib64", link="usr/lib64"),
            Member(path="run"),
        )
    )


def _plain(programs: Toolchain, component: str, name: str) -> Image:
    return Image(names=(name,), layers=(program(programs.binary(component)),))


def _libraries(root: Path, name: str) -> set[str]:
    """What the dynamic linker loads for a program or a library, as paths below /usr."""
    listed = run(["chroot", root, "ldd", f"/{name}"]).stdout
    found = re.findall(r"(?:=> )?(/\S+) \(0x", listed)
    return {path.lstrip("/") if path.startswith("/usr/") else f"usr{path}" for path in found}


def _resolved(root: Path, name: str) -> Path:
    """The file behind links, which are meant within `root`."""
    return root / run(["chroot", root, "readlink", "-f", f"/{name}"]).stdout.strip().lstrip("/")
