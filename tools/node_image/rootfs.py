"""The root file system of a node: a minimal Debian, made once by debootstrap and kept as a tar archive."""

import hashlib
import os
import shutil
from pathlib import Path

from tools.debian_packages import HINT

from fluxlab.commands import run
from fluxlab.errors import FluxlabError

RELEASE = "bookworm"
MIRROR = "http://deb.debian.org/debian"
PACKAGES = (
    "busybox-static",  # the shell of helper pods
    "ca-certificates",
    "conntrack",  # kube-proxy
    "dbus",  # by it the kubelet and runc talk to systemd
    "ethtool",
    "iproute2",
    "iptables",
    "kmod",
    "mount",
    "nftables",
    "procps",
    "runc",
    "systemd",
    "systemd-sysv",
    "util-linux",
)
SUPERFLUOUS = (
    *("usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/i18n", "usr/share/zoneinfo"),
    *("usr/share/bash-completion", "usr/share/lintian", "usr/share/perl5", "usr/share/common-licenses"),
    *(
        "usr/lib/udev/hwdb.d",
        "usr/lib/udev/hwdb.bin",
        "usr/lib/x86_64-linux-gnu/gconv",
        "usr/lib/aarch64-linux-gnu/gconv",
    ),
    *("var/cache/apt", "var/cache/debconf", "var/cache/ldconfig", "var/lib/apt/lists", "var/log"),
)
SCRIPT = Path("/usr/share/debootstrap/scripts") / RELEASE
TIMEOUT_SECONDS = 1800


def prepare(folder: Path, *, mirror: str) -> Path:
    """The archive in `folder`, made unless it is there. Raises FluxlabError that says what to install."""
    key = hashlib.sha256("\n".join((RELEASE, *PACKAGES, *SUPERFLUOUS)).encode()).hexdigest()[:12]
    archive = folder / f"{RELEASE}-{key}.tar"
    if archive.exists():
        return archive
    if os.geteuid() != 0:
        raise FluxlabError("a root file system can only be made by root", hint="run it as root")
    if shutil.which("debootstrap") is None or not SCRIPT.exists():
        raise FluxlabError("debootstrap is not installed", hint=HINT)
    root = folder / "debian"
    _remove(root)
    included = f"--include={','.join(PACKAGES)}"
    run(
        ["debootstrap", "--variant=minbase", included, RELEASE, root, mirror],
        timeout_seconds=TIMEOUT_SECONDS,
        hint=f"read {root / 'debootstrap/debootstrap.log'}; another mirror: --mirror URL",
    )
    for name in SUPERFLUOUS:
        path = root / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for name in ("var/log", "var/cache"):
        (root / name).mkdir(exist_ok=True)
    unfinished = archive.with_suffix(".unfinished")
    run(["tar", "--directory", root, "--create", "--file", unfinished, "."], timeout_seconds=TIMEOUT_SECONDS)
    unfinished.replace(archive)
    _remove(root)
    return archive


def _remove(root: Path) -> None:
    """Remove what an interrupted debootstrap left: first /proc and /sys, if they are still mounted there."""
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for place in sorted((place for place in mounted if place.startswith(f"{root}/")), reverse=True):
        run(["umount", place])
    if root.exists():
        shutil.rmtree(root)


def unpack(archive: Path, root: Path) -> None:
    """Unpack the archive into a new folder, with owners and modes."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    run(["tar", "--directory", root, "--extract", "--preserve-permissions", "--file", archive], timeout_seconds=600)
