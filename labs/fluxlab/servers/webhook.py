"""Tell a webhook receiver about pushes, signed as Flux's generic-hmac has it."""

import asyncio
import json
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .pushes import Push
from .signatures import signature

if TYPE_CHECKING:
    import httpx

PATIENCE_SECONDS = 60.0
ATTEMPT_SECONDS = 10.0
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 2.0
# A receiver that is not ready yet is not found, one whose objects are missing answers 5xx.
WORTH_RETRYING = frozenset({404, 408, 425, 429})

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """How the news of a repository's newest push fared."""

    repository: str
    commit: str
    delivered: bool
    attempts: int
    detail: str
    """The last answer, or why there was none."""
    time: datetime


class Webhook:
    """A subscriber of pushes that calls one receiver until it answers; only the newest push of a repository matters."""

    def __init__(self, *, url: str, token: str, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Call `url`, signing with `token`; give a push up `patience_seconds` after it happened."""
        self._url = url
        self._token = token
        self._patience = patience_seconds
        self._waiting: dict[str, Push] = {}
        self._news: dict[str, asyncio.Event] = {}
        self._client: httpx.AsyncClient | None = None
        self._deliveries: dict[str, Delivery] = {}

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """The last outcome for each repository, by name."""
        return tuple(delivery for _, delivery in sorted(self._deliveries.items()))

    async def __call__(self, push: Push) -> None:
        """Deliver `push`, or leave it to the call that is already delivering for the same repository."""
        name = push.repository.name
        self._waiting[name] = push
        if news := self._news.get(name):
            news.set()
            return
        self._news[name] = asyncio.Event()
        try:
            while newest := self._waiting.pop(name, None):
                self._deliveries[name] = await self._deliver(newest, self._news[name])
        finally:
            del self._news[name]

    async def close(self) -> None:
        """Close the connections."""
        if self._client:
            await self._client.aclose()
            self._client = None

    async def _deliver(self, push: Push, news: asyncio.Event) -> Delivery:
        attempts, pause, deadline = 0, FIRST_PAUSE_SECONDS, time.monotonic() + self._patience
        while True:
            attempts += 1
            delivered, again, detail = await self._attempt(push)
            if delivered or not again or time.monotonic() + pause > deadline:
                return self._outcome(push, delivered=delivered, attempts=attempts, detail=detail)
            if await _happens(news, within_seconds=pause):
                news.clear()
                push = self._waiting.pop(push.repository.name, push)
                pause, deadline = FIRST_PAUSE_SECONDS, time.monotonic() + self._patience
            else:
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _attempt(self, push: Push) -> tuple[bool, bool, str]:
        """Whether it was delivered, whether another attempt makes sense, and the answer in words."""
        import httpx  # noqa: PLC0415  # 0.1 s that the start of a lab does not need

        self._client = self._client or httpx.AsyncClient(trust_env=False, timeout=ATTEMPT_SECONDS)
        body = _body(push)
        headers = {"content-type": "application/json", "x-signature": signature(self._token.encode(), body)}
        try:
            response = await self._client.post(self._url, content=body, headers=headers)
        except httpx.TransportError as error:
            return False, True, f"{type(error).__name__}: {error}"
        code = response.status_code
        return response.is_success, response.is_server_error or code in WORTH_RETRYING, f"HTTP {code}"

    def _outcome(self, push: Push, *, delivered: bool, attempts: int, detail: str) -> Delivery:
        name = push.repository.name
        if not delivered:
            logger.warning("no receiver took the push to %s: %s after %d attempts", name, detail, attempts)
        return Delivery(
            repository=name,
            commit=push.changes[0].new,
            delivered=delivered,
            attempts=attempts,
            detail=detail,
            time=datetime.now(UTC),
        )


async def _happens(event: asyncio.Event, *, within_seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), within_seconds)
    except TimeoutError:
        return False
    return True


def _body(push: Push) -> bytes:
    changes = [{"ref": change.ref, "old": change.old, "new": change.new} for change in push.changes]
    said = {"repository": push.repository.name, "url": push.repository.url, "changes": changes}
    return json.dumps({**said, "who": push.who, "time": push.time.isoformat()}).encode()
