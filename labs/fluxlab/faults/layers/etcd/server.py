"""The server of etcd: how faults speak to it, and the signals that end or stop it."""

from collections.abc import Sequence

from fluxlab.clusters.capabilities import Capability
from fluxlab.clusters.etcd_api import EtcdApi
from fluxlab.clusters.programs import ETCD
from fluxlab.clusters.resources import CONFIG_MAP
from fluxlab.documents import JsonObject
from fluxlab.errors import FluxlabError
from fluxlab.faults.base import Fault, Ground, Layer, P
from fluxlab.faults.means.programs import KillForAll, PauseForAll, find_process

PLACE = "default"
"""The namespace of what is written to see what etcd takes."""


class EtcdFault(Fault[P]):
    """Something that is asked of etcd itself."""

    layer = Layer.ETCD
    needs = frozenset({Capability.PROCESSES})

    def candidates(self, ground: Ground) -> Sequence[str]:
        return [ETCD] if find_process(ground, ETCD) else []


def etcd_of(ground: Ground) -> EtcdApi:
    """The way to etcd, told by the command line of the process. Raises FluxlabError when there is none."""
    process = find_process(ground, ETCD)
    if process is None:
        raise FluxlabError("etcd does not run", hint=f"fluxlab up --name {ground.folder.name}")
    return EtcdApi.started_by(process.cmdline())


def config_map(name: str) -> JsonObject:
    """A ConfigMap without data."""
    return {"apiVersion": "v1", "kind": CONFIG_MAP.kind, "metadata": {"name": name, "namespace": PLACE}}


class EtcdKill(KillForAll):
    """SIGKILL of etcd."""

    name = "etcd-kill"
    layer = Layer.ETCD
    summary = "etcd is gone (SIGKILL): the API server lives, and can read and write nothing"
    expect = (
        "the API server says that it is not ready and answers reads from its cache at best; controllers stay alive and "
        "reconcile nothing; healing starts everything anew, because left alone they would wait for up to a minute"
    )
    programs = (ETCD,)


class EtcdPause(PauseForAll):
    """SIGSTOP of etcd."""

    name = "etcd-pause"
    layer = Layer.ETCD
    summary = "etcd stands still (SIGSTOP): what the API server asks of it hangs"
    expect = (
        "writes time out, reads from the API server's cache go on; everything goes on when etcd does; healing has KWOK "
        "look at all pods and nodes, and starts everything anew where etcd is not reached within ten seconds"
    )
    programs = (ETCD,)
    then = "is not ready"
