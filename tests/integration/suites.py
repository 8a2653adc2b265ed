"""A folder with tests of somebody who uses the plugin, and pytest run on it in a child process."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import platformdirs
from tests.integration.conftest import CommandLine

CACHE = os.environ.get("FLUXLAB_CACHE_DIR") or str(platformdirs.user_cache_path("fluxlab"))


@dataclass(frozen=True)
class Suite:
    """A folder with tests, and pytest in a child process."""

    folder: Path
    fluxlab: CommandLine

    def write(self, text: str, *, name: str = "test_suite.py") -> None:
        (self.folder / name).write_text(dedent(text))

    def start(self, *options: str) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-v", *options]
        environment = {name: value for name, value in self.fluxlab.environment.items() if "XDIST" not in name}
        return subprocess.Popen(
            words,
            cwd=self.folder,
            env={"FLUXLAB_CACHE_DIR": CACHE, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *options: str) -> "Result":
        process = self.start(*options)
        try:
            said, _ = process.communicate(timeout=900)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return Result(text=said, code=process.returncode)


@dataclass(frozen=True)
class Result:
    """What pytest said."""

    text: str
    code: int

    def outcome(self, test: str) -> set[str]:
        """PASSED, FAILED or ERROR of a test."""
        return set(re.findall(rf"::{re.escape(test)} (PASSED|FAILED|ERROR)", self.text))

    def outcomes(self) -> dict[str, int]:
        last = self.text.strip().splitlines()[-1]
        return {name: int(count) for count, name in re.findall(r"(\d+) (passed|failed|errors?)", last)}
