"""A program that has a fault in until its standard input ends, and says where it is: for tests that kill it."""

import os
import sys

from fluxlab.lab import Lab
from fluxlab.processes import Identity
from fluxlab.state import LabFolder


def say(text: str) -> None:
    print(text, flush=True)


def main(name: str, fault: str, seed: str) -> None:
    lab = Lab(LabFolder.named(name))
    owner = Identity.of(os.getpid())
    with lab.faults.during(fault, cluster=lab.cluster.name, seed=int(seed), owner=owner, progress=say):
        say("holding")
        sys.stdin.readline()
    say("out")


if __name__ == "__main__":
    main(*sys.argv[1:])
