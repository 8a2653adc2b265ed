"""A webhook against a receiver that is there, not there yet, slow, or in no mood."""

import asyncio
import hashlib
import hmac
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fluxlab.servers.git_repositories import GitRepository
from fluxlab.servers.http import bind_loopback
from fluxlab.servers.pushes import Push, RefChange
from fluxlab.servers.webhook import Webhook
from fluxlab.waiting import wait_until

Call = Callable[[Awaitable[Any]], Any]
TOKEN = "a-receivers-token"


class Receiver:
    """A receiver of the standard library's: answers with the codes given, then 200, and keeps what it got."""

    def __init__(self, port: int = 0, codes: tuple[int, ...] = ()) -> None:
        self.got: list[tuple[str, bytes, int]] = []
        self.codes = list(codes)
        self.gate = threading.Event()
        self.gate.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:  # the name that http.server calls
                body = self.rfile.read(int(self.headers["content-length"]))
                code = receiver.codes.pop(0) if receiver.codes else 200
                receiver.got.append((self.headers["x-signature"], body, code))
                receiver.gate.wait(10)
                self.send_response(code)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook/x"

    def news(self, code: int = 200) -> list[str]:
        """The commits that were answered with this code."""
        return [json.loads(body)["changes"][0]["new"] for _, body, answered in self.got if answered == code]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def receivers() -> Iterator[Callable[..., Receiver]]:
    started: list[Receiver] = []

    def start(**arguments: Any) -> Receiver:
        started.append(Receiver(**arguments))
        return started[-1]

    yield start
    for receiver in started:
        receiver.stop()


@pytest.fixture
def webhooks(call: Call) -> Iterator[Callable[..., Webhook]]:
    made: list[Webhook] = []

    def make(url: str, patience_seconds: float = 20) -> Webhook:
        made.append(Webhook(url=url, token=TOKEN, patience_seconds=patience_seconds))
        return made[-1]

    yield make
    for webhook in made:
        call(webhook.close())


def push(commit: str, name: str = "fleet") -> Push:
    repository = GitRepository(name=name, url="https://x/y", branch="main", path=Path("p"), hooks=Path("h"), token="t")
    change = RefChange(ref="refs/heads/main", old="0" * 40, new=commit)
    return Push(repository=repository, changes=(change,), who="tester", time=datetime.now(UTC))


def test_a_push_is_delivered_once_and_signed(call: Call, receivers: Any, webhooks: Any) -> None:
    receiver = receivers()
    webhook = webhooks(receiver.url)
    call(webhook(push("a" * 40)))
    ((signature, body, _),) = receiver.got
    assert signature == "sha256=" + hmac.new(TOKEN.encode(), body, hashlib.sha256).hexdigest()
    said = json.loads(body)
    assert (said["repository"], said["who"]) == ("fleet", "tester")
    (delivery,) = webhook.deliveries
    assert (delivery.repository, delivery.commit, delivery.delivered) == ("fleet", "a" * 40, True)
    assert (delivery.attempts, delivery.detail) == (1, "HTTP 200")


def test_a_receiver_that_comes_up_later_gets_it_once(call: Call, receivers: Any, webhooks: Any) -> None:
    with bind_loopback(0) as taken:
        port = taken.getsockname()[1]
        taken.settimeout(30)
        taken.listen()
        webhook = webhooks(f"http://127.0.0.1:{port}/hook/x")
        delivering = threading.Thread(target=lambda: call(webhook(push("a" * 40))))
        delivering.start()
        taken.accept()[0].close()  # the first attempt: nobody answers
    receiver = receivers(port=port)
    delivering.join(10)
    assert receiver.news() == ["a" * 40]
    assert webhook.deliveries[0].attempts > 1


def test_answers_of_a_receiver_that_is_not_ready_are_tried_again(call: Call, receivers: Any, webhooks: Any) -> None:
    receiver = receivers(codes=(404, 503, 500, 429))
    call(webhooks(receiver.url)(push("a" * 40)))
    assert [code for _, _, code in receiver.got] == [404, 503, 500, 429, 200]


@pytest.mark.parametrize("code", [400, 401, 403, 413])
def test_an_answer_that_will_not_change_is_final(call: Call, receivers: Any, webhooks: Any, code: int) -> None:
    receiver = receivers(codes=(code,))
    webhook = webhooks(receiver.url)
    call(webhook(push("a" * 40)))
    assert len(receiver.got) == 1
    assert (webhook.deliveries[0].delivered, webhook.deliveries[0].detail) == (False, f"HTTP {code}")


def test_it_gives_up_in_the_end_and_says_so(call: Call, webhooks: Any, caplog: pytest.LogCaptureFixture) -> None:
    with bind_loopback(0) as closed:
        port = closed.getsockname()[1]
    webhook = webhooks(f"http://127.0.0.1:{port}/", patience_seconds=0.6)
    call(webhook(push("a" * 40)))
    (delivery,) = webhook.deliveries
    assert not delivery.delivered
    assert delivery.attempts > 1
    assert "ConnectError" in delivery.detail
    assert "no receiver took the push to fleet" in caplog.text


def test_only_the_newest_of_many_pushes_is_delivered(call: Call, receivers: Any, webhooks: Any) -> None:
    receiver = receivers()
    receiver.gate.clear()
    webhook = webhooks(receiver.url)

    async def burst() -> list[asyncio.Task[None]]:
        return [asyncio.ensure_future(webhook(push(f"{number:040}"))) for number in range(10)]

    async def done(tasks: list[asyncio.Task[None]]) -> None:
        await asyncio.gather(*tasks)

    first = call(burst())
    wait_until(lambda: receiver.got, what="the first delivery", timeout_seconds=5)
    second = call(burst())
    receiver.gate.set()
    call(done([*first, *second]))
    assert receiver.news() == [f"{0:040}", f"{9:040}"]
    assert webhook.deliveries[0].commit == f"{9:040}"


def test_a_new_push_does_not_wait_for_the_pause_of_an_older_one(call: Call, receivers: Any, webhooks: Any) -> None:
    receiver = receivers(codes=(503,) * 6)
    webhook = webhooks(receiver.url)
    older = threading.Thread(target=lambda: call(webhook(push("a" * 40))))
    older.start()
    wait_until(lambda: len(receiver.got) == 6, what="a long pause", timeout_seconds=5)
    call(webhook(push("b" * 40)))
    older.join(1)
    assert not older.is_alive(), "the pause after six failures is longer than this"
    assert receiver.news() == ["b" * 40]


def test_repositories_do_not_wait_for_each_other(call: Call, receivers: Any, webhooks: Any) -> None:
    receiver = receivers()
    receiver.gate.clear()
    webhook = webhooks(receiver.url)
    running = [threading.Thread(target=lambda n=n: call(webhook(push("a" * 40, n)))) for n in ("one", "two")]
    for thread in running:
        thread.start()
    wait_until(lambda: len(receiver.got) == 2, what="both deliveries under way", timeout_seconds=5)
    receiver.gate.set()
    for thread in running:
        thread.join(5)
    assert [delivery.repository for delivery in webhook.deliveries] == ["one", "two"]
