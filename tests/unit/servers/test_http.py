"""Serving in a running loop: silent clients, stops, and what a scope carries."""

import socket
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

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
        wait_until(lambda: server.connections == 2, what="both connections open", timeout_seconds=5)
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
        wait_until(lambda: server.connections, what="the connection", timeout_seconds=5)
        stopping = threading.Thread(target=lambda: call(server.stop(grace_seconds=4)))
        stopping.start()
        stopping.join(0.2)
        assert stopping.is_alive()
        raw.sendall(b"b")
        assert b"done" in b"".join(iter(lambda: raw.recv(1000), b""))
        stopping.join(3)
        assert not stopping.is_alive()


def test_a_client_that_never_asks_is_dropped(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fluxlab.servers.http.FIRST_REQUEST_SECONDS", 0.2)
    server = call(serve(hello, bind_loopback(0)))
    for said in (b"", b"GET / HTT"):
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
            raw.sendall(said)
            try:
                assert raw.recv(1) == b""
            except ConnectionResetError:
                continue
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
        ("Digest dXNlcjpwYXNz", None),
    ],
)
def test_basic_credentials_are_read_strictly(value: str, expected: tuple[str, str] | None) -> None:
    found = basic_credentials(value)
    assert (found and (found.user, found.password)) == expected
