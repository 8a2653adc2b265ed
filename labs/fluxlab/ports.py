"""Loopback ports for the servers of a lab: reserved by lock, and the same ones when it is resumed."""

import json
import socket
import zlib
from collections.abc import Iterator
from pathlib import Path

from .errors import FluxlabError
from .files import write_private
from .host import ephemeral_ports, port_lock

LOOPBACK = "127.0.0.1"
FIRST_PORT = 20000
PORTS = 65536
PLACES, PORTS_OF_A_LAB = 190, 64


class Ports:
    """Loopback ports reserved by lock, outside the range that the kernel hands to outgoing connections.

    A port found by bind-and-close can be taken before the program that needs it starts; a locked one only by a
    foreign program, which the start then notices.
    """

    def __init__(self, memory: Path | None = None) -> None:
        """With `memory` (a file) a name gets the port it had before, if that is still free: others remember it."""
        self._memory = memory
        # Each lab begins elsewhere: it finds its ports again when it is resumed, whatever was started meanwhile.
        self._first = FIRST_PORT + (zlib.crc32(bytes(memory)) % PLACES * PORTS_OF_A_LAB if memory else 0)
        self._ports = _remembered(memory)
        self._locks: dict[int, socket.socket] = {}

    def reserve(self, name: str = "") -> int:
        """A free port that stays ours until `release`. Raises FluxlabError if none is."""
        for port in self._candidates(self._ports.get(name)):
            if (lock := port_lock(port)) is None:
                continue
            if _free(port):
                self._locks[port] = lock
                self._remember(name, port)
                return port
            lock.close()
        raise FluxlabError("no free port on loopback", facts=[f"tried {FIRST_PORT} to {ephemeral_ports().start - 1}"])

    def _remember(self, name: str, port: int) -> None:
        if self._memory and name and self._ports.get(name) != port:
            self._ports[name] = port
            write_private(self._memory, json.dumps(self._ports))

    def _candidates(self, preferred: int | None) -> Iterator[int]:
        ephemeral = ephemeral_ports()
        if preferred is not None:
            yield preferred
        for port in (*range(self._first, PORTS), *range(FIRST_PORT, self._first)):
            if port not in ephemeral and port not in self._locks:
                yield port

    def release(self) -> None:
        """Give all ports back."""
        for lock in self._locks.values():
            lock.close()
        self._locks.clear()


def _remembered(memory: Path | None) -> dict[str, int]:
    try:
        content = json.loads(memory.read_text()) if memory else {}
    except (OSError, ValueError):
        return {}  # other ports do as well
    entries = content.items() if isinstance(content, dict) else ()
    return {name: port for name, port in entries if isinstance(port, int) and 0 < port < PORTS}


def _free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As Go's listeners do, so that connections in TIME_WAIT do not make a port look taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
