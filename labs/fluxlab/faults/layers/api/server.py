"""Faults of the API server as a whole: it is killed, it stands still, or it asks a backend that is not there."""

from collections.abc import Sequence
from http import HTTPStatus
from random import Random

from fluxlab.clusters.api import ApiError
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.programs import API_SERVER
from fluxlab.clusters.resources import Resource
from fluxlab.documents import JsonObject
from fluxlab.faults.base import Ground, Injection, Layer, NoParameters, Plan
from fluxlab.faults.means.programs import KillForAll, PauseForAll

from .objects import Objects, manifest

API_SERVICE = Resource(kind="APIService", plural="apiservices", group="apiregistration.k8s.io", namespaced=False)
DEAD_GROUP, VERSION = "dead.fluxlab.dev", "v1"


class ApiKill(KillForAll):
    """SIGKILL of the API server."""

    name = "api-kill"
    layer = Layer.API
    summary = "the API server is gone (SIGKILL), and nothing can be read or written until it is started again"
    expect = (
        "controllers stay alive and say that they are ready, and nothing is reconciled; left alone they would come "
        "back half a minute to a minute after the API server, so healing starts them anew"
    )
    programs = (API_SERVER,)


class ApiPause(PauseForAll):
    """SIGSTOP of the API server."""

    name = "api-pause"
    layer = Layer.API
    summary = "the API server stands still (SIGSTOP): connections open, and no request is answered"
    expect = (
        "nothing is reconciled and no status changes; everything goes on within seconds of its going on; healing has "
        "KWOK look at all pods and nodes"
    )
    programs = (API_SERVER,)
    then = "does not answer"


class ApiServiceDead(Objects[NoParameters]):
    """An extension of the API that nobody serves."""

    name = "apiservice-dead"
    layer = Layer.API
    summary = "an APIService has no backend: the API server announces a group that nobody answers for"
    expect = (
        "Flux goes on, also when its controllers start anew; a namespace that is deleted stays Terminating with "
        "NamespaceDeletionDiscoveryFailure until healing"
    )

    def candidates(self, ground: Ground) -> Sequence[str]:
        del ground
        return [f"{VERSION}.{DEAD_GROUP}"]

    def plan(self, ground: Ground, target: str, parameters: NoParameters, random: Random) -> Plan:
        del ground, parameters, random
        return Plan(touches=frozenset({f"object:APIService {target}"}))

    def objects(self, injection: Injection[NoParameters]) -> Sequence[tuple[Resource, KubeObject]]:
        spec: JsonObject = {
            "group": DEAD_GROUP,
            "version": VERSION,
            "groupPriorityMinimum": 100,
            "versionPriority": 10,
            "insecureSkipTLSVerify": True,
            "service": {"namespace": "default", "name": "nobody", "port": 443},
        }
        return [(API_SERVICE, manifest(API_SERVICE, injection.target, spec=spec))]

    def injected(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        return _answered(ground, injection.target, HTTPStatus.SERVICE_UNAVAILABLE)

    def healed(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        return _answered(ground, injection.target, HTTPStatus.NOT_FOUND)


def _answered(ground: Ground, service: str, expected: HTTPStatus) -> str:
    version, _, group = service.partition(".")
    try:
        ground.api.request("GET", f"/apis/{group}/{version}")
    except ApiError as error:
        return f"GET /apis/{group}/{version} is answered with {expected}" if error.status == expected else ""
    return ""
