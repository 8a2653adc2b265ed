"""How long a pass over all rehearsals takes that come with fluxlab, on two cores as pytest runs them."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic
from xml.etree import ElementTree as ET

from measure import Figure, arguments, report

from fluxlab.rehearsals.loading import shipped_rehearsals

WORKERS = 2


def one_pass() -> tuple[float, dict[str, float]]:
    """The time of a pass, and of each rehearsal in it. Ends the process unless all of them pass."""
    with tempfile.TemporaryDirectory() as folder:
        junit = Path(folder) / "junit.xml"
        words = ["-m", "pytest", "-q", f"-n{WORKERS}", f"--junitxml={junit}", "-o", "junit_duration_report=total"]
        began = monotonic()
        environment = {**os.environ, "FLUXLAB_STATE_DIR": folder}
        files = map(str, shipped_rehearsals())
        done = subprocess.run([sys.executable, *words, *files], env=environment, check=False)
        seconds = monotonic() - began
        if done.returncode:
            raise SystemExit("not all rehearsals passed")
        cases = ET.parse(junit).iter("testcase")  # noqa: S314 # pytest has just written it
        return seconds, {case.get("name", ""): float(case.get("time", 0)) for case in cases}


if __name__ == "__main__":
    options = arguments(runs=1)
    passes = [one_pass() for _ in range(options.runs)]
    each = [seconds for _, rehearsals in passes for seconds in rehearsals.values()]
    report(
        [
            Figure(
                name=f"{len(passes[0][1])} rehearsals, {WORKERS} workers", unit="s", samples=tuple(t for t, _ in passes)
            ),
            Figure(name="one rehearsal", unit="s", samples=tuple(each)),
        ],
        json_file=options.json,
    )
