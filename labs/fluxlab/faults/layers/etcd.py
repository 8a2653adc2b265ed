"""Faults of etcd: it is gone, stands still, is full, or has forgotten."""

import json
import shutil
from collections.abc import Sequence
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
from fluxlab.faults.base import Fault, Ground, Injection, Layer, NoParameters, Parameters, Plan
from fluxlab.faults.means.deliveries import deliver, delivered, has_applied, revert_by_hand, take_back, taken_back
from fluxlab.faults.means.programs import EVERYBODY, Kill, Pause, api_serves, find_process, start_everybody
from fluxlab.files import make_private
from fluxlab.toolchain import find
from fluxlab.waiting import wait_until

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
        return super().healed(ground, injection) and api_serves(ground)


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
        return _refused(ground, injection)

    def heal(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        etcd = _etcd(ground)
        if etcd.alarms():
            etcd.make_room()
        _delete(ground, injection.id)  # what a proof left that was cut off

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
        ground.api.create(CONFIG_MAP, _config_map(injection.id), namespace=PLACE)
    except ApiError as error:
        if error.status != HTTPStatus.CONFLICT:
            return error.what
    _delete(ground, injection.id)
    return ""


def _config_map(name: str) -> JsonObject:
    return {"apiVersion": "v1", "kind": CONFIG_MAP.kind, "metadata": {"name": name, "namespace": PLACE}}


def _delete(ground: Ground, name: str) -> None:
    if ground.api.find(CONFIG_MAP, name, namespace=PLACE):
        ground.api.delete(CONFIG_MAP, name, namespace=PLACE)


class Travel(Parameters):
    """How etcd travels."""

    skipped_revisions: int = Field(
        1_000_000_000,
        ge=1_000_000,
        le=1_000_000_000_000,
        description="by how much etcd's revisions are raised, so that nobody takes what is for what was",
    )


TITLE = "Add a ConfigMap after the backup"


class EtcdRestore(Fault[Travel]):
    """A backup is restored under a running cluster, as after a disaster.

    Between backup and restore two ConfigMaps are made: one in git, which comes back, and one by hand, which is lost.
    """

    name = "etcd-restore"
    layer = Layer.ETCD
    summary = "etcd is restored from a backup that is older than the newest commit, and everything is started anew"
    expect = (
        "Flux believes what it had applied at the time of the backup, sees that git is further, and applies the newer "
        "commit again within seconds; what was made by hand since the backup is lost; healing reverts its commit"
    )
    parameters = Travel
    needs = frozenset({Capability.PROCESSES, Capability.SNAPSHOT})
    proof_seconds = 90.0

    def candidates(self, ground: Ground) -> Sequence[str]:
        return [ETCD] if find_process(ground, ETCD) else []

    def plan(self, ground: Ground, targets: tuple[str, ...], parameters: Travel, random: Random) -> Plan:
        del parameters, random
        touches = EVERYBODY | {f"branch:{ground.repository.branch}"}
        undo: JsonObject = {"revision": _etcd(ground).revision(), "head": ground.repository.head()}
        return Plan(targets=targets, touches=touches, undo=undo)

    def inject(self, ground: Ground, injection: Injection[Travel]) -> None:
        etcd, scratch = _etcd(ground), make_private(_scratch(ground, injection))
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
        deliver(ground, injection, TITLE, lambda repository: repository.write(file, _config_map(injection.id)))
        ground.api.create(CONFIG_MAP, _config_map(_by_hand(injection)), namespace=PLACE)
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
        _delete(ground, _by_hand(injection))
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


FAULTS: Sequence[type[Fault[Any]]] = (EtcdKill, EtcdPause, EtcdNoSpace, EtcdRestore)
