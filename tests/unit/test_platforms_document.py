"""What only Linux has is called in one module, and docs/platforms.md names each call with its alternative."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINUX_ONLY = re.compile(r"/proc/\w+|prctl|SO_PEERCRED|CLOCK_BOOTTIME|sched_getaffinity|abstract socket namespace")
MORE_WHERE_THERE = {"limits.py", "kind.py"}
"""They read files of Linux, and do without elsewhere."""


def rows() -> list[tuple[str, str]]:
    """What Linux has and what macOS has instead, of each call."""
    section = (ROOT / "docs/platforms.md").read_text().partition("## Linux-only calls\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| [^|]+ \| ([^|]+) \| ([^|]+) \|$", section, re.MULTILINE)[1:]


def test_what_only_linux_has_is_called_in_one_module() -> None:
    modules = [*(ROOT / "labs/fluxlab").rglob("*.py"), *(ROOT / "fixtures").rglob("*.py")]
    found = {file.name for file in modules if LINUX_ONLY.search(re.sub(r"#.*", "", file.read_text()))}
    assert "host.py" in found
    assert found - {"host.py"} <= MORE_WHERE_THERE


def test_each_such_call_is_documented_with_its_alternative() -> None:
    called = set(LINUX_ONLY.findall((ROOT / "labs/fluxlab/host.py").read_text()))
    documented = " ".join(linux for linux, _ in rows())
    assert called
    assert {call for call in called if call not in documented} == set()
    assert all(alternative.strip() for _, alternative in rows())


def test_the_table_of_programs_is_complete() -> None:
    timed = set(re.findall(r"\| ([a-z][a-z-]+) \| \d+ s", (ROOT / "docs/platforms.md").read_text()))
    built = {folder.name for folder in (ROOT / "labs/fluxlab/toolchain/components").iterdir() if folder.is_dir()}
    assert timed == built - {"kind", "__pycache__"}
