"""One HTTP request on a Unix socket, from a thread that may wait."""

import contextlib
import http.client
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .host import socket_address


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What was answered; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> Mapping[str, object]:
        """The content as a JSON object. Raises OSError for anything else: a broken answer is none."""
        try:
            found = json.loads(self.content)
        except ValueError as error:
            raise OSError(f"no JSON: {self.content[:200]!r}") from error
        if not isinstance(found, dict):
            raise OSError(f"no JSON object: {self.content[:200]!r}")
        return found


def ask(
    unix_socket: Path, method: str, path: str, *, content: str | None = None, accept: str = "*/*", timeout: float = 5
) -> Answer:
    """Send one request and read its whole answer. Raises OSError when there is none."""
    with (
        socket_address(unix_socket) as address,
        contextlib.closing(_Connection(address, timeout=timeout)) as connection,
    ):
        try:
            connection.request(method, path, body=content, headers={"Accept": accept})
            heard = connection.getresponse()
            headers = {name.lower(): value for name, value in heard.getheaders()}
            return Answer(status=heard.status, headers=headers, content=heard.read())
        except http.client.HTTPException as error:
            raise OSError(str(error) or type(error).__name__) from error


class _Connection(http.client.HTTPConnection):
    def __init__(self, address: str, *, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._address = address

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._address)
