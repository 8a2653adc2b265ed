"""The way to an etcd, from the command line that started it; and how one that is full gets room."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fluxlab.clusters import etcd_api
from fluxlab.clusters.control_plane import ControlPlaneFiles, ControlPlanePorts, etcd
from fluxlab.clusters.etcd_api import FULL, EtcdApi, EtcdUnreachableError
from fluxlab.clusters.etcd_data import api_of
from fluxlab.errors import FluxlabError
from fluxlab.pki import Authority

PORTS = ControlPlanePorts(etcd=1001, etcd_peer=1002, api=1003, controller_manager=1004, scheduler=1005, kwok=1006)


def test_its_command_line_tells_what_the_lab_knows(tmp_path: Path) -> None:
    files = ControlPlaneFiles(tmp_path, name="one")
    found = EtcdApi.started_by(["/bin/etcd", *etcd(files, PORTS, data=tmp_path / "data")])
    assert found == api_of(files, PORTS)
    assert found.url == "https://127.0.0.1:1001"
    assert found.peer_url == "https://127.0.0.1:1002"
    assert found.client.key.exists()


def test_another_program_is_no_etcd() -> None:
    with pytest.raises(KeyError):
        EtcdApi.started_by(["/bin/sleep", "1000"])


class FakeEtcd:
    """What etcd 3.6.14 was seen to answer while it is alarmed: it writes nothing, so that its revision stays."""

    def __init__(self) -> None:
        self.revision = 7
        self.compacted = 0
        self.alarms: list[str] = []
        self.defragment: Callable[[], tuple[int, dict[str, Any]]] = lambda: (200, {})

    def answer(self, path: str, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if path == "/v3/maintenance/status":
            return 200, {"header": {"revision": str(self.revision)}}
        if path == "/v3/kv/compaction":
            if int(asked["revision"]) <= self.compacted:
                return 400, {"code": 11, "message": "etcdserver: mvcc: required revision has been compacted"}
            self.compacted = int(asked["revision"])
            return 200, {}
        if path == "/v3/maintenance/defragment":
            return self.defragment()
        assert path == "/v3/maintenance/alarm"
        if asked["action"] == "ACTIVATE":
            self.alarms.append(asked["alarm"])
        if asked["action"] == "DEACTIVATE":
            self.alarms.remove(asked["alarm"])
        return 200, {"alarms": [{"memberID": "1", "alarm": one} for one in self.alarms]}


@pytest.fixture
def fake() -> FakeEtcd:
    return FakeEtcd()


@pytest.fixture
def api(fake: FakeEtcd, tmp_path: Path) -> Iterator[EtcdApi]:
    """The way to the fake."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, said = fake.answer(self.path, asked)
            with suppress(OSError):  # who asked has had enough
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(said).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    authority = Authority(tmp_path)
    pair = authority.issue("etcd", user="etcd")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        url = f"https://127.0.0.1:{server.server_port}"
        yield EtcdApi(url=url, peer_url="", authority=authority.certificate_file, client=pair)
        server.shutdown()
        serving.join()


def test_a_full_etcd_gets_room_also_when_that_was_cut_off_before(fake: FakeEtcd, api: EtcdApi) -> None:
    api.alarm()
    assert fake.alarms == [FULL]
    fake.compacted = fake.revision  # by one who came no further
    api.make_room()
    assert fake.alarms == []


def test_an_alarm_ends_also_when_no_space_can_be_given_back(
    fake: FakeEtcd, api: EtcdApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(etcd_api, "TIMEOUT_SECONDS", 1)
    enough = threading.Event()
    fake.defragment = lambda: (200, {}) if enough.wait(60) else (500, {})
    api.alarm()
    with pytest.raises(EtcdUnreachableError, match="does not answer"):
        api.make_room()
    enough.set()
    assert fake.alarms == []


def test_an_alarm_ends_and_what_etcd_refuses_is_told(fake: FakeEtcd, api: EtcdApi) -> None:
    fake.defragment = lambda: (500, {"message": "no such member"})
    api.alarm()
    with pytest.raises(FluxlabError, match="no such member"):
        api.make_room()
    assert fake.alarms == []
    assert fake.compacted == fake.revision
