"""Reserved ports: free, distinct, and the same again."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from fluxlab.ports import Ports


@pytest.fixture
def ports() -> Iterator[Ports]:
    made = Ports()
    yield made
    made.release()


def ephemeral() -> range:
    low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    return range(int(low), int(high) + 1)


def test_reserved_ports_are_free_distinct_and_not_the_kernels(ports: Ports) -> None:
    reserved = [ports.reserve() for _ in range(5)]
    assert len(set(reserved)) == 5
    assert not set(reserved) & set(ephemeral())
    for port in reserved:
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            listener.listen()


def test_the_kernels_ports_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    first = ephemeral().start
    monkeypatch.setattr("fluxlab.ports.FIRST_PORT", first)  # as if all below were taken
    monkeypatch.setattr("fluxlab.ports.ephemeral_ports", lambda: range(first, first + 9))
    ports = Ports()
    assert first + 9 <= ports.reserve() < 65536
    ports.release()


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])  # noqa: S104 # somebody else's server, for a moment
def test_a_port_that_somebody_listens_on_is_skipped(ports: Ports, address: str) -> None:
    taken = Ports()
    port = taken.reserve()
    taken.release()
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen()
        assert port not in {ports.reserve() for _ in range(3)}


def test_two_processes_never_get_the_same_port(tmp_path: Path) -> None:
    script = """
        import sys
        from fluxlab.ports import Ports
        ports = Ports()
        print(*[ports.reserve() for _ in range(25)], flush=True)
        sys.stdin.read()
    """
    script = textwrap.dedent(script)
    with contextlib.ExitStack() as stack:
        children = []
        for number in range(3):  # also where each has a state folder of its own
            environment = {**os.environ, "FLUXLAB_STATE_DIR": str(tmp_path / str(number % 2))}
            child = subprocess.Popen(
                [sys.executable, "-c", script],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
            )
            children.append(stack.enter_context(child))
        reserved = [port for child in children if child.stdout for port in child.stdout.readline().split()]
        for child in children:
            assert child.stdin
            child.stdin.close()
            assert child.wait(20) == 0
    assert len(reserved) == 75
    assert len(set(reserved)) == 75


def test_released_ports_are_there_again_for_others(ports: Ports) -> None:
    first = Ports()
    port = first.reserve()
    first.release()
    assert port in {ports.reserve() for _ in range(25)}


def test_a_name_gets_the_port_that_it_had_before(tmp_path: Path) -> None:
    memory = tmp_path / "ports.json"
    reserved = {}
    for round_ in range(2):
        ports = Ports(memory)
        for name in ("api", "git") if round_ == 0 else ("git", "api"):
            reserved[round_, name] = ports.reserve(name)
        ports.release()
    assert reserved[0, "api"] == reserved[1, "api"] != reserved[0, "git"] == reserved[1, "git"]


def test_a_remembered_port_that_is_taken_is_replaced_and_the_new_one_remembered(tmp_path: Path) -> None:
    memory = tmp_path / "ports.json"
    first = Ports(memory)
    before = first.reserve("api")  # and not released: another lab has it now
    second = Ports(memory)
    after = second.reserve("api")
    assert after != before
    assert json.loads(memory.read_text()) == {"api": after}
    first.release()
    second.release()


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"api": "x"}', '{"api": 0}', '{"api": 99999}'])
def test_a_broken_memory_costs_nothing(tmp_path: Path, content: str) -> None:
    memory = tmp_path / "ports.json"
    memory.write_text(content)
    ports = Ports(memory)
    assert ports.reserve("api") >= 1024
    ports.release()
