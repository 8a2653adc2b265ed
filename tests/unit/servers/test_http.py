"""Serving in a running loop: silent clients, stops, and what a scope carries."""

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from fluxlab.servers import http
from fluxlab.servers.asgi import answer, asked_by, basic_credentials, path_below
from fluxlab.servers.http import bind_loopback, serve
from fluxlab.waiting import wait_until

Call = Callable[[Awaitable[Any]], Any]


async def hello(scope: Scope, _receive: Receive, send: Send) -> None:
    await answer(send, 200, f"{asked_by(scope)}|{path_below(scope)}")


def test_idle_connections_do_not_hold_up_a_stop(call: Call) -> None:
    server = call(serve(hello, bind_loopback(0)))
    with (
        httpx.Client(trust_env=False) as client,
        socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw,
    ):
        assert client.get(f"http://127.0.0.1:{server.port}/x").text == "|/x\n"
        wait_until(lambda: len(server._open()) == 2, what="both connections open", timeout_seconds=5)
        began = time.monotonic()
        call(server.stop(grace_seconds=60))
        assert time.monotonic() - began < 30
        assert raw.recv(1) == b""
    bind_loopback(server.port).close()


def test_a_request_under_way_is_cut_off_after_the_grace(call: Call) -> None:
    ended = []

    async def endless(_scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        while (message := await receive())["type"] != "http.disconnect":
            assert message["type"] == "http.request"
        ended.append(True)

    server = call(serve(endless, bind_loopback(0)))
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 200")
        call(server.stop(grace_seconds=0.2))
        assert ended == [True]


def test_a_request_under_way_may_end_within_the_grace(call: Call) -> None:
    async def patient(_scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body", False):
            pass
        await answer(send, 200, "done")

    server = call(serve(patient, bind_loopback(0)))
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
        raw.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na")
        wait_until(server._open, what="the connection", timeout_seconds=5)
        stopping = threading.Thread(target=lambda: call(server.stop(grace_seconds=4)))
        stopping.start()
        stopping.join(0.2)
        assert stopping.is_alive()
        raw.sendall(b"b")
        assert b"done" in b"".join(iter(lambda: raw.recv(1000), b""))
        stopping.join(3)
        assert not stopping.is_alive()


def test_a_client_that_never_asks_is_dropped(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "HEAD_SECONDS", 0.2)
    server = call(serve(hello, bind_loopback(0)))
    for said in (b"", b"GET / HTT"):
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
            raw.sendall(said)
            try:
                assert raw.recv(1) == b""
            except ConnectionResetError:
                continue
    call(server.stop())


async def count(_scope: Scope, receive: Receive, send: Send) -> None:
    """Answers how long the body was."""
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    await answer(send, 200, f"{size} bytes")


GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def post(size: int, *headers: bytes) -> bytes:
    return b"\r\n".join([b"POST / HTTP/1.1", b"Host: x", b"Content-Length: %d" % size, *headers, b"", b""])


def everything(raw: socket.socket) -> bytes:
    """What comes until the connection ends, in whatever way."""
    heard = b""
    try:
        while chunk := raw.recv(1000):
            heard += chunk
    except ConnectionResetError:
        pass
    return heard


def until(raw: socket.socket, words: bytes) -> bytes:
    """What comes up to some words."""
    heard = b""
    while words not in heard:
        chunk = raw.recv(1000)
        assert chunk, heard
        heard += chunk
    return heard


@pytest.mark.parametrize("half", [b"GET / HTT", post(9) + b"half"])
def test_a_client_that_stops_halfway_is_dropped_in_a_later_request_too(
    call: Call, monkeypatch: pytest.MonkeyPatch, half: bytes
) -> None:
    monkeypatch.setattr(http, "HEAD_SECONDS", 0.5)
    monkeypatch.setattr(http, "PIECE_SECONDS", 0.5)
    server = call(serve(count, bind_loopback(0)))
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
        raw.sendall(GET)
        until(raw, b"0 bytes\n")
        raw.sendall(half)
        assert everything(raw) == b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
        raw.sendall(GET + half)  # no byte comes that anybody could wait for after
        assert everything(raw).count(b"HTTP/1.1 200") == 1
    call(server.stop())


def test_a_later_head_that_drips_in_is_given_up(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "HEAD_SECONDS", 0.5)
    server = call(serve(hello, bind_loopback(0)))
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
        raw.sendall(GET)
        until(raw, b"|/\n")
        raw.settimeout(0.05)
        for byte in b"GET /" + b"x" * 200:
            try:
                raw.sendall(bytes([byte]))
                assert raw.recv(1000) == b""
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                pass
            break
        else:
            pytest.fail("the head dripped in for ten seconds")
    call(server.stop())


def test_a_client_may_pause_between_two_requests_and_within_a_body(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "HEAD_SECONDS", 0.5)
    monkeypatch.setattr(http, "PIECE_SECONDS", 1.5)
    server = call(serve(count, bind_loopback(0)))
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
        raw.sendall(GET)
        until(raw, b"0 bytes\n")
        time.sleep(0.75)
        raw.sendall(post(4))
        for _ in range(4):
            time.sleep(0.45)
            raw.sendall(b"x")
        until(raw, b"4 bytes\n")
    call(server.stop())


@pytest.mark.parametrize("waits", [False, True])
def test_a_client_that_is_held_up_is_not_given_up(call: Call, monkeypatch: pytest.MonkeyPatch, waits: bool) -> None:
    monkeypatch.setattr(http, "PIECE_SECONDS", 0.5)
    size = 10_000_000

    async def unhurried(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.8)
        await count(scope, receive, send)

    server = call(serve(unhurried, bind_loopback(0)))
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        raw.sendall(post(size, *([b"Expect: 100-continue"] if waits else [])))
        if waits:
            assert until(raw, b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        raw.sendall(b"x" * size)
        until(raw, b"%d bytes\n" % size)
    call(server.stop())


def test_small_answers_do_not_wait_for_acknowledgements(call: Call) -> None:
    server = call(serve(hello, bind_loopback(0)))
    with httpx.Client(trust_env=False, base_url=f"http://127.0.0.1:{server.port}") as client:
        client.get("/")
        took = []
        for _ in range(30):
            began = time.monotonic()
            client.get("/")
            took.append(time.monotonic() - began)
    call(server.stop())
    # With Nagle's algorithm each of the later ones takes 40 ms: Linux acknowledges only a connection's first at once.
    assert min(took[-9:]) < 0.03


def test_nobody_can_claim_to_have_come_through_the_gateway(call: Call) -> None:
    server = call(serve(hello, bind_loopback(0)))
    headers = {"asked_by": "source-controller", "x-forwarded-for": "1.2.3.4", "x-fluxlab-asked-by": "x"}
    assert httpx.get(f"http://127.0.0.1:{server.port}/", headers=headers, trust_env=False).text == "|/\n"
    call(server.stop())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Basic dXNlcjpwYXNz", ("user", "pass")),
        ("basic  dXNlcjpwYXNz ", ("user", "pass")),
        ("Basic dTpwOnE=", ("u", "p:q")),
        ("Basic Og==", ("", "")),
        ("", None),
        ("Basic", None),
        ("Basic dXNlcg==", None),
        ("Basic dXNlcjpwYXNz=x", None),
        ("Basic /zpw", None),
        ("Basic dQA6cA==", None),
        ("Basic \xe9\xe9", None),
        ("Digest dXNlcjpwYXNz", None),
    ],
)
def test_basic_credentials_are_read_strictly(value: str, expected: tuple[str, str] | None) -> None:
    found = basic_credentials(value)
    assert (found and (found.user, found.password)) == expected
