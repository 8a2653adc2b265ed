"""In a container the cgroups limit what may be used; the files are written here as the kernel writes them."""

import os
from pathlib import Path

import psutil
import pytest

from fluxlab.limits import usable_cores, usable_memory

MB = 1_000_000


def kernel(root: Path, membership: str, files: dict[str, str]) -> Path:
    """A file system with the cgroup files of one process."""
    for name, text in {"proc/self/cgroup": membership, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("membership", "files", "cores"),
    [
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "100000 100000\n"}, 1),
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),  # half a core: one at half speed
        ("0::/a/b\n", {"sys/fs/cgroup/a/cpu.max": "100000 100000\n", "sys/fs/cgroup/a/b/cpu.max": "max 100000\n"}, 1),
        (
            "4:cpu,cpuacct:/x\n",
            {"sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "100000\n", "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000\n"},
            1,
        ),
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        (
            "4:cpu:/\n",
            {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"},
            None,
        ),
        ("5:memory:/\n", {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000\n"}, None),
        ("", {}, None),
    ],
)
def test_a_share_of_the_processor_limits_the_cores(
    tmp_path: Path, membership: str, files: dict[str, str], cores: int | None
) -> None:
    assert usable_cores(kernel(tmp_path, membership, files)) == (cores or len(os.sched_getaffinity(0)))


def test_memory_is_what_the_tightest_cgroup_leaves(tmp_path: Path) -> None:
    group = "sys/fs/cgroup"
    files = {
        f"{group}/a/memory.max": f"{50 * MB}\n",
        f"{group}/a/memory.current": f"{30 * MB}\n",
        f"{group}/a/memory.stat": f"anon {10 * MB}\ninactive_file {5 * MB}\n",
        f"{group}/a/b/memory.max": "max\n",
        f"{group}/a/b/memory.current": f"{20 * MB}\n",
    }
    assert usable_memory(kernel(tmp_path, "0::/a/b\n", files)) == 25 * MB


def test_memory_of_the_first_version_of_cgroups(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/memory/x"
    files = {
        f"{group}/memory.limit_in_bytes": f"{40 * MB}\n",
        f"{group}/memory.usage_in_bytes": f"{30 * MB}\n",
        f"{group}/memory.stat": f"total_inactive_file {2 * MB}\n",
    }
    assert usable_memory(kernel(tmp_path, "8:memory:/x\n", files)) == 12 * MB


def test_a_cgroup_over_its_limit_leaves_nothing(tmp_path: Path) -> None:
    files = {"sys/fs/cgroup/memory.max": "10", "sys/fs/cgroup/memory.current": "30"}
    assert usable_memory(kernel(tmp_path, "0::/\n", files)) == 0


def test_without_cgroups_all_of_the_machine_may_be_used(tmp_path: Path) -> None:
    total = psutil.virtual_memory().total
    assert 0 < usable_memory(tmp_path) <= total
    assert usable_cores(tmp_path) == len(os.sched_getaffinity(0))
