"""The table of hosts: what it takes, what it refuses, and what it says."""

import asyncio
import threading
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from fluxlab.errors import UsageError
from fluxlab.gateway import Routes
from fluxlab.gateway.routes import Allowed, Mapped, Refused


async def nothing(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})


@pytest.mark.parametrize(
    "url",
    ["", "github.com/x", "ssh://git@github.com/x", "oci://r/x", "https://", "https:///x", "https://a:99999/", "https://a:x/",
     "https://a/?q=1", "https://a/#f", "https://a b/", "https://[::1/", "file:///etc/passwd"],
)  # fmt: skip
def test_what_cannot_be_mapped_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        Routes().mount(url, nothing)


@pytest.mark.parametrize("host", ["", "a/b", "a:443", "https://a", "a b", "*", "..", "a" * 254])
def test_what_is_no_host_cannot_be_allowed(host: str) -> None:
    with pytest.raises(UsageError):
        Routes().allow(host)


def test_a_host_is_mapped_or_allowed_but_not_both() -> None:
    routes = Routes()
    routes.mount("https://a.example/x", nothing)
    routes.allow("b.example")
    with pytest.raises(UsageError, match=r"a\.example"):
        routes.allow("A.example.")
    with pytest.raises(UsageError, match=r"b\.example"):
        routes.mount("https://b.example/", nothing)
    assert (routes.mapped(), routes.allowed()) == (("https://a.example/x",), ("b.example",))


def test_decisions() -> None:
    routes = Routes()
    routes.mount("https://a.example/x", nothing)
    routes.mount("http://b.example:8080/", nothing)
    routes.allow("c.example")
    asked: list[tuple[str, int]] = [
        ("a.example", 443), ("a.example", 80), ("b.example", 8080), ("b.example", 443), ("c.example", 12345),
    ]  # fmt: skip
    assert [routes.decide(host, port, asked_by="x") for host, port in asked] == [
        Mapped(tls=True), Mapped(tls=False), Mapped(tls=False), Mapped(tls=True), Allowed(),
    ]  # fmt: skip
    for host, port in (("a.example", 22), ("sub.a.example", 443), ("d.example", 443)):
        refused = routes.decide(host, port, asked_by="helm-controller")
        assert isinstance(refused, Refused)
        assert host in refused.reason
        assert "helm-controller" in refused.reason


def test_what_is_mounted_can_be_replaced() -> None:
    async def other(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 205, "headers": []})

    async def remember(message: Any) -> None:
        heard.append(message["status"])

    async def no_body() -> Any:
        return {}

    routes, heard = Routes(), list[int]()
    routes.mount("https://a.example/x/", nothing)
    routes.mount("https://a.example/x", other)
    assert routes.mapped() == ("https://a.example/x",)
    asyncio.run(_run(routes.application("a.example"), {"type": "http", "path": "/x"}, no_body, remember))
    assert heard == [205]


def test_only_a_mapped_host_is_wrapped() -> None:
    with pytest.raises(UsageError, match="not mapped"):
        Routes().wrap("a.example", lambda app: app)


def test_the_last_wrapping_is_outermost() -> None:
    routes, order = Routes(), []
    routes.mount("https://a.example", nothing)

    def named(name: str) -> Any:
        def middleware(app: Any) -> Any:
            async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
                order.append(name)
                await app(scope, receive, send)

            return wrapped

        return middleware

    for name in ("inner", "outer"):
        routes.wrap("a.example", named(name))

    async def ignore(*_: object) -> Any:
        return {}

    asyncio.run(_run(routes.application("a.example"), {"type": "http", "path": "/"}, ignore, ignore))
    assert order == ["outer", "inner"]


async def _run(application: Any, scope: Any, receive: Any, send: Any) -> None:
    await application(scope, receive, send)


def test_many_threads_may_change_it_at_once() -> None:
    routes = Routes()

    def work(number: int) -> None:
        for step in range(50):
            routes.mount(f"https://shared.example/{number}/{step}", nothing)
            routes.allow(f"h{number}-{step}.example")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(routes.mapped()), len(routes.allowed())) == (400, 400)
