"""Calls of the operating system: long socket paths, ports of the kernel, when a process began."""

import os
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fluxlab.files import make_private
from fluxlab.host import ephemeral_ports, port_lock, socket_address, start_time


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short path: pytest's own is too long for the shorter sockets."""
    with tempfile.TemporaryDirectory(prefix="fl", dir="/tmp") as folder:  # a fresh folder of our own
        yield Path(folder)


@pytest.mark.parametrize("length", [60, 99, 100, 107, 108, 109, 200])
def test_a_socket_can_be_bound_and_reached_at_a_path_of_any_length(short: Path, length: int) -> None:
    path = short / ("d" * (length - len(f"{short}//s.sock"))) / "s.sock"
    assert len(os.fsencode(path)) == length
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as listener, socket_address(path) as address:
        assert len(os.fsencode(address)) <= 107
        listener.bind(address)
        listener.listen()
        assert path.is_socket()
        with socket.socket(socket.AF_UNIX) as client, socket_address(path) as again:
            client.connect(again)
            client.sendall(b"hello")
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.recv(5) == b"hello"


def test_a_long_address_leaves_no_descriptor_open(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 120)
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as client:
        with pytest.raises(FileNotFoundError), socket_address(folder / "s") as address:
            client.connect(address)
        opened = Path(address).parent
        assert opened.parent == Path("/proc/self/fd")
        assert not opened.is_symlink()


def test_a_long_address_in_a_missing_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), socket_address(tmp_path / ("d" * 120) / "s"):
        pass


def test_the_ports_of_the_kernel_hold_those_it_hands_out() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        assert listener.getsockname()[1] in ephemeral_ports()


def test_the_start_of_a_process_is_counted_from_the_boot() -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    with subprocess.Popen(["sleep", "60"]) as child:
        after = time.clock_gettime(time.CLOCK_BOOTTIME)
        try:
            assert before - 0.05 <= start_time(child.pid) <= after + 0.05
        finally:
            child.kill()


def test_the_name_of_a_program_may_hold_what_looks_like_fields(tmp_path: Path) -> None:
    program = tmp_path / "a) R 1 2"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "60"]) as hostile, subprocess.Popen([sys.executable, "-c", ""]) as plain:
        try:
            assert abs(start_time(hostile.pid) - start_time(plain.pid)) < 30
        finally:
            hostile.kill()


def test_a_process_that_is_not_there_has_no_start() -> None:
    with subprocess.Popen(["true"]) as child:
        child.wait()
    with pytest.raises(ProcessLookupError):
        start_time(child.pid)


def test_a_port_is_locked_once_until_its_lock_is_closed() -> None:
    port = 65535  # only the number is locked: nothing binds it here
    lock = port_lock(port)
    assert lock is not None
    assert port_lock(port) is None
    script = f"from fluxlab.host import port_lock; print(port_lock({port}))"
    seen = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == "None"
    lock.close()
    again = port_lock(port)
    assert again is not None
    again.close()


def test_folders_are_private_whatever_the_umask(tmp_path: Path) -> None:
    umask = os.umask(0o277)
    try:
        make_private(tmp_path / "a" / "b")
        make_private(tmp_path / "a" / "b")
    finally:
        os.umask(umask)
    modes = [stat.S_IMODE((tmp_path / folder).stat().st_mode) for folder in ("a", "a/b")]
    assert modes == [0o700, 0o700]
