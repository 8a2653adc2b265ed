"""What both benchmarks share: statistics, the machine, a lab of their own, and how results are printed."""

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from fluxlab.errors import FluxlabError
from fluxlab.state import LabFolder

FLUXLAB = (sys.executable, "-m", "fluxlab")
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Raw samples of one quantity."""

    name: str
    unit: str
    samples: tuple[float, ...]

    def line(self) -> str:
        """median, p95 and extremes as text."""
        ordered = sorted(self.samples)
        p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
        median = statistics.median(ordered)
        return (
            f"{self.name:44} median {median:8.3f}  p95 {p95:8.3f}  min {ordered[0]:8.3f}  max {ordered[-1]:8.3f}"
            f"  {self.unit} (n={len(ordered)})"
        )


def machine() -> dict[str, object]:
    """Where and with what it was measured."""
    from fluxlab.toolchain import find  # noqa: PLC0415 # the parent of timed processes stays small until here

    return {
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": [round(load, 2) for load in os.getloadavg()],
        "toolchain": dict(find().versions),
        "commit": _git("rev-parse", "--short", "HEAD") + ("+" if _git("status", "--porcelain") else ""),
    }


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def lab_processes(lab: str) -> Mapping[str, psutil.Process]:
    """The processes of a lab by name, as its record has them."""
    record = LabFolder.named(lab).read_record()
    if record is None:
        raise FluxlabError(f"lab {lab} is gone")
    running = {"supervisor": record.supervisor, **record.children}
    return {name: psutil.Process(who.pid) for name, who in running.items()}


def cpu_seconds(lab: str) -> dict[str, float]:
    """What each process of a lab has spent so far."""
    return {name: sum(process.cpu_times()[:2]) for name, process in lab_processes(lab).items()}


def report(figures: Sequence[Figure], *, json_file: Path | None, **facts: object) -> None:
    """Print the figures, and write them with all samples to `json_file`."""
    where = machine()
    size = f"{where['cores']} cores, {where['memory_gb']} GB"
    print(f"{size}, load {where['load']}, {where['system']}, commit {where['commit']}")
    for figure in figures:
        print(figure.line())
    for name, fact in facts.items():
        print(f"{name}: {fact}")
    if json_file:
        result = {"machine": where, "figures": [asdict(figure) for figure in figures], **facts}
        json_file.write_text(json.dumps(result, indent=1))


def arguments(*, runs: int, pairs: int | None = None) -> argparse.Namespace:
    """The options of all benchmarks; `pairs` of a benchmark that measures something in turns."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-n", "--runs", type=int, default=runs)
    if pairs is not None:
        parser.add_argument("--pairs", type=int, default=pairs)
    parser.add_argument("--json", type=Path, help="write raw samples there")
    parser.add_argument("--idle-seconds", type=float, default=60)
    return parser.parse_args()


@contextlib.contextmanager
def state_of_its_own() -> Iterator[Mapping[str, str]]:
    """An environment with an empty state folder; labs in it are ended."""
    with tempfile.TemporaryDirectory(prefix="fluxlab-benchmark-") as folder:
        os.environ["FLUXLAB_STATE_DIR"] = folder
        try:
            yield dict(os.environ)
        finally:
            command("down", "--all")


def command(*words: str) -> float:
    """Run fluxlab and return the seconds that it took."""
    began = time.monotonic()
    subprocess.run([*FLUXLAB, *words], check=True, capture_output=True, cwd=ROOT)
    return time.monotonic() - began
