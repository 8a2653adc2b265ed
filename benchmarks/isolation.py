"""What isolation costs: a suite whose tests each have a lab of their own, beside the same suite with one shared lab."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from measure import Figure, arguments, report

SUITE = """\
import pytest


@pytest.mark.parametrize("number", range({tests}))
def test_a_commit_arrives({fixture}, number):
    probe = {{"apiVersion": "v1", "kind": "ConfigMap", "data": {{"value": str(number)}}}}
    metadata = {{"metadata": {{"name": "probe", "namespace": "default"}}}}
    for turn in range({commits}):
        probe["data"]["turn"] = str(turn)
        {fixture}.repository.write("clusters/flux-playground/probe.yaml", {{**probe, **metadata}})
        {fixture}.converge({fixture}.repository.commit(f"Set the probe to {{number}}, turn {{turn}}"))
    assert {fixture}.cluster.config_map("default/probe").raw["data"]["value"] == str(number)
"""
LONGER = 3
"""Commits of tests that last about three seconds: while they run there is time to prepare a spare lab."""
CONFTEST = """\
import json
import os
import pathlib


def pytest_runtest_logreport(report):
    if "PYTEST_XDIST_WORKER" not in os.environ:
        line = json.dumps({"when": report.when, "seconds": report.duration, "passed": report.passed})
        with pathlib.Path("durations.jsonl").open("a") as file:
            file.write(line + "\\n")
"""


def run(
    tests: int, *, fixture: str = "lab", flags: Sequence[str] = (), commits: int = 1
) -> tuple[float, list[dict[str, object]]]:
    """Run the suite; returns seconds, and the phases of all tests."""
    with tempfile.TemporaryDirectory(prefix="fluxlab-benchmark-") as folder:
        place = Path(folder)
        (place / "test_suite.py").write_text(SUITE.format(tests=tests, fixture=fixture, commits=commits))
        (place / "conftest.py").write_text(CONFTEST)
        environment = {**os.environ, "FLUXLAB_STATE_DIR": str(place / "state")}
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *flags, "."],
            cwd=place,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - began
        if done.returncode != 0:
            sys.exit(f"the suite failed: {' '.join(flags)}\n{done.stdout}\n{done.stderr}")
        lines = (place / "durations.jsonl").read_text().splitlines()
        return seconds, [json.loads(line) for line in lines]


def main() -> None:
    """Measure and print."""
    options = arguments(runs=50)
    samples: dict[str, list[float]] = defaultdict(list)
    variants: dict[str, tuple[str, Sequence[str], int]] = {
        "own labs, spares": ("lab", (), 1),
        f"own labs, spares, {LONGER} commits": ("lab", (), LONGER),
        "own labs, no spares": ("lab", ("--fluxlab-spares=0",), 1),
        "own labs, -n 2": ("lab", ("-n", "2"), 1),
        "one shared lab": ("module_lab", (), 1),
    }
    for title, (fixture, flags, commits) in variants.items():
        seconds, phases = run(options.runs, fixture=fixture, flags=flags, commits=commits)
        samples[f"{title}: {options.runs} tests"].append(seconds)
        for phase in phases:
            samples[f"{title}: {phase['when']}"].append(float(str(phase["seconds"])))
    figures = [Figure(name=name, unit="s", samples=tuple(found)) for name, found in samples.items()]
    report(figures, json_file=options.json)


if __name__ == "__main__":
    main()
