"""The process that makes kind clusters ends with whoever gave, or did not give, its order."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from tests.integration.traces import ended

from fluxlab.clusters.kind_create import KindOrder

pytestmark = pytest.mark.integration
WORDS = [sys.executable, "-m", "fluxlab.clusters.kind_create"]


def test_without_an_order_it_ends_and_has_done_nothing(tmp_path: Path) -> None:
    done = subprocess.run(WORDS, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert list(tmp_path.iterdir()) == []


def test_kind_ends_with_it(tmp_path: Path, eventually: Callable[..., object]) -> None:
    # In kind's place a program that only waits: kind itself needs Docker, and is in the suite on real containers.
    kind, began = tmp_path / "kind", tmp_path / "began"
    kind.write_text(f"#!/bin/sh\necho $$ > {began}.new; mv {began}.new {began}\nexec sleep 600\n")
    kind.chmod(0o700)
    order = KindOrder(
        name="one", folder=str(tmp_path), kind=str(kind), kubectl=str(kind), image="", workers=0, network="one"
    )
    with subprocess.Popen(WORDS, stdin=subprocess.PIPE) as making:
        assert making.stdin
        making.stdin.write(order.to_line())
        making.stdin.close()
        eventually(began.exists, what="kind was called")
        called = psutil.Process(int(began.read_text()))
        assert not ended(called)
        making.kill()
    eventually(lambda: ended(called), what="kind has ended")
