"""Run the tests that are too long for `make test`, each by itself, and go on where an earlier run ended.

What has passed is remembered in build/verify.json for exactly this content of the tree: any change starts anew.
"""

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from threading import Event

import pytest

from fluxlab.files import write_private

ROOT = Path(__file__).parents[1]
MEMORY = ROOT / "build" / "verify.json"
PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
TOGETHER, EACH = "verify and not verify(each=True)", "verify(each=True)"
"""Tests whose parameters share a long beginning, and tests of which each parameter takes long by itself."""


def content() -> str:
    """A digest of all files that git knows or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    digest = hashlib.sha256()
    for name in sorted(listed.stdout.decode().split("\0")):
        file = ROOT / name
        if name and file.is_file():
            digest.update(name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def collect(marker: str) -> list[str]:
    """The ids of the tests that a marker selects. Ends the process when there are none."""
    words = [*PYTEST, "-m", marker, "--collect-only", "tests"]
    found = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        sys.exit(found.stdout + found.stderr)
    return [line for line in found.stdout.splitlines() if "::" in line]


def collect_all() -> list[str]:
    """All that there is to verify, in the order in which it is run."""
    return [*dict.fromkeys(test.partition("[")[0] for test in collect(TOGETHER)), *collect(EACH)]


class Memory:
    """What has passed for exactly this content of the tree, on disk."""

    def __init__(self, file: Path, *, content: str) -> None:
        self._file = file
        self._content = content
        known = json.loads(file.read_text()) if file.exists() else {}
        self.passed: list[str] = known.get("passed", []) if known.get("content") == content else []

    def add(self, test: str) -> None:
        """Remember one more."""
        self.passed.append(test)
        write_private(self._file, json.dumps({"content": self._content, "passed": self.passed}, indent=1))


def run(test: str, ending: Event) -> subprocess.CompletedProcess[str]:
    """One test in a process of its own. Raises KeyboardInterrupt once one was interrupted, whoever heard of that."""
    if not ending.is_set():
        words = [*PYTEST, "-m", "verify", test]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode != pytest.ExitCode.INTERRUPTED:
            return done
        ending.set()
    raise KeyboardInterrupt


def verify(tests: Sequence[str], memory: Memory, *, workers: int) -> Sequence[str]:
    """Run what has not passed yet, some at a time, whatever fails meanwhile; returns what failed."""
    left = [test for test in tests if test not in memory.passed]
    print(f"{len(tests)} tests, {len(tests) - len(left)} have passed before", flush=True)
    failed, ending = [], Event()
    with ThreadPoolExecutor(workers) as pool:
        running = {pool.submit(run, test, ending): test for test in left}
        try:
            for future in as_completed(running):
                done, test = future.result(), running[future]
                if done.returncode:
                    failed.append(test)
                    print(f"FAILED {test}\n{done.stdout}{done.stderr}", flush=True)
                    continue
                memory.add(test)
                print(f"[{len(memory.passed)}/{len(tests)}] {test}", flush=True)
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise
    return failed


def main() -> int:
    """Run what has not passed yet; the exit code tells whether all has now."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2, help="tests at a time")
    options = parser.parse_args()
    memory = Memory(MEMORY, content=content())
    try:
        failed = verify(collect_all(), memory, workers=options.workers)
    except KeyboardInterrupt:
        print("interrupted; `make verify` goes on from here")
        return 130
    print(f"{len(memory.passed)} tests passed, {len(failed)} failed")
    for test in failed:
        print(f"  {test}")
    if failed:
        print("once more: `make verify` runs only what has not passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
