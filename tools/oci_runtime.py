"""runc for a machine that may not hand out CAP_SYS_RESOURCE; runs at each step of a container: standard library only.

Docker gives a privileged container all capabilities that it knows. Where this one is missing in the bounding set, as in
many virtual machines for CI, runc ends with `unable to apply caps: operation not permitted`. So it is taken out of what
Docker wrote, and with it a negative oomScoreAdj, which needs it; then the real runc takes over.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

MISSING = "CAP_SYS_RESOURCE"
REAL = os.environ.get("FLUXLAB_REAL_RUNC", "runc")


def option(arguments: Sequence[str], *names: str) -> str:
    """The value of an option that has one of these names: `--name VALUE` or `--name=VALUE`; empty when not given."""
    for position, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in names:
            return value if equals else "".join(arguments[position + 1 : position + 2])
    return ""


def lower(process: dict[str, object]) -> None:
    """Take out of a process description of the OCI runtime specification what may not be given here."""
    sets = process.get("capabilities")
    if isinstance(sets, dict):
        for name, capabilities in sets.items():
            sets[name] = [capability for capability in capabilities if capability != MISSING]
    score = process.get("oomScoreAdj")
    if isinstance(score, int) and score < 0:
        del process["oomScoreAdj"]


def rewrite(arguments: Sequence[str]) -> None:
    """Edit the file that tells runc what to run: the bundle's configuration, or the process of an `exec`."""
    if "exec" in arguments:
        named = option(arguments, "--process", "-p")
        if named:
            file = Path(named)
            process = json.loads(file.read_text())
            lower(process)
            file.write_text(json.dumps(process))
    elif "create" in arguments or "run" in arguments:
        file = Path(option(arguments, "--bundle", "-b") or ".") / "config.json"
        configuration = json.loads(file.read_text())
        lower(configuration.get("process", {}))
        file.write_text(json.dumps(configuration))


if __name__ == "__main__":
    rewrite(sys.argv[1:])
    os.execvp(REAL, [REAL, *sys.argv[1:]])  # noqa: S606  what Docker asked for, with Docker's arguments
