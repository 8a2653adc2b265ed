"""Faults that are nothing but another value of one field of a controller's Deployment, until it is given back."""

from abc import abstractmethod
from collections.abc import Sequence
from random import Random

from fluxlab.clusters.flux_controllers import CONTROLLERS
from fluxlab.clusters.flux_controllers import NAMESPACE as FLUX_SYSTEM
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import DEPLOYMENT
from fluxlab.documents import Json
from fluxlab.faults.base import Fault, Ground, Injection, Layer, P, Plan
from fluxlab.faults.means.borrowing import Field


class BorrowedField(Fault[P]):
    """A fault that is nothing but such a field with another value."""

    layer = Layer.CONTROLLERS

    @abstractmethod
    def field(self, controller: str) -> Field:
        """Which one."""

    @abstractmethod
    def value(self, deployment: KubeObject) -> Json:
        """What it is in a Deployment."""

    def candidates(self, ground: Ground) -> Sequence[str]:
        return sorted(one.name for one in controllers(ground))

    def plan(self, ground: Ground, target: str, parameters: P, random: Random) -> Plan:
        del parameters, random
        before = self.value(ground.api.get(DEPLOYMENT, target, namespace=FLUX_SYSTEM))
        return Plan(
            touches=frozenset({f"object:Deployment {FLUX_SYSTEM}/{target}", f"process:{target}"}),
            undo=self.field(target).remembered(ground.api, before),
        )

    def heal(self, ground: Ground, injection: Injection[P]) -> None:
        self.field(injection.target).give_back(ground.api, injection.undo)

    def healed(self, ground: Ground, injection: Injection[P]) -> str:
        if ground.api.find(DEPLOYMENT, injection.target, namespace=FLUX_SYSTEM) is None:
            return "the Deployment is not there any more"
        return self.recovered(ground, injection)

    @abstractmethod
    def recovered(self, ground: Ground, injection: Injection[P]) -> str:
        """What shows that the controller works with what its Deployment asks for again."""


def controllers(ground: Ground) -> Sequence[KubeObject]:
    """The Deployments of Flux's controllers."""
    return [one for one in ground.api.list(DEPLOYMENT, namespace=FLUX_SYSTEM) if one.name in CONTROLLERS]
