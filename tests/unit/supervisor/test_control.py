"""The supervisor's verbs over a real private socket, at a path as long as real ones are."""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.unit.broken import broken

from fluxlab.errors import FluxlabError, UsageError
from fluxlab.host import socket_address
from fluxlab.host_rules import CertificateProblem, HostRule, Reply, WrongCertificate
from fluxlab.processes import Identity
from fluxlab.servers.http import serve
from fluxlab.spec import SinkSpec
from fluxlab.state import LabFolder, Phase, Record
from fluxlab.status import ClusterState, ComponentState, LabStatus
from fluxlab.supervisor.control import Control, SupervisorGoneError, UnfinishedError
from fluxlab.supervisor.control_app import control_app
from fluxlab.supervisor.launch import PAUSE_SECONDS, _joined
from fluxlab.unix_http import Answer

RULES = [
    HostRule(id="x-1", host="a.example", effect=Reply(status=429, text="ü", headers={"Retry-After": "5"})),
    HostRule(
        id="x-2",
        host="b.example",
        paths="*/index.yaml",
        effect=WrongCertificate(problem=CertificateProblem.FOREIGN_AUTHORITY),
    ),
]
STATUS = LabStatus(name="one", phase="ready", folder="/x", mapped=("https://github.com/acme/fleet",))


