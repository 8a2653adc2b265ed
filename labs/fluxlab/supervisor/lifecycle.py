"""The life of a lab, in the one process that owns it: start, wait for what happens, stop."""

import contextlib
import logging
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from queue import Empty, SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING

from fluxlab.clusters import backends
from fluxlab.clusters.base import ClusterBackend
from fluxlab.clusters.capabilities import Capability
from fluxlab.clusters.objects import text_at
from fluxlab.clusters.resources import GIT_REPOSITORY
from fluxlab.clusters.secret import set_secret
from fluxlab.errors import FluxlabError, WaitTimeoutError
from fluxlab.fault_records import FaultRecords
from fluxlab.flux import bootstrap
from fluxlab.logs import bound_logs
from fluxlab.ports import Ports
from fluxlab.processes import Identity, ManagedProcess, ProcessDiedError, ProcessGroup
from fluxlab.spec import ClusterSpec, LabSpec
from fluxlab.state import SERVING, LabFolder, Phase, Record, Step
from fluxlab.timeline.folder import RECORDER, TimelineFolder
from fluxlab.toolchain import Toolchain, find
from fluxlab.waiting import wait_until

from .chronicle import Chronicle
from .go_runtime import go_runtime
from .recording import Recording
from .watchdog import Watchdog

if TYPE_CHECKING:
    from .services import Services

LOOK_SECONDS = 1.0
LOGS_PAUSE_SECONDS = 60.0
"""For which logs that could not be bounded are left alone: each try copies megabytes, onto a full disk in vain."""
SINK_KEY = "token"
"""The key of a Secret in which notification-controller looks for a token, and for what it signs with."""
CAUSE_TIMEOUT_SECONDS = 0.5
log = logging.getLogger(__name__)


def _tried(ending: Callable[[], object]) -> None:
    """Have a part end. What goes wrong is told in the log: it must keep no other part, and no folder, from going."""
    try:
        ending()
    except Exception:
        log.exception("not ended as it should: %s", ending)


def _repaired(cluster: ClusterBackend, folder: LabFolder) -> Sequence[str]:
    """Start again what died or is paused in a cluster, unless for a fault; returns the names that it has in the lab."""
    parts = {part for one in FaultRecords(folder).readable() if one.cluster == cluster.name for part in one.parts}
    held = {part.removeprefix(f"{cluster.name}/") for part in parts}
    return [cluster.process_name(program) for program in cluster.repair(held=held)]


class Stopped(BaseException):  # like KeyboardInterrupt: an order, not an error
    """A signal or a verb asked for the end while something was waited for."""


