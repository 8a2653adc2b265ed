"""etcd has forgotten: it is restored from a backup that is older than the newest commit."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from pydantic import Field

from fluxlab.clusters import etcd_data
from fluxlab.clusters.capabilities import Capability
from fluxlab.clusters.programs import ETCD
from fluxlab.clusters.resources import CONFIG_MAP
from fluxlab.documents import JsonObject
from fluxlab.faults.base import Ground, Injection, Parameters, Plan
from fluxlab.faults.means.deliveries import deliver, delivered, has_applied, revert_by_hand, take_back, taken_back
from fluxlab.faults.means.places import remove
from fluxlab.faults.means.programs import EVERYBODY, api_serves, start_everybody
from fluxlab.files import make_private
from fluxlab.toolchain import find
from fluxlab.waiting import wait_until

from .server import PLACE, EtcdFault, config_map, etcd_of

TITLE = "Add a ConfigMap after the backup"
APPLIED_SECONDS = 60.0


class Travel(Parameters):
    """How etcd travels."""

    skipped_revisions: int = Field(
        1_000_000_000,
        ge=1_000_000,
        le=1_000_000_000_000,
        description="by how much etcd's revisions are raised, so that nobody takes what is for what was",
    )


class EtcdRestore(EtcdFault[Travel]):
    """A backup is restored under a running cluster, as after a disaster.

    Between backup and restore two ConfigMaps are made: one in git, which comes back, and one by hand, which is lost.
    """

    name = "etcd-restore"
    summary = "etcd is restored from a backup that is older than the newest commit, and everything is started anew"
    expect = (
        "Flux believes what it had applied at the time of the backup, sees that git is further, and applies the newer "
        "commit again within seconds; what was made by hand since the backup is lost; healing reverts its commit"
    )
    parameters = Travel
    needs = EtcdFault.needs | {Capability.SNAPSHOT}
    proof_seconds = 90.0

    def plan(self, ground: Ground, target: str, parameters: Travel, random: Random) -> Plan:
        del target, parameters, random
        touches = EVERYBODY | {f"branch:{ground.repository.branch}"}
        undo: JsonObject = {"revision": etcd_of(ground).revision(), "head": ground.repository.head()}
        return Plan(touches=touches, undo=undo)

    def inject(self, ground: Ground, injection: Injection[Travel]) -> None:
        etcd, scratch = etcd_of(ground), make_private(_scratch(ground, injection))
        backup = scratch / "backup.db"
        etcd.save(backup)
        self._go_on(ground, injection)
        etcd_data.plant(
            backup,
            scratch / ground.cluster.name,
            peer_url=etcd.peer_url,
            etcdutl=find().binary("etcdutl"),
            skipped_revisions=injection.parameters.skipped_revisions,
        )
        ground.control.load_state(scratch)

    def _go_on(self, ground: Ground, injection: Injection[Travel]) -> None:
        """What happens after the backup."""
        file = f"{ground.state().path}/{injection.id}.yaml"
        deliver(ground, injection, TITLE, lambda repository: repository.write(file, config_map(injection.id)))
        ground.api.create(CONFIG_MAP, config_map(_by_hand(injection)), namespace=PLACE)
        wait_until(
            lambda: ground.api.find(CONFIG_MAP, injection.id, namespace=PLACE),
            what=f"Flux applies ConfigMap {PLACE}/{injection.id}",
            timeout_seconds=APPLIED_SECONDS,
            interval_seconds=0.1,
        )

    def injected(self, ground: Ground, injection: Injection[Travel]) -> str:
        seen = ground.api.listing(CONFIG_MAP, namespace=PLACE)
        lost = _by_hand(injection) not in {one.name for one in seen.objects}
        later = int(seen.resource_version) - int(injection.text("revision"))
        if not lost or later < injection.parameters.skipped_revisions:
            return ""
        return f"ConfigMap {PLACE}/{_by_hand(injection)} is lost; the API is at revision {seen.resource_version}"

    def heal(self, ground: Ground, injection: Injection[Travel]) -> None:
        start_everybody(ground, ETCD)
        shutil.rmtree(_scratch(ground, injection), ignore_errors=True)
        remove(ground.api, CONFIG_MAP, _by_hand(injection), namespace=PLACE)
        take_back(ground, injection, TITLE)

    def by_hand(self, ground: Ground, injection: Injection[Travel]) -> Sequence[str]:
        starting = f"fluxlab up --name {ground.folder.name}"
        return [starting, *revert_by_hand(ground, injection), *super().by_hand(ground, injection)]

    def healed(self, ground: Ground, injection: Injection[Travel]) -> str:
        left = ground.api.find(CONFIG_MAP, injection.id, namespace=PLACE)
        if left or not api_serves(ground):
            return ""
        root = ground.cluster.kustomization()
        commit = taken_back(ground, injection) or delivered(ground, injection) or ground.repository.head()
        return f"{root}: {root.condition('Ready')}" if has_applied(ground, root, commit) else ""


def _by_hand(injection: Injection[Any]) -> str:
    return f"{injection.id}-by-hand"


def _scratch(ground: Ground, injection: Injection[Any]) -> Path:
    return ground.folder.scratch / injection.id
