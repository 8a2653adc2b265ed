"""Who does it by hand, and the programs that they type into."""

from dataclasses import dataclass
from typing import Any

from pydantic import Field

from fluxlab.cluster import Cluster
from fluxlab.commands import run
from fluxlab.faults.base import Ground, Injection, Parameters
from fluxlab.toolchain import find

ADMINISTRATORS = "system:masters"
COMMAND_SECONDS = 60.0


class Who(Parameters):
    """The person."""

    who: str = Field(default="alice", pattern=r"^[a-z][a-z0-9-]{0,30}$", description="the user who does it")


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody with all rights, and what they type. All of it raises CommandError."""

    name: str
    cluster: Cluster

    @classmethod
    def of(cls, ground: Ground, injection: Injection[Any]) -> "Person":
        """The one whom a fault's parameters name."""
        return cls(name=injection.parameters.who, cluster=ground.cluster)

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        """What kubectl prints."""
        return self.cluster.kubectl(*self._access("--as"), *words, stdin=stdin)

    def flux(self, *words: str) -> str:
        """What flux prints."""
        return self.cluster.flux(*words, *self._access("--as"))

    def helm(self, *words: str) -> str:
        """What helm prints."""
        command = (find().binary("helm"), f"--kubeconfig={self.cluster.kubeconfig}")
        return run([*command, *self._access("--kube-as", "-user"), *words], timeout_seconds=COMMAND_SECONDS).stdout

    def _access(self, flag: str, user: str = "") -> tuple[str, str]:
        return f"{flag}{user}={self.name}", f"{flag}-group={ADMINISTRATORS}"