class Supervisor:
    """Owns one lab: its clusters, its services and its record on disk. Lives in the main thread."""

    toolchain: Toolchain
    services: "Services"
    _git_port: int
    _gateway_port: int

    def __init__(self, folder: LabFolder, spec: LabSpec, *, brief: bool) -> None:
        """A `brief` lab ends with whoever started it."""
        self._began = time.monotonic()
        self.folder = folder
        self.spec = spec
        self.orphaned = False
        self._request = datetime.now(UTC).isoformat()
        self._queue: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._stopping = threading.Event()
        self._record_lock = threading.Lock()
        self._record = Record(phase=Phase.STARTING, supervisor=Identity.of(os.getpid()))
        self._ports = Ports(memory=folder.ports)
        self._endings = contextlib.ExitStack()
        self.chronicle = Chronicle(TimelineFolder(folder))
        local = sum(one.backend == "local" for one in spec.clusters)
        told = go_runtime(brief=brief, clusters=local)
        self.processes = ProcessGroup(changed=self._notice, environment=told)
        self.recording = Recording(folder, changed=self._notice)
        self._watchdog = Watchdog(folder)
        self._logs_wait_until = 0.0
        self.clusters: list[ClusterBackend] = []

    # -- the life of a lab ---------------------------------------------------------------------------------------

    def run(self, *, begun: Callable[[], None]) -> int:
        """Start, serve until told to stop, stop. Returns the exit code.

        `begun` is called as soon as the lab can be told to stop.
        """
        self._note()
        with self._signals():
            try:
                begun()
                self._start()
                self._note(phase=Phase.READY)
                self._serve()
            except Stopped:
                log.info("told to stop while something was waited for")
            except Exception as error:  # noqa: BLE001 # whatever it is, it is written down for whoever waits
                log.error("%s", traceback.format_exc())
                self._fail(self._cause() or error)
                return 1
            finally:
                self._stop()
        return 0

    def _start(self) -> None:
        self._endings.callback(_tried, self._ports.release)
        self.toolchain = find()
        # The same when a lab is resumed: clones on this machine remember them.
        self._git_port, self._gateway_port = self._ports.reserve("git"), self._ports.reserve("gateway")
        self.clusters = [self._cluster(spec) for spec in self.spec.clusters]
        self._endings.callback(_tried, self._stop_clusters)
        for cluster in self.clusters:
            cluster.launch()
        self._step("processes launched")
        self._start_services()
        self._step(SERVING)
        self.recording.prepare()
        for cluster in self.clusters:
            cluster.await_api()
        self._step("API serves")
        for cluster in self.clusters:
            cluster.start_flux(self.services.way_out(cluster))
        self._step("controllers started")
        for cluster in self.clusters:  # while the controllers load
            bootstrap.install_sync(
                cluster.api, self.services.sync(cluster), receiver_token=self.services.receiver_token(cluster)
            )
            if cluster.resumed:  # what its status says is of its earlier life
                bootstrap.request_fetch(cluster.api, cluster.root, self._request)
        self.make_sink_secrets()
        self._step("Flux bootstrapped")
        for cluster in self.clusters:
            self._await_acting(cluster)
            cluster.start_workers()  # not sooner: nothing needs them before Flux has applied something
        self._step("Flux acts")
        self.recording.start()  # what was there before, it finds
        self.processes.check()  # of one that died meanwhile the API server was killed, so that nothing is waited for

    def _cluster(self, spec: ClusterSpec) -> ClusterBackend:
        around = backends.Surroundings(
            lab=self.spec,
            folder=self.folder.cluster(spec.name),
            toolchain=self.toolchain,
            processes=self.processes,
            ports=self._ports,
            git_port=self._git_port,
            gateway_port=self._gateway_port,
            main_thread=self,
        )
        return backends.make(spec, around)

    def _start_services(self) -> None:
        # Their libraries load while the API server does.
        from .services import Services  # noqa: PLC0415
        from .verbs import SupervisorVerbs  # noqa: PLC0415

        self.services = Services(
            folder=self.folder,
            spec=self.spec,
            toolchain=self.toolchain,
            git_port=self._git_port,
            gateway_port=self._gateway_port,
            processes=self.processes,
            chronicle=self.chronicle,
        )
        self._endings.callback(_tried, self.services.stop)
        self.services.start(self.clusters, SupervisorVerbs(self))

    def _await_acting(self, cluster: ClusterBackend) -> None:
        """Wait until source-controller has fetched the repository: its /readyz is true long before it works."""
        last, root = "", cluster.root

        def acting() -> bool:
            nonlocal last
            self.processes.check()
            source = cluster.api.get(GIT_REPOSITORY, root.name, namespace=root.namespace)
            ready = source.condition("Ready")
            last = str(ready) if ready else "no condition yet"
            if source.suspended or not cluster.wants("source-controller"):
                return True  # a resumed lab whose owner wants no fetches
            if cluster.resumed:
                return text_at(source.raw, "status", "lastHandledReconcileAt") == self._request
            return bool(ready and ready.status == "True" and source.observed_generation == source.generation)

        wait_until(
            acting,
            what=f"cluster {cluster.name}: Flux fetches {root.url or self.spec.repository.url}",
            timeout_seconds=cluster.patience_seconds,
            state=lambda: last,
        )

    def _serve(self) -> None:
        while not self._stopping.is_set():
            self._tidy()
            if self.orphaned and self._watchdog.part():
                return
            try:
                self._queue.get(timeout=LOOK_SECONDS)()
            except Empty:
                if not self.folder.spec.exists():
                    log.warning("the lab's folder was removed by hand: ending")
                    return

    def _tidy(self) -> None:
        """What is looked after while nothing else happens."""
        self.chronicle.retry()
        self.recording.revive()
        self._watchdog.look()
        self._bound_logs()

    def _bound_logs(self) -> None:
        if time.monotonic() < self._logs_wait_until:
            return
        try:
            bound_logs(self.folder)
        except OSError as error:  # a full disk
            self._logs_wait_until = time.monotonic() + LOGS_PAUSE_SECONDS
            log.info("logs: %s", error)

    def _stop(self) -> None:
        self._stopping.set()
        if self._record.phase is not Phase.FAILED:
            self._note(phase=Phase.STOPPING)
        self._endings.close()
        self._note()

    def _stop_clusters(self) -> None:
        endings = [self._watchdog.stop, self.recording.stop, *(cluster.stop for cluster in self.clusters)]
        with ThreadPoolExecutor(len(endings)) as pool:
            for ending in endings:
                pool.submit(_tried, ending)

    def _cause(self) -> FluxlabError | None:
        """The death behind a failure: a broken connection is known a moment before the end of its process."""
        with contextlib.suppress(WaitTimeoutError):
            died = wait_until(self.processes.dead, what="a process died", timeout_seconds=CAUSE_TIMEOUT_SECONDS)
            return died[0].died()
        return None

    def _fail(self, error: Exception) -> None:
        if isinstance(error, ProcessDiedError):
            error.hint = ""  # its log may be gone by the time that somebody reads this
        self._note(phase=Phase.FAILED, error=self.chronicle.redactor.redact(str(error) or repr(error)))

    def orphan(self) -> None:
        """End the lab because whoever started it has ended, once it is no longer needed to heal. From any thread."""
        log.info("the process that holds this lab has ended")
        self.orphaned = True
        if self._record.phase is Phase.STARTING:
            self.request_stop()
        else:
            self._queue.put(lambda: None)

    # -- what others ask of the main thread --------------------------------------------------------------------

    def call(self, act: Callable[[], object]) -> "Future[object]":
        """Have `act` done by the main thread: only a process spawned there dies with the supervisor, not sooner."""
        future: Future[object] = Future()

        def do() -> None:
            try:
                future.set_result(act())
            except Stopped:
                future.set_exception(FluxlabError(f"lab {self.folder.name} is told to end"))
                raise
            except Exception as error:  # noqa: BLE001 # handed to whoever asked
                log.info("%s", error)
                future.set_exception(error)

        self._queue.put(do)
        return future

    def meanwhile(self) -> None:
        """Do what cannot wait until a cluster has what it waits for. Main thread only. Raises Stopped."""
        if self._record.phase is Phase.READY:  # a start is interrupted at once, and nothing is healed in it
            if self._stopping.is_set():
                raise Stopped
            self._watchdog.look()

    def request_stop(self) -> None:
        """End the lab soon. From any thread: the signal interrupts whatever the main thread waits for."""
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    def repair(self, cluster: str = "") -> list[str]:
        """Start again what died or is paused, in one cluster, or of the lab and in all clusters. Main thread only.

        Raises UsageError for a cluster that there is not, and FluxlabError: what was wrong with the first of them that
        could not be repaired, once all others are.
        """
        parts, troubles = list[str](), list[FluxlabError]()
        names = [self.spec.cluster(cluster).name] if cluster else [one.name for one in self.clusters]
        own = {"the registry": self.services.repair, "the recorder": self.recording.repair}
        repairs: dict[str, Callable[[], Sequence[str]]] = {} if cluster else dict(own)
        chosen = [one for one in self.clusters if one.name in names]
        repairs |= {f"cluster {one.name}": partial(_repaired, one, self.folder) for one in chosen}
        for name, repair in repairs.items():
            try:
                parts += repair()
            except FluxlabError as error:
                troubles.append(error)
            except OSError as error:  # no process can be started, say
                troubles.append(FluxlabError(f"{name} cannot be repaired: {str(error) or repr(error)}"))
        if troubles:
            raise troubles[0]
        return parts

    def make_sink_secrets(self) -> None:
        """Have the Secrets in each cluster with which its Flux can speak to the lab's sinks. Main thread only."""
        for cluster in self.clusters:
            if cluster.root.lacks(Capability.MAPPED_HOSTS):
                continue  # no alert of its own ends here
            for place, token in self.services.sink_tokens.items():
                set_secret(cluster.api, place, SINK_KEY, token, create_namespace=True)

    def restart(self, component: str) -> None:
        """Stop and start `cluster/component` (or just `component` with one cluster), the registry or the recorder.

        Main thread only.
        """
        if component == RECORDER:
            self.recording.restart()
            return
        if self.services.restart(component):
            return
        name, _, part = component.rpartition("/")
        spec = self.spec.cluster(name or None)
        next(cluster for cluster in self.clusters if cluster.name == spec.name).restart(part)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        def stop(number: int, _: FrameType | None) -> None:
            log.info("received %s", signal.Signals(number).name)
            starting = self._record.phase is Phase.STARTING and not self._stopping.is_set()
            self._stopping.set()
            self._queue.put(lambda: None)
            if starting:
                self._abort()
                raise Stopped

        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    # -- the record ----------------------------------------------------------------------------------------------

    def _step(self, name: str) -> None:
        step = Step(name=name, at_seconds=round(time.monotonic() - self._began, 3))
        self._note(steps=(*self._record.steps, step))
        if self._stopping.is_set():
            raise Stopped

    def _notice(self, process: ManagedProcess) -> None:
        """A process began or ended. From any thread."""
        self.chronicle.process(process)
        if self._record.phase is Phase.STARTING and self.processes.dead():
            self._abort()  # what is waited for now may need the dead one
        self._note()

    def _abort(self) -> None:
        for cluster in self.clusters:
            cluster.abort()

    def _note(self, **changes: object) -> None:
        with self._record_lock:
            self._record = self._record.changed(children=self._identities(), **changes)
            if not self.folder.root.exists():
                return  # removed by hand: it must not come back
            try:
                self.folder.write_record(self._record)
            except OSError as error:  # a full disk must not keep a lab from ending
                log.error("record: %s", error)

    def _identities(self) -> dict[str, Identity]:
        return {**self.processes.identities(), **self.recording.identities(), **self._watchdog.identities()}

    @property
    def record(self) -> Record:
        """The record as last written."""
        return self._record
