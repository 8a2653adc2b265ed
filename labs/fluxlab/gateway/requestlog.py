"""The gateway's request log: one line of JSON per request, who asked included, secrets masked, size bounded."""

import json
import logging
import threading
import time
from collections.abc import MutableMapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from fluxlab.redaction import MASK, Redactor
from fluxlab.servers.asgi import asked_by

MAXIMUM_BYTES = 20 * 1024 * 1024
LONGEST_TEXT = 2000
_NAMING = frozenset({"asked_by", "method", "time"})
"""What is never masked, since a Secret may hold the same word: the gateway's own names for who asks, of which the
timeline takes the cluster; what HTTP calls a request; and when it was.
"""

logger = logging.getLogger(__name__)


def now() -> str:
    """The time as the log has it: RFC 3339, UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One request. `status` 0: there was no answer, and `note` says why."""

    asked_by: str
    host: str
    method: str
    path: str
    """Without the query, which may carry secrets. Masked where paths are secret, whoever answers."""
    status: int
    bytes: int
    """Of the answer's body; for a tunnel, what the client got."""
    duration_ms: float
    note: str = ""
    time: str = field(default_factory=now)


class RequestLog:
    """Appends entries to a file; at its maximum size the file moves to `<name>.1`, once. Thread-safe."""

    def __init__(self, path: Path, redactor: Redactor, *, maximum_bytes: int = MAXIMUM_BYTES) -> None:
        self.path = path
        self.redactor = redactor
        self._maximum = maximum_bytes
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, entry: Entry) -> None:
        """Append one entry. A log that cannot be written never stops a request: that is said in the process's log."""
        hidden = {"path": f"/{MASK}"} if entry.path and self.redactor.hides_below(entry.host) else {}
        fields = {name: self._told(name, value) for name, value in {**asdict(entry), **hidden}.items()}
        line = json.dumps({"time": fields.pop("time"), **fields}, ensure_ascii=False) + "\n"
        try:
            with self._lock:
                self._append(line.encode())
        except OSError:
            logger.exception("the gateway's request log cannot be written")

    def _told(self, name: str, value: object) -> object:
        if not isinstance(value, str):
            return value
        return (value if name in _NAMING else self.redactor.redact(value))[:LONGEST_TEXT]

    def _append(self, line: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(line)
            size = file.tell()
        if size >= self._maximum:
            self.path.replace(self.path.with_name(f"{self.path.name}.1"))


class LoggedApplication:
    """Writes an entry for each request that `app` answers."""

    def __init__(self, app: ASGIApp, log: RequestLog) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and write it down when it is over, however it ends."""
        began = time.monotonic()
        status, size, note = 0, 0, "no answer"

        async def counting_send(message: MutableMapping[str, Any]) -> None:
            nonlocal status, size, note
            if message["type"] == "http.response.start":
                status, note = int(message["status"]), "broken off"
            else:
                size += len(message.get("body", b""))
                note = note if message.get("more_body", False) else ""
            await send(message)

        try:
            await self._app(scope, receive, counting_send)
        finally:
            state = scope["state"]
            self._log.write(
                Entry(
                    asked_by=asked_by(scope),
                    host=str(state.get("host", "")),
                    method=str(scope["method"]),
                    path=str(state.get("path", scope["path"])),
                    status=status,
                    bytes=size,
                    duration_ms=elapsed_ms(began),
                    note=note,
                )
            )


def elapsed_ms(began: float) -> float:
    """Milliseconds since `began` (time.monotonic)."""
    return round((time.monotonic() - began) * 1000, 1)
