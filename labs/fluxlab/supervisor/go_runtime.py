"""What the programs of a lab, which are Go's, are told about memory and processor time: more of one saves the other."""

import os
from collections.abc import Mapping

from fluxlab.limits import usable_cores, usable_memory

# Of the 8 s of processor time that a test with a lab of its own takes, garbage collection is a sixth, and threads that
# look for work another sixth (docs/performance.md).
SPARING = {"GOGC": "400", "GOMAXPROCS": "1"}
"""Spares processor time, and takes half a gigabyte more for each cluster."""
VARIABLES = ("GOGC", "GOMEMLIMIT", "GOMAXPROCS")
"""Of whoever starts a lab: they win."""
CLUSTER_BYTES = 2_000_000_000


def go_runtime(*, brief: bool, clusters: int) -> Mapping[str, str]:
    """The variables for a lab: a `brief` one spares the processor, and so does one with as many clusters as cores."""
    crowded = clusters > 1 and clusters >= usable_cores() and usable_memory() >= clusters * CLUSTER_BYTES
    told = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    return {**(SPARING if brief or crowded else {}), **told}
