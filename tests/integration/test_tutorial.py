"""The tutorial does what it says: its blocks are run in order in one shell, and print what it shows."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.integration.conftest import CommandLine

pytestmark = pytest.mark.integration
TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```\n(?:```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
END = "--- end of block {} ---"


@dataclass(frozen=True)
class Block:
    """What to type, and the lines that must show up in this order."""

    script: str
    shown: tuple[str, ...]


def blocks() -> list[Block]:
    found = BLOCK.findall(TUTORIAL.read_text())
    return [Block(script=script, shown=tuple(shown.splitlines())) for script, shown in found]


def after(output: str, line: str) -> str | None:
    """What follows a shown line in an output; None when the line is not there."""
    found = re.search(".*".join(re.escape(part) for part in line.split("...")), output)
    return output[found.end() :] if found else None


def test_every_block_is_found() -> None:
    text = TUTORIAL.read_text()
    assert len(blocks()) == text.count("```sh\n") > 10
    assert sum(bool(block.shown) for block in blocks()) == text.count("```text\n")
    assert all(line.replace("...", "").strip() for block in blocks() for line in block.shown)


def test_what_is_shown_is_looked_for() -> None:
    assert after("a  otel-demo  0.0.41  True\nb", "otel-demo...0.0.41...True") == "\nb"
    assert after("a  otel-demo  0.0.41  False\n True", "otel-demo...0.0.41...True") is None


def test_the_tutorial_does_what_it_says(fluxlab: CommandLine) -> None:
    script = "set -euo pipefail\n" + "".join(
        f"{block.script}echo '{END.format(number)}'\n" for number, block in enumerate(blocks())
    )
    person = {
        f"GIT_{role}_{field}": "ada@example.org" for role in ("AUTHOR", "COMMITTER") for field in ("NAME", "EMAIL")
    }
    environment = {
        **fluxlab.environment,
        **person,
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), fluxlab.environment["PATH"])),
    }
    folder = fluxlab.folder / "tutorial"
    folder.mkdir()
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1200,
        check=False,
    )
    rest = done.stdout
    for number, block in enumerate(blocks()):
        output, end, rest = rest.partition(END.format(number) + "\n")
        assert end, f"block {number} failed:\n{block.script}\n{output[-3000:]}"
        left: str | None = output
        for line in block.shown:
            left = after(left or "", line)
            assert left is not None, f"block {number} does not show {line!r}:\n{block.script}\n{output[-3000:]}"
    assert done.returncode == 0
