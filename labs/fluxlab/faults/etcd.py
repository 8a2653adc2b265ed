"""Faults of etcd: it is gone, stands still, is full, or has forgotten."""

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from random import Random
from typing import Any

from pydantic import Field

from fluxlab.clusters import etcd_data
from fluxlab.clusters.api import ApiError
from fluxlab.clusters.capabilities import Capability
from fluxlab.clusters.etcd_api import FULL, EtcdApi
from fluxlab.clusters.programs import ETCD
from fluxlab.clusters.resources import CONFIG_MAP
from fluxlab.documents import JsonObject
from fluxlab.errors import FluxlabError
from fluxlab.toolchain import find
from fluxlab.waiting import wait_until

from .base import Fault, Ground, Injection, Layer, NoParameters, Parameters, Plan
from .commits import revert
from .programs import EVERYBODY, Kill, Pause, api_serves, find_process

PLACE = "default"
APPLIED_SECONDS = 60.0


class EtcdKill(Kill):
    """SIGKILL of etcd."""

    name = "etcd-kill"
    layer = Layer.ETCD
    summary = "etcd is gone (SIGKILL): the API server lives, and can read and write nothing"
    expect = (
        "the API server says that it is not ready and answers reads from its cache at best; controllers stay alive and "
        "reconcile nothing; healing starts everything anew, because left alone they would wait for up to a minute"
    )
    programs = (ETCD,)
    everybody = True

    def injected(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        return "" if api_serves(ground) else super().injected(ground, injection)

    def healed(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        return api_serves(ground) and super().healed(ground, injection)


class EtcdPause(Pause):
    """SIGSTOP of etcd."""

    name = "etcd-pause"
    layer = Layer.ETCD
    summary = "etcd stands still (SIGSTOP): what the API server asks of it hangs"
    expect = "writes time out, reads from the API server's cache go on; everything goes on when etcd does"
    programs = (ETCD,)

    def injected(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        seen = super().injected(ground, injection)
        return f"{seen}, and {ground.api.server} is not ready" if seen and not api_serves(ground) else ""

    def healed(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        return super().healed(ground, injection) and api_serves(ground)


def _etcd(ground: Ground) -> EtcdApi:
    """The way to etcd, told by the command line of the process. Raises FluxlabError when there is none."""
    process = find_process(ground, ETCD)
    if process is None:
        raise FluxlabError("etcd does not run", hint=f"fluxlab up --name {ground.folder.name}")
    return EtcdApi.started_by(process.cmdline())


class EtcdNoSpace(Fault[NoParameters]):
    """The alarm of an etcd that is full. It is raised by etcd's own API: filling two gigabytes would take minutes."""

    name = "etcd-no-space"
    layer = Layer.ETCD
    summary = "etcd has raised its alarm NOSPACE, as when its quota is used up: it takes nothing but deletions"
    expect = (
        "every write fails with `etcdserver: mvcc: database space exceeded`, that of a status, too: objects stay Ready "
        "as they were, drift is not corrected, and only the controllers' logs tell; healing compacts, defragments and "
        "disarms, and everything goes on within the back-off of seconds"
    )
    needs = frozenset({Capability.PROCESSES})

    def candidates(self, ground: Ground) -> Sequence[str]:
        return [ETCD] if find_process(ground, ETCD) else []

    def plan(self, ground: Ground, targets: tuple[str, ...], parameters: NoParameters, random: Random) -> Plan:
        del ground, parameters, random
        return Plan(targets=targets, touches=frozenset({f"process:{ETCD}"}))

    def inject(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        del injection
        _etcd(ground).alarm()

    def injected(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        with suppress_refusal() as refusals:
            _write(ground, injection)
        return next(iter(refusals), "")
