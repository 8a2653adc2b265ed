"""Run the tests that are too long for `make test`, one by one, and go on where an earlier run was interrupted.

What has passed is remembered in build/verify.json for exactly this content of the tree: any change starts anew.
"""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

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


def main() -> int:
    """Run what has not passed yet; stop at the first failure."""
    key = content()
    memory = json.loads(MEMORY.read_text()) if MEMORY.exists() else {}
    passed: list[str] = memory.get("passed", []) if memory.get("content") == key else []
    tests = collect_all()
    for number, test in enumerate(tests, start=1):
        print(f"[{number}/{len(tests)}] {test}{' (passed before)' if test in passed else ''}", flush=True)
        if test in passed:
            continue
        if subprocess.run([*PYTEST, "-m", "verify", test], cwd=ROOT, check=False).returncode != 0:
            print("stopped; `make verify` goes on from here")
            return 1
        passed.append(test)
        MEMORY.parent.mkdir(exist_ok=True)
        MEMORY.write_text(json.dumps({"content": key, "passed": passed}, indent=1))
    print(f"{len(tests)} tests passed, 0 failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
