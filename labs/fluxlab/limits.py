"""How much of the machine this process may use: in a container its cgroups say less than the machine has.

Format of the files: cgroups(7) and the kernel's cgroup-v2.rst (`cpu.max`, `memory.max`) and cgroup-v1/memory.rst.
"""

from collections.abc import Iterator
from pathlib import Path

import psutil

from .host import allowed_cores

_ROOT = Path("/")


def usable_cores(root: Path = _ROOT) -> int:
    """The cores that this process may keep busy, at least 1."""
    shares = [share for group in _groups(root, "cpu") if (share := _share(group))]
    return max(1, int(min([float(allowed_cores()), *shares])))


def usable_memory(root: Path = _ROOT) -> int:
    """The bytes that this process may still take."""
    free = [left for group in _groups(root, "memory") if (left := _free(group)) is not None]
    return max(0, min([psutil.virtual_memory().available, *free]))


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of this process' cgroup and of those around it that may limit a controller, version 1 or 2."""
    try:
        memberships = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for membership in memberships:
        _, controllers, path = membership.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / (controller if controllers else "")
        inner = mount / path.lstrip("/")
        yield from (group for group in (inner, *inner.parents) if group.is_relative_to(mount))


def _share(group: Path) -> float | None:
    """How many cores a cgroup may keep busy, if it is limited."""
    words = _words(group / "cpu.max") or [*_words(group / "cpu.cfs_quota_us"), *_words(group / "cpu.cfs_period_us")]
    match words:
        case [quota, period] if quota.isdigit() and int(period) > 0:
            return int(quota) / int(period)
    return None


def _free(group: Path) -> int | None:
    """How many bytes a cgroup may still take, if it is limited; what files are cached does not count as taken."""
    for limit, used, cached in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        match _words(group / limit), _words(group / used):
            case [[most], [taken]] if most.isdigit():
                statistics = _words(group / "memory.stat")
                values = dict(zip(statistics[::2], statistics[1::2], strict=False))
                return int(most) - int(taken) + int(values.get(cached, 0))
    return None


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:  # this version of cgroups has no such file, or the root has none
        return []
