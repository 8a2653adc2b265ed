"""The way out: a proxy on loopback that answers for the hosts which manifests name, and lets nothing else through.

A connection is read up to its first head. A CONNECT to a mapped host hands the very same socket to the HTTP server,
with TLS and the name of the component that asked: there is no inner listener, so there is no second door to guard.
"""

import asyncio
import errno
import logging
import resource
import socket
from collections.abc import Mapping, Sequence

from fluxlab.errors import FluxlabError
from fluxlab.host_rules import HostRule, WrongCertificate
from fluxlab.pki import Authority
from fluxlab.ports import LOOPBACK
from fluxlab.servers.forward import Forwarder
from fluxlab.servers.http import HttpServer, bind_address

from .certificates import HostContexts
from .faults import HostFaults
from .front import Front
from .inside import GatewayApplication
from .requestlog import LoggedApplication, RequestLog
from .routes import Routes, normal_host

MAXIMUM_CONNECTIONS = 1000
OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

logger = logging.getLogger(__name__)


class Gateway:
    """The proxy of a lab: start it in the loop that serves; routes may change from any thread."""

    def __init__(self, *, authority: Authority, routes: Routes, clients: Mapping[str, str], log: RequestLog) -> None:
        """Answer by `routes` to `clients` (component and password), with certificates of `authority`."""
        self.routes = routes
        self._forwarder = Forwarder()
        self._http = HttpServer(LoggedApplication(GatewayApplication(routes=routes, forwarder=self._forwarder), log))
        self._faults = HostFaults(routes)
        self._front = Front(
            routes=routes,
            clients=dict(clients),
            contexts=HostContexts(authority),
            faults=self._faults,
            http=self._http,
            log=log,
        )
        self._listeners: list[socket.socket] = []
        self._accepting: set[asyncio.Task[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(_maximum_connections())
        for password in clients.values():
            log.redactor.add(password)

    @property
    def port(self) -> int:
        """The port on 127.0.0.1. Raises FluxlabError when the gateway is not running."""
        if not self._listeners:
            raise FluxlabError("the gateway is not running")
        return int(self._listeners[0].getsockname()[1])

    async def start(self, *, port: int = 0, addresses: Sequence[str] = (LOOPBACK,)) -> None:
        """Listen at one port of each address; port 0 lets the kernel choose. Raises FluxlabError when it is taken."""
        for address in addresses:
            self._listeners.append(bind_address(address, port))
        self._accepting = {asyncio.create_task(self._accept(listener)) for listener in self._listeners}

    async def stop(self, *, grace_seconds: float = 1.0) -> None:
        """Close the door, end every connection and let go of everything; requests under way get the grace."""
        for task in self._accepting:
            task.cancel()
        if self._accepting:
            await asyncio.wait(self._accepting)
        self._accepting.clear()
        while self._listeners:
            self._listeners.pop().close()
        await self._http.stop(grace_seconds=grace_seconds)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._forwarder.close()

    # -- what is wrong on purpose: in the loop only ---------------------------------------------------------------

    def put_rule(self, rule: HostRule) -> None:
        """Have something wrong with a host; the same rule again changes nothing. Raises UsageError."""
        self._faults.put(rule)
        if isinstance(rule.effect, WrongCertificate):
            self._http.end_idle(normal_host(rule.host))  # who keeps a connection has seen its certificate already

    def lift_rules(self, id_: str) -> None:
        """Take out the rules of an id, if there are any."""
        self._faults.lift(id_)

    def rules(self) -> Sequence[HostRule]:
        """The rules that are in, oldest first."""
        return self._faults.all()

    # -- connections ---------------------------------------------------------------------------------------------

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._places.acquire()
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError as error:
                self._places.release()
                await self._after_failed_accept(error)
                continue
            task = asyncio.create_task(self._front.serve(connection))
            self._tasks.add(task)
            task.add_done_callback(self._over)

    async def _after_failed_accept(self, error: OSError) -> None:
        if error.errno not in OUT_OF_RESOURCES:
            return  # the client was gone before it was accepted
        logger.error("the gateway cannot accept connections: %s", error.strerror)
        if self._tasks:  # the end of a connection frees what is missing; somebody else's end may as well
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED, timeout=1)
        else:
            await asyncio.sleep(1)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._places.release()
        if not task.cancelled() and (error := task.exception()):
            logger.error("a connection to the gateway failed", exc_info=error)


def _maximum_connections() -> int:
    # A tunnel to a real host has two ends, and the process has other files to open.
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAXIMUM_CONNECTIONS if soft == resource.RLIM_INFINITY else max(1, min(MAXIMUM_CONNECTIONS, soft // 3))