class Verbs:
    """Answers, and writes down what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.status_now = STATUS
        self.error: Exception | None = None
        self.idle = threading.Event()
        self.idle.set()
        self.awake = threading.Event()
        self.awake.set()

    def _hear(self, text: str) -> None:
        if self.error:
            raise self.error
        self.told.append(text)

    async def status(self) -> LabStatus:
        await asyncio.to_thread(self.awake.wait)
        return self.status_now

    async def stop(self) -> None:
        self._hear("stop")

    async def restart(self, component: str) -> None:
        self._hear(f"restart {component}")

    async def repair(self, cluster: str) -> list[str]:
        await asyncio.to_thread(self.idle.wait)
        self._hear(f"repair {cluster}".strip())
        return ["c/etcd", "c/kwok"]

    async def allow(self, host: str) -> None:
        self._hear(f"allow {host}")

    async def serve_registry(self, host: str) -> None:
        self._hear(f"registry {host}")

    async def save_state(self, folder: str) -> None:
        self._hear(f"state {folder}")

    async def load_state(self, folder: str) -> None:
        self._hear(f"load {folder}")

    async def serve_charts(self, url: str) -> None:
        self._hear(f"charts {url}")

    async def serve_sink(self, sink: SinkSpec) -> None:
        self._hear(f"sink {sink.kind} {sink.host} {sink.secret}")

    async def put_rule(self, rule: HostRule) -> None:
        self._hear(f"put {rule!r}")

    async def lift_rules(self, id_: str) -> None:
        self._hear(f"lift {id_}")

    async def rules(self) -> Sequence[HostRule]:
        self._hear("rules")
        return RULES


@pytest.fixture
def folder(tmp_path: Path) -> LabFolder:
    made = LabFolder(tmp_path / ("long" * 25) / "one")
    made.root.mkdir(parents=True)
    assert len(str(made.control_socket)) > 108
    return made


@pytest.fixture
def verbs(folder: LabFolder) -> Iterator[Verbs]:
    made, ready, loop, over = Verbs(), threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    async def serving() -> None:
        with socket.socket(socket.AF_UNIX) as bound, socket_address(folder.control_socket) as address:
            bound.bind(address)
            bound.setblocking(False)
            server = await serve(control_app(made), bound)
            ready.set()
            await over.wait()
            await server.stop(grace_seconds=0.2)

    thread = threading.Thread(target=lambda: loop.run_until_complete(serving()))
    thread.start()
    assert ready.wait(20)
    yield made
    loop.call_soon_threadsafe(over.set)
    thread.join()
    loop.close()


@pytest.fixture
def control(folder: LabFolder, verbs: Verbs) -> Control:
    assert verbs.told == []
    return Control(folder)


def test_the_status_comes_as_it_was_told(control: Control) -> None:
    assert control.status() == STATUS


def test_each_verb_arrives_with_its_argument(control: Control, verbs: Verbs) -> None:
    control.restart("c/etcd")
    control.allow("ghcr.io")
    control.serve_sink(SinkSpec(kind="github", host="api.github.com", secret="flux-system/token"))
    control.serve_charts("https://a.example.com/ü")
    control.save_state(Path("/lab/scratch"))
    control.load_state(Path("/lab/loaded"))
    assert control.repair() == ["c/etcd", "c/kwok"]
    control.repair("c")
    control.stop()
    asked = [
        "restart c/etcd",
        "allow ghcr.io",
        "sink github api.github.com flux-system/token",
        "charts https://a.example.com/ü",
        "state /lab/scratch",
        "load /lab/loaded",
        "repair",
        "repair c",
        "stop",
    ]
    assert verbs.told == asked


def test_rules_arrive_and_come_back_as_they_are(control: Control, verbs: Verbs) -> None:
    for rule in RULES:
        control.put_rule(rule)
    control.lift_rules("x-1")
    assert verbs.told == [*(f"put {rule!r}" for rule in RULES), "lift x-1"]
    assert control.rules() == RULES


@pytest.mark.parametrize("kind", [FluxlabError, UsageError])
def test_an_error_arrives_as_it_was_raised(control: Control, verbs: Verbs, kind: type[FluxlabError]) -> None:
    verbs.error = kind("no component 'x'", facts=["it has etcd"], hint="fluxlab status")
    with pytest.raises(kind) as caught:
        control.restart("x")
    assert type(caught.value) is kind
    assert str(caught.value) == "no component 'x'\n  it has etcd\nnext: fluxlab status"


def test_a_supervisor_that_is_still_at_a_repair_is_not_taken_for_a_dead_one(
    control: Control, verbs: Verbs, folder: LabFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write_record(Record(phase=Phase.READY, supervisor=Identity.of(os.getpid())))
    assert _joined(folder, verbs.told.append)
    assert verbs.told == ["repair", "started again: c/etcd", "started again: c/kwok"]
    monkeypatch.setattr("fluxlab.supervisor.control.CHANGE_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr("fluxlab.supervisor.control.START_TIMEOUT_SECONDS", 0.2)
    verbs.idle.clear()
    try:
        for ask in (control.repair, lambda: _joined(folder, verbs.told.append)):
            with pytest.raises(UnfinishedError, match=r"did not finish repair within 0\.4 s"):
                ask()
    finally:
        verbs.idle.set()


def test_what_stays_paused_for_a_fault_is_told_with_its_name(verbs: Verbs, folder: LabFolder) -> None:
    parts = [ComponentState(name=f"c/{name}", state="paused") for name in ("helm-controller", "etcd")]
    cluster = ClusterState(
        name="c", backend="local", footing="local", nodes=1, path="", kubeconfig="", components=tuple(parts)
    )
    verbs.status_now = STATUS.model_copy(update={"clusters": (cluster,)})
    folder.write_record(Record(phase=Phase.READY, supervisor=Identity.of(os.getpid())))
    folder.spec.touch()
    broken(folder, cluster="c", touches=frozenset({"process:helm-controller", "object:Lease flux-system/helm"}))
    broken(folder, cluster="other", id="git-hang-2", touches=frozenset({"process:etcd"}))
    assert _joined(folder, verbs.told.append)
    assert verbs.told[-1] == "c/helm-controller: paused, left to fault git-hang-1"
    assert not [line for line in verbs.told if "git-hang-2" in line]


def test_a_supervisor_that_is_slow_is_waited_for_and_one_that_hangs_is_not_for_ever(
    verbs: Verbs, folder: LabFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fluxlab.supervisor.control.STATUS_TIMEOUT_SECONDS", 0.2)
    folder.write_record(Record(phase=Phase.READY, supervisor=Identity.of(os.getpid())))
    said: list[str] = []

    def wake(text: str) -> None:
        said.append(text)
        if "waiting" in text:
            verbs.awake.set()

    verbs.awake.clear()
    try:
        assert _joined(folder, wake)
        assert said[0] == "its supervisor does not answer: waiting 60 s for it to go on"
        assert verbs.told == ["repair"]
        verbs.awake.clear()
        monkeypatch.setattr("fluxlab.supervisor.launch.PAUSE_SECONDS", 0.2)
        assert not _joined(folder, said.append)
        assert said[-1] == "its supervisor does not answer: starting another one"
        assert verbs.told == ["repair"]
    finally:
        verbs.awake.set()


@pytest.mark.usefixtures("refused")
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_who_listens_nowhere_is_not_waited_for(folder: LabFolder) -> None:
    folder.write_record(Record(phase=Phase.READY, supervisor=Identity.of(os.getpid())))
    began = time.monotonic()
    said: list[str] = []
    assert not _joined(folder, said.append)
    assert said == ["its supervisor does not answer: starting another one"]
    assert time.monotonic() - began < PAUSE_SECONDS / 2


def test_what_starts_programs_may_take_longer_the_more_clusters_there_are(
    control: Control, folder: LabFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, float] = {}

    def ask(_: Path, __: str, path: str, *, content: str | None, timeout: float) -> Answer:
        assert content
        asked[path] = timeout
        return Answer(status=200, headers={}, content=b'{"result": []}')

    monkeypatch.setattr("fluxlab.supervisor.control.ask", ask)
    for number in range(2):
        (folder.root / "clusters" / str(number)).mkdir(parents=True)
    control.repair()
    control.restart("c/etcd")
    control.load_state(Path("/lab/loaded"))
    control.allow("ghcr.io")
    assert asked.pop("/allow") == 60
    assert list(asked) == ["/repair", "/restart", "/load"]
    assert min(asked.values()) >= 2 * 300


@pytest.mark.usefixtures("refused")
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_nobody_on_the_socket_is_told_with_what_to_do(folder: LabFolder) -> None:
    with pytest.raises(SupervisorGoneError, match="lab one: its supervisor does not answer") as caught:
        Control(folder).status()
    assert "fluxlab up --name one" in caught.value.hint
    with pytest.raises(SupervisorGoneError):
        Control(LabFolder(folder.root / "missing" / "lab")).status()


@pytest.mark.usefixtures("refused")
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_socket_that_a_killed_supervisor_left_is_nobody(folder: LabFolder) -> None:
    with socket.socket(socket.AF_UNIX) as left, socket_address(folder.control_socket) as address:
        left.bind(address)
        left.listen()
    assert folder.control_socket.exists()
    with pytest.raises(SupervisorGoneError):
        Control(folder).status()


def test_the_users_proxy_is_not_used(control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert control.status() == STATUS
