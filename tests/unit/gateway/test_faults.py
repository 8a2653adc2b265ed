"""What is wrong with hosts on purpose, asked through the ASGI application of a table of hosts."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from fluxlab.errors import UsageError
from fluxlab.gateway import Routes
from fluxlab.gateway.faults import HostFaults
from fluxlab.host_rules import (
    Alter,
    CertificateProblem,
    Cut,
    Delay,
    Effect,
    Hang,
    HostRule,
    Pad,
    Reply,
    Truncate,
    WrongCertificate,
)

HOST = "charts.example"
CHUNKS = (b"entries:\n", b"  cart: 1.0.0\n", b"")
BODY = b"".join(CHUNKS)
PATIENCE_SECONDS = 20


@dataclass
class Connection:
    over: asyncio.Event = field(default_factory=asyncio.Event)
    cuts: int = 0

    def cut(self) -> None:
        self.cuts += 1
        self.over.set()


@dataclass
class Heard:
    """What a client heard, chunk by chunk."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    chunks: list[bytes] = field(default_factory=list)
    ended: bool = False

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            assert not self.ended
            self.chunks.append(message.get("body", b""))
            self.ended = not message.get("more_body", False)


async def index(scope: Scope, _receive: Receive, send: Send) -> None:
    """Answers in chunks, as a server does that streams; and 304 to who knows it already."""
    if dict(scope["headers"]).get(b"if-none-match"):
        await send({"type": "http.response.start", "status": 304, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        return
    status = 404 if scope["path"] == "/missing" else 200
    length = (b"content-length", str(len(BODY)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [length]})
    for chunk in CHUNKS:
        await send({"type": "http.response.body", "body": chunk, "more_body": chunk != b""})


@dataclass
class Door:
    """A host, with what is wrong with it."""

    routes: Routes = field(default_factory=Routes)
    connection: Connection = field(default_factory=Connection)

    def __post_init__(self) -> None:
        self.routes.mount(f"https://{HOST}/", index)
        self.faults = HostFaults(self.routes)

    def put(self, effect: Effect, *, id_: str = "x-1", paths: str = "*", host: str = HOST) -> None:
        self.faults.put(HostRule(id=id_, host=host, paths=paths, effect=effect))

    async def get(self, path: str = "/index.yaml", *, etag: str = "") -> Heard:
        heard = Heard()
        await self.ask(heard, path, etag=etag)
        return heard

    async def ask(self, heard: Heard, path: str = "/index.yaml", *, etag: str = "") -> None:
        headers = [(b"if-none-match", etag.encode())] if etag else []
        state = {"connection": self.connection}
        scope = {"type": "http", "method": "GET", "path": path, "headers": headers, "state": state}
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.routes.application(HOST)(scope, nothing, heard.send)


async def nothing() -> Message:
    return {"type": "http.request"}


@pytest.fixture
def door() -> Door:
    return Door()


def test_a_sound_host_answers(door: Door) -> None:
    heard = asyncio.run(door.get())
    assert (heard.status, heard.body) == (200, BODY)


def test_a_reply_stands_for_every_answer(door: Door) -> None:
    door.put(Reply(status=429, text="not now", headers={"Retry-After": "7"}))
    heard = asyncio.run(door.get())
    assert (heard.status, heard.body, heard.headers["retry-after"]) == (429, b"not now\n", "7")


def test_a_rule_is_for_its_paths_only(door: Door) -> None:
    door.put(Reply(status=503, text="no"), paths="*.tgz")
    assert asyncio.run(door.get()).status == 200
    assert asyncio.run(door.get("/stable/cart-1.0.0.tgz")).status == 503


@pytest.mark.parametrize("percent", [0, 50, 99])
def test_a_truncated_answer_is_a_whole_one_that_is_too_short(door: Door, percent: int) -> None:
    door.put(Truncate(keep_percent=percent))
    heard = asyncio.run(door.get())
    kept = len(BODY) * percent // 100
    assert heard.ended
    assert (heard.body, heard.headers["content-length"]) == (BODY[:kept], str(kept))


def test_an_altered_answer_differs_in_one_bit(door: Door) -> None:
    door.put(Alter())
    heard = asyncio.run(door.get())
    differing = [one ^ other for one, other in zip(heard.body, BODY, strict=True) if one != other]
    assert heard.ended
    assert [value.bit_count() for value in differing] == [1]


def test_a_padded_answer_has_its_size_and_is_the_same_yaml(door: Door) -> None:
    door.put(Pad(megabytes=3))
    heard = asyncio.run(door.get())
    assert heard.ended
    assert len(heard.body) == int(heard.headers["content-length"]) == 3 * 1024 * 1024
    assert heard.body.startswith(BODY)
    assert all(not line or line.startswith(b"#") for line in heard.body[len(BODY) :].split(b"\n"))
    assert max(map(len, heard.chunks)) < 128 * 1024, "it was held in memory"


@pytest.mark.parametrize("effect", [Truncate(keep_percent=10), Alter(), Pad(megabytes=1)])
def test_only_whole_answers_are_changed_but_nobody_is_told_that_nothing_changed(door: Door, effect: Effect) -> None:
    sound = asyncio.run(door.get("/missing"))
    door.put(effect)
    heard = asyncio.run(door.get("/missing"))
    assert (heard.status, heard.headers, heard.body) == (404, sound.headers, BODY)
    assert asyncio.run(door.get(etag='"1"')).status == 200


def test_a_cut_comes_in_the_middle_of_the_answer(door: Door) -> None:
    door.put(Cut())
    heard = asyncio.run(door.get())
    assert (heard.status, heard.ended, door.connection.cuts) == (200, False, 1)
    assert BODY.startswith(heard.body)
    assert 0 < len(heard.body) < len(BODY)


def until_asked(door: Door, act: Callable[[asyncio.Task[None]], Coroutine[Any, Any, None]]) -> Heard:
    """Ask, do something once the request is held, and wait for the end."""
    heard = Heard()

    async def run() -> None:
        asking = asyncio.create_task(door.ask(heard))
        for _ in range(10):  # rounds of the loop, not time: nothing else is at work
            await asyncio.sleep(0)
        assert not asking.done()
        assert not heard.status
        await act(asking)
        await asking

    asyncio.run(run())
    return heard


@pytest.mark.parametrize("effect", [Hang(), Delay(seconds=1000)])
def test_what_is_held_is_answered_when_the_rule_is_lifted(door: Door, effect: Effect) -> None:
    door.put(effect)

    async def lift(_: asyncio.Task[None]) -> None:
        door.faults.lift("x-1")

    heard = until_asked(door, lift)
    assert (heard.status, heard.body) == (200, BODY)


def test_a_client_that_has_gone_is_not_answered(door: Door) -> None:
    door.put(Hang())

    async def go(_: asyncio.Task[None]) -> None:
        door.connection.over.set()

    assert not until_asked(door, go).status


def test_a_delayed_answer_comes_by_itself(door: Door) -> None:
    door.put(Delay(seconds=0.05))
    began = asyncio.new_event_loop()
    try:
        before = began.time()
        heard = began.run_until_complete(door.get())
        assert began.time() - before >= 0.05
    finally:
        began.close()
    assert heard.body == BODY


def test_the_same_rule_twice_is_one(door: Door) -> None:
    for _ in range(2):
        door.put(Reply(status=503, text="no"))
    assert [rule.id for rule in door.faults.all()] == ["x-1"]
    door.faults.lift("x-1")
    door.faults.lift("x-1")
    assert door.faults.all() == ()
    assert asyncio.run(door.get()).status == 200


def test_rules_of_one_id_go_together_and_others_stay(door: Door) -> None:
    door.put(Alter(), paths="*.tgz")
    door.put(Truncate(keep_percent=0), paths="*/index.yaml")
    door.put(Reply(status=401, text="who?"), id_="y-2", paths="/private/*")
    door.faults.lift("x-1")
    assert [rule.id for rule in door.faults.all()] == ["y-2"]
    assert asyncio.run(door.get()).body == BODY
    assert asyncio.run(door.get("/private/x")).status == 401


def test_a_host_that_is_not_mapped_cannot_be_wrong(door: Door) -> None:
    with pytest.raises(UsageError, match="not mapped"):
        door.put(Hang(), host="other.example")
    assert door.faults.all() == ()


def test_a_wrong_certificate_is_the_hosts_alone_and_changes_no_answer(door: Door) -> None:
    assert door.faults.certificate_problem(HOST) is None
    door.put(WrongCertificate(problem=CertificateProblem.OTHER_NAME), host=f"{HOST.upper()}.")
    assert door.faults.certificate_problem(HOST) is CertificateProblem.OTHER_NAME
    assert door.faults.certificate_problem("other.example") is None
    assert asyncio.run(door.get()).body == BODY
    door.faults.lift("x-1")
    assert door.faults.certificate_problem(HOST) is None
