"""Run the tests that are too long for `make test`, file by file, and go on where an earlier run ended.

What has passed is remembered in build/verify.json with the content of the tree on which it did, but for notes and for
other files of tests. Only what passed on exactly this content counts; the rest runs again: first what never passed,
then what passed longest ago. So a tree that changes more often than all of it takes is still verified in turn, and the
last line says how much of it is.
"""

import argparse
import hashlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Self

import pytest
from pydantic import AwareDatetime, BaseModel, TypeAdapter, ValidationError

from fluxlab.files import write_private

ROOT = Path(__file__).parents[1]
MEMORY = ROOT / "build" / "verify.json"
PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
TOGETHER, EACH = "verify and not verify(each=True)", "verify(each=True)"
"""Tests of a file, which may share a lab, and tests of which each parameter takes long by itself."""
NOTES = frozenset({"CHANGELOG.md", "docs/performance.md"})
"""Where it is written down what a run has shown: no test reads them, and to write there makes nothing of it untrue."""


class Content:
    """What a tree holds."""

    def __init__(self, digests: Mapping[str, str]) -> None:
        """`digests` of files by their names."""
        self._digests = digests

    @classmethod
    def of_tree(cls) -> Self:
        """Of this one now: all files that git knows or would add."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        files = {name: ROOT / name for name in sorted(listed.stdout.decode().split("\0")) if name}
        return cls(
            {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items() if file.is_file()}
        )

    def digest(self, test: str) -> str:
        """Of what may change what a test says: not other files of tests, but for those of unit tests, which lend."""
        own = test.partition("::")[0]
        digest = hashlib.sha256()
        for name, of_file in self._digests.items():
            lends = name.startswith("tests/unit/") or not Path(name).name.startswith("test_")
            if name == own or (lends and name not in NOTES):
                digest.update(f"{name}\0{of_file}\0".encode())
        return digest.hexdigest()


def state() -> str:
    """What git calls this state of the tree."""
    words = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def collect(marker: str) -> list[str]:
    """The ids of the tests that a marker selects. Ends the process when there are none."""
    words = [*PYTEST, "-m", marker, "--collect-only", "tests"]
    found = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        sys.exit(found.stdout + found.stderr)
    return [line for line in found.stdout.splitlines() if "::" in line]


def collect_all() -> list[str]:
    """All that there is to verify, in the order in which it is run: files, and single tests."""
    return [*dict.fromkeys(test.partition("::")[0] for test in collect(TOGETHER)), *collect(EACH)]


class Passed(BaseModel, frozen=True):
    """When a test passed last, and on which state of the tree: a digest of its content, and what git calls it."""

    content: str
    state: str
    at: AwareDatetime


class Memory:
    """What has passed on which content of the tree, on disk."""

    _shape = TypeAdapter(dict[str, Passed])

    def __init__(self, file: Path, *, content: Content, state: str) -> None:
        self._file = file
        self._content = content
        self._state = state
        try:
            self._passed = self._shape.validate_json(file.read_bytes()) if file.exists() else {}
        except ValidationError:
            print(f"{file} is not what this version writes: all is run again", flush=True)
            self._passed = {}

    def add(self, test: str) -> None:
        """Remember one more."""
        self._passed[test] = Passed(content=self._content.digest(test), state=self._state, at=datetime.now(UTC))
        write_private(self._file, self._shape.dump_json(self._passed, indent=1).decode())

    def here(self, tests: Sequence[str]) -> Sequence[str]:
        """Those that have passed on this content."""
        return [test for test in tests if test in self._passed and self._is_of_now(test)]

    def earlier(self, tests: Sequence[str]) -> Mapping[str, Passed]:
        """Those that have passed on another content only, longest ago first."""
        known = {test: self._passed[test] for test in tests if test in self._passed}
        elsewhere = ((test, passed) for test, passed in known.items() if not self._is_of_now(test))
        return dict(sorted(elsewhere, key=lambda one: one[1].at))

    def _is_of_now(self, test: str) -> bool:
        return self._passed[test].content == self._content.digest(test)

    def left(self, tests: Sequence[str]) -> Sequence[str]:
        """Those that have not passed on this content, in the order in which they are run."""
        return [*(test for test in tests if test not in self._passed), *self.earlier(tests)]


def run(test: str, ending: Event) -> subprocess.CompletedProcess[str]:
    """A file or a test in a process of its own. Raises KeyboardInterrupt once one was interrupted."""
    if not ending.is_set():
        words = [*PYTEST, "-m", EACH if "::" in test else TOGETHER, test]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode != pytest.ExitCode.INTERRUPTED:
            return done
        ending.set()
    raise KeyboardInterrupt


def verify(tests: Sequence[str], memory: Memory, *, workers: int) -> Sequence[str]:
    """Run what has not passed yet, some at a time, whatever fails meanwhile; returns what failed."""
    left = memory.left(tests)
    print(f"{len(tests)} parts, {len(tests) - len(left)} have passed on this content", flush=True)
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
                print(f"[{len(memory.here(tests))}/{len(tests)}] {test}", flush=True)
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise
    return failed


def summary(memory: Memory, tests: Sequence[str]) -> str:
    """What is known of all the tests, in a line."""
    earlier = memory.earlier(tests)
    here, never = len(memory.here(tests)), len(tests) - len(memory.here(tests)) - len(earlier)
    said = f"{len(tests)} parts: {here} passed on this content, {len(earlier)} on an earlier one, {never} never"
    oldest = next(iter(earlier.values()), None)
    return f"{said}; the oldest on {oldest.state}, {oldest.at:%Y-%m-%d %H:%M} UTC" if oldest else said


def main() -> int:
    """Run what has not passed yet; the exit code tells whether all has now."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2, help="parts at a time")
    options = parser.parse_args()
    memory, tests = Memory(MEMORY, content=Content.of_tree(), state=state()), collect_all()
    try:
        failed = verify(tests, memory, workers=options.workers)
    except KeyboardInterrupt:
        print(summary(memory, tests))
        print("interrupted; `make verify` goes on from here")
        return 130
    print(summary(memory, tests))
    for test in failed:
        print(f"FAILED {test}")
    if failed:
        print("once more: `make verify` runs only what has not passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
