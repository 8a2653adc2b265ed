"""etcd's data as one file: taken from a running etcd, made into a data folder, and freed of what must not be in it."""

import base64
import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path

from fluxlab.commands import run
from fluxlab.errors import FluxlabError
from fluxlab.files import make_private
from fluxlab.processes import ManagedProcess
from fluxlab.unix_http import ask
from fluxlab.waiting import wait_until

from .control_plane import ControlPlaneFiles, ControlPlanePorts
from .etcd_api import EtcdApi, blob

READY_TIMEOUT_SECONDS = 20
ASK_TIMEOUT_SECONDS = 60
# etcd names the socket after host and port, in its working directory.
CLIENT_URL, PEER_URL = "unix://localhost:1", "unix://localhost:2"
SOCKET = "localhost:1"


def api_of(files: ControlPlaneFiles, ports: ControlPlanePorts) -> EtcdApi:
    """The API of a cluster's etcd."""
    return EtcdApi(
        url=f"https://127.0.0.1:{ports.etcd}",
        peer_url=f"https://127.0.0.1:{ports.etcd_peer}",
        authority=files.authority,
        client=files.etcd,
    )


def plant(snapshot: Path, data: Path, *, peer_url: str, etcdutl: Path, skipped_revisions: int = 0) -> None:
    """Make `data` an etcd data folder from a snapshot. Raises CommandError when it is damaged.

    Skipped revisions are more than there can have been since the snapshot: whoever has seen one of those is told that
    its time is over, instead of being told nothing, or of other changes by the same numbers.
    """
    skipping = [f"--bump-revision={skipped_revisions}", "--mark-compacted"] if skipped_revisions else []
    run(
        [
            etcdutl,
            *("snapshot", "restore", snapshot, f"--data-dir={data}", "--name=lab"),
            *(f"--initial-cluster=lab={peer_url}", f"--initial-advertise-peer-urls={peer_url}"),
            *skipping,
        ]
    )


def save_without(
    files: ControlPlaneFiles, ports: ControlPlanePorts, target: Path, *, keys: Sequence[str], etcd: Path, etcdutl: Path
) -> None:
    """Write what a running etcd holds now, without these keys and without any history. May take seconds.

    Raises OSError or FluxlabError.
    """
    raw, scratch = target.with_suffix(".raw"), target.with_suffix(".scratch")
    try:
        api_of(files, ports).save(raw)
        without(raw, keys, etcd=etcd, etcdutl=etcdutl, scratch=scratch).replace(target)
    finally:
        raw.unlink(missing_ok=True)
        shutil.rmtree(scratch, ignore_errors=True)


def without(snapshot: Path, keys: Sequence[str], *, etcd: Path, etcdutl: Path, scratch: Path) -> Path:
    """A file like `snapshot`, without these keys and without any history: nothing of what was once in it is left.

    For this an etcd runs for a moment, on sockets in `scratch`. Raises FluxlabError.
    """
    make_private(scratch)
    data = scratch / "data"
    plant(snapshot, data, peer_url=PEER_URL, etcdutl=etcdutl)
    result = scratch / "cleaned.db"
    with _running(etcd, data, scratch):
        for key in keys:
            _ask(scratch, "/v3/kv/deleterange", {"key": base64.b64encode(key.encode()).decode()})
        now = _revision(_ask(scratch, "/v3/kv/range", {"key": "AA=="}))
        _ask(scratch, "/v3/kv/compaction", {"revision": now, "physical": True})
        _ask(scratch, "/v3/maintenance/defragment", {})
        with result.open("wb") as file:
            file.writelines(map(blob, _heard(scratch, "/v3/maintenance/snapshot", {}).splitlines()))
    return result


@contextlib.contextmanager
def _running(etcd: Path, data: Path, scratch: Path) -> Iterator[None]:
    argv = [
        *(str(etcd), "--name=lab", f"--data-dir={data}", f"--initial-cluster=lab={PEER_URL}"),
        *(f"--listen-client-urls={CLIENT_URL}", f"--advertise-client-urls={CLIENT_URL}"),
        *(f"--listen-peer-urls={PEER_URL}", f"--initial-advertise-peer-urls={PEER_URL}"),
        *("--heartbeat-interval=20", "--election-timeout=100", "--unsafe-no-fsync", "--log-level=error"),
    ]
    process = ManagedProcess("etcd", argv, log=scratch / "etcd.log", environment={"PATH": ""}, cwd=scratch)

    def answers() -> bool:
        if not process.running:
            raise process.died()
        with contextlib.suppress(OSError):
            return bool(ask(scratch / SOCKET, "GET", "/health").json().get("health") == "true")
        return False

    try:
        wait_until(answers, what="etcd answers", timeout_seconds=READY_TIMEOUT_SECONDS)
        yield
    finally:
        process.stop(grace_seconds=1)


def _heard(scratch: Path, path: str, content: Mapping[str, object]) -> bytes:
    answer = ask(scratch / SOCKET, "POST", path, content=json.dumps(content), timeout=ASK_TIMEOUT_SECONDS)
    if answer.status != HTTPStatus.OK:
        raise FluxlabError(f"etcd refuses {path}", facts=[answer.content.decode(errors="replace")[:300]])
    return answer.content


def _ask(scratch: Path, path: str, content: Mapping[str, object]) -> Mapping[str, object]:
    found = json.loads(_heard(scratch, path, content))
    return found if isinstance(found, dict) else {}


def _revision(answer: Mapping[str, object]) -> str:
    header = answer["header"]
    if not isinstance(header, dict):
        raise FluxlabError("etcd tells no revision")
    return str(header["revision"])
