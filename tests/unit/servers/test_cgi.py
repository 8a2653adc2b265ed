"""CGI programs that behave and those that do not: none outlives its request."""

import asyncio
import logging
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from fluxlab.servers import cgi
from fluxlab.servers.cgi import CgiProgram, run_cgi

Call = Callable[[Awaitable[Any]], Any]
HEAD = "import sys, os, time, signal; out = sys.stdout; out.write('Content-Type: a/b\\n\\n'); out.flush()\n"


@dataclass
class Client:
    """A client by the rules of ASGI: a body, then it waits; it leaves once `leaves` says so of what it got."""

    body: list[bytes] = field(default_factory=lambda: [b""])
    leaves: Callable[["Client"], bool] = lambda client: False  # noqa: ARG005  # most stay
    got: list[MutableMapping[str, Any]] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    spoken_to: asyncio.Event = field(default_factory=asyncio.Event)

    async def receive(self) -> MutableMapping[str, Any]:
        if self.body:
            chunk = self.body.pop(0)
            return {"type": "http.request", "body": chunk, "more_body": bool(self.body)}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        self.got.append(message)
        if self.leaves(self):
            self.gone.set()
        if self.text:
            self.spoken_to.set()

    @property
    def text(self) -> str:
        return b"".join(message.get("body", b"") for message in self.got).decode()

    @property
    def ended(self) -> bool:
        return bool(self.got) and not self.got[-1].get("more_body", False) and self.got[-1]["type"].endswith("body")


@pytest.fixture
def run(call: Call, tmp_path: Path) -> Iterator[Callable[..., Client]]:
    def run_program(script: str, client: Client | None = None, **settings: Any) -> Client:
        asking = client or Client()
        with tempfile.TemporaryFile(dir=tmp_path) as errors:
            argv = [sys.executable, "-S", "-c", script]
            program = CgiProgram(argv=argv, environment=dict(os.environ), errors=errors, **settings)
            call(run_cgi(program, asking.receive, asking.send))
        return asking

    yield run_program
    assert not [child for child in psutil.Process().children(recursive=True) if child.is_running()]


def test_a_body_goes_in_and_an_answer_comes_out(run: Any) -> None:
    client = run(
        "import sys; data = sys.stdin.read(); print('Status: 201 Made\\nX-A: b\\n\\n' + data.upper(), end='')",
        Client([b"one ", b"", b"two"]),
    )
    assert client.got[0] == {"type": "http.response.start", "status": 201, "headers": [(b"x-a", b"b")]}
    assert client.text == "ONE TWO"
    assert client.ended


def test_the_end_is_told_before_the_client_sees_it(run: Any) -> None:
    seen: list[bool] = []
    client = Client()
    run(HEAD + "out.write('x')", client, at_end=lambda: seen.append(client.ended))
    assert seen[0] is False
    assert client.ended


def test_what_fails_at_the_end_is_logged_and_cuts_off_no_answer(run: Any, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise ValueError("nobody to tell")

    client = run(HEAD + "out.write('whole')", at_end=fail)
    assert (client.text, client.ended) == ("whole", True)
    assert "nobody to tell" in caplog.text


@pytest.mark.parametrize("script", ["", "print('no head at all')", "raise SystemExit(3)"])
def test_a_program_without_an_answer_is_a_500_and_in_the_log(
    run: Any, caplog: pytest.LogCaptureFixture, script: str
) -> None:
    with caplog.at_level(logging.WARNING):
        client = run(f"import sys; print('what went wrong', file=sys.stderr)\n{script}")
    assert client.got[0]["status"] == 500
    assert "what went wrong" in caplog.text
    assert "what went wrong" not in client.text


def test_a_program_that_does_not_want_the_body_still_answers(run: Any) -> None:
    client = run(HEAD + "os.close(0); out.write('no thanks')", Client([b"x" * 65536] * 100))
    assert client.text == "no thanks"


def test_a_program_that_does_not_read_holds_the_client_back(run: Any) -> None:
    left = []

    def look(client: Client) -> bool:
        left.append((client.text, len(client.body)))
        return False

    # It is still there, and still does not read, when the client gets the text.
    run(HEAD + "time.sleep(0.3); out.write('late'); out.flush(); time.sleep(0.5)", Client([b"x" * 65536] * 100, look))
    assert next(chunks for text, chunks in left if text == "late") > 90, "the rest must wait at the client"


def test_a_program_whose_client_left_is_ended_at_once(run: Any) -> None:
    client = Client(leaves=lambda client: bool(client.got))
    began = time.monotonic()
    run(HEAD + "time.sleep(60)", client)
    assert time.monotonic() - began < 30


def test_its_children_are_ended_as_well(run: Any) -> None:
    client = Client(leaves=lambda client: bool(client.text))
    run(HEAD + "pid = os.fork(); (out.write('x'), out.flush()) if pid else None; time.sleep(60)", client)


def test_one_that_ignores_the_request_to_end_is_killed(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgi, "KILL_GRACE_SECONDS", 0.2)
    client = Client(leaves=lambda client: bool(client.text))
    began = time.monotonic()
    run(HEAD + "signal.signal(15, signal.SIG_IGN); out.write('x'); out.flush(); time.sleep(60)", client)
    assert time.monotonic() - began < 30


def test_one_with_a_grace_sees_the_end_of_its_input_and_may_clean_up(run: Any, tmp_path: Path) -> None:
    done = tmp_path / "cleaned up"
    client = Client(leaves=lambda client: bool(client.got))
    client.body.clear()  # it never says that its body is at an end
    run(HEAD + f"sys.stdin.read(); time.sleep(0.2); open({str(done)!r}, 'w')", client, grace_seconds=5.0)
    assert done.exists()


def test_a_cancelled_request_leaves_no_process(call: Call, tmp_path: Path) -> None:
    client = Client()

    async def cancelled() -> None:
        with tempfile.TemporaryFile(dir=tmp_path) as errors:
            argv = [sys.executable, "-S", "-c", HEAD + "out.write('x'); out.flush(); time.sleep(60)"]
            program = CgiProgram(argv=argv, environment=dict(os.environ), errors=errors)
            task = asyncio.create_task(run_cgi(program, client.receive, client.send))
            await client.spoken_to.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    call(cancelled())
    assert not psutil.Process().children(recursive=True)


def test_a_head_without_an_end_is_not_collected(run: Any) -> None:
    client = run("import sys\nwhile True:\n  sys.stdout.write('X-A: ' + 'y' * 1000 + '\\n')")
    assert client.got[0]["status"] == 500
