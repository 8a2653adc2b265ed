"""etcd is full: it takes nothing but deletions."""

import json
from collections.abc import Sequence
from http import HTTPStatus
from random import Random
from typing import Any

from fluxlab.clusters.api import ApiError
from fluxlab.clusters.etcd_api import FULL, EtcdApi
from fluxlab.clusters.programs import ETCD
from fluxlab.clusters.resources import CONFIG_MAP
from fluxlab.faults.base import Ground, Injection, NoParameters, Plan
from fluxlab.faults.means.places import remove
from fluxlab.faults.means.programs import find_process, have_kwok_look

from .server import PLACE, EtcdFault, config_map, etcd_of

EXCEEDED = "database space exceeded"
"""What etcd says then: whatever else keeps the API server from writing is another trouble."""


class EtcdNoSpace(EtcdFault[NoParameters]):
    """The alarm of an etcd that is full. It is raised by etcd's own API: filling two gigabytes would take minutes."""

    name = "etcd-no-space"
    summary = "etcd has raised its alarm NOSPACE, as when its quota is used up: it takes nothing but deletions"
    expect = (
        "every write fails with `etcdserver: mvcc: database space exceeded`, that of a status, too: objects stay Ready "
        "as they were, drift is not corrected, and only the controllers' logs tell; healing compacts, defragments and "
        "disarms, has KWOK look at all pods and nodes, and everything goes on within the back-off of seconds"
    )

    def plan(self, ground: Ground, target: str, parameters: NoParameters, random: Random) -> Plan:
        del ground, parameters, random
        return Plan(touches=frozenset({f"process:{target}"}))

    def inject(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        del injection
        etcd_of(ground).alarm()

    def injected(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        words = _refused(ground, injection)
        return words if EXCEEDED in words else ""

    def heal(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        etcd = etcd_of(ground)
        if etcd.alarms():
            etcd.make_room()
        remove(ground.api, CONFIG_MAP, injection.id, namespace=PLACE)  # what a proof left that was cut off
        have_kwok_look(ground, injection)

    def healed(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        return "" if _refused(ground, injection) else "a ConfigMap was written, and deleted again"

    def by_hand(self, ground: Ground, injection: Injection[NoParameters]) -> Sequence[str]:
        process = find_process(ground, ETCD)
        disarm = [_disarm_by_hand(EtcdApi.started_by(process.cmdline()))] if process else []
        return [*disarm, *super().by_hand(ground, injection)]


def _disarm_by_hand(etcd: EtcdApi) -> str:
    way_in = f"--cacert {etcd.authority} --cert {etcd.client.certificate} --key {etcd.client.key}"
    alarm = json.dumps({"action": "DEACTIVATE", "alarm": FULL})
    return f"curl {way_in} {etcd.url}/v3/maintenance/alarm -d '{alarm}'"


def _refused(ground: Ground, injection: Injection[Any]) -> str:
    """With what words the API server cannot write, empty when it can. What is written is deleted again."""
    try:
        ground.api.create(CONFIG_MAP, config_map(injection.id), namespace=PLACE)
    except ApiError as error:
        if error.status != HTTPStatus.CONFLICT:
            return error.what
    remove(ground.api, CONFIG_MAP, injection.id, namespace=PLACE)
    return ""
