"""What is on disk: names, records that may be broken, locks, and ports that no two labs share."""

import contextlib
import json
import os
import socket
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fluxlab.errors import FluxlabError, UsageError
from fluxlab.processes import Identity
from fluxlab.state import LabFolder, Phase, Ports, Record, Step, checked_name, held, lab_folders, state_folder

HOSTILE = ["", ".", "..", "../x", "a/b", "/a", "A", "aB", "-a", "a-", "a b", "a\n", "\na", "a.b", "a_b", "ü", "a" * 41]
CHILDREN: list[object] = [[], None, "x", {"a": 1}, {"a": {}}]
SUPERVISORS: list[object] = [None, [], {"pid": 1}, {"x": 1}]
RECORD = Record(
    phase=Phase.READY,
    supervisor=Identity(pid=7, since_boot=12.34),
    children={"c/etcd": Identity(pid=8, since_boot=0.1), "ü": Identity(pid=9, since_boot=3.0)},
    steps=(Step(name="processes launched", at_seconds=0.5),),
    error='it "died"\nthere',
)


# -- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*HOSTILE, "a" * 100])
def test_a_name_that_could_leave_its_folder_or_name_nothing_is_refused(state_dir: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a lab") as caught:
        LabFolder.named(name)
    assert repr(name) in caught.value.what
    assert not state_dir.exists()


@pytest.mark.parametrize("name", ["a", "0", "a-b", "a--b", "my-lab-2", "a" * 40])
def test_a_plain_name_is_a_folder_below_the_labs(state_dir: Path, name: str) -> None:
    assert LabFolder.named(name).root == state_dir / "labs" / name
    assert LabFolder.named(name).name == name


@given(st.text(alphabet="aZ0-./\n \0ü", max_size=45))
@example("a" * 40)
def test_exactly_the_names_of_dns_labels_are_allowed(name: str) -> None:
    plain = 1 <= len(name) <= 40 and set(name) <= set("a0-") and name[0] != "-" and name[-1] != "-"
    with contextlib.nullcontext() if plain else pytest.raises(UsageError):
        assert checked_name(name) == name


def test_the_state_folder_is_absolute_wherever_one_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLUXLAB_STATE_DIR", "here")
    assert state_folder() == tmp_path / "here"


def test_an_empty_variable_means_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FLUXLAB_STATE_DIR", "")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_folder() == tmp_path / "fluxlab"


# -- folders ---------------------------------------------------------------------------------------------------------


def test_everything_of_a_lab_is_in_its_own_private_folder(state_dir: Path) -> None:
    lab = LabFolder.named("one")
    lab.create()
    lab.create()
    assert stat.S_IMODE(lab.root.stat().st_mode) == 0o700
    paths = [lab.spec, lab.control_socket, lab.supervisor_log, lab.gateway_log, lab.pki, lab.repositories, lab.charts]
    paths += [lab.cluster("c"), lab.kubeconfig("c")]
    assert all(path.is_relative_to(state_dir / "labs" / "one") for path in paths)
    assert len(set(paths)) == len(paths)


def test_removal_takes_all_and_nothing_else(state_dir: Path) -> None:
    one, two = LabFolder.named("one"), LabFolder.named("two")
    for lab in (one, two):
        lab.create()
        (lab.root / "deep" / "er").mkdir(parents=True)
        (lab.root / "deep" / "er" / "file").touch()
    outside = state_dir / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    (one.root / "link").symlink_to(outside)
    one.remove()
    assert [path.name for path in (state_dir / "labs").iterdir()] == ["two"]
    assert list((state_dir / "trash").iterdir()) == []
    assert (outside / "kept").exists()
    one.remove()  # what is gone is gone


def test_removal_sweeps_what_an_interrupted_one_left(state_dir: Path) -> None:
    left = state_dir / "trash" / "old.1.2"
    (left / "deep").mkdir(parents=True)
    lab = LabFolder.named("one")
    lab.create()
    lab.remove()
    assert not left.exists()


def test_labs_are_listed_by_name_and_strangers_are_not(state_dir: Path) -> None:
    assert lab_folders() == []
    for name in ("b", "a", "c"):
        LabFolder.named(name).create()
    (state_dir / "labs" / ".stray").mkdir()
    (state_dir / "labs" / "file").touch()
    assert [lab.name for lab in lab_folders()] == ["a", "b", "c"]


# -- the record ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("state_dir")
def test_a_record_comes_back_from_disk_as_it_was() -> None:
    lab = LabFolder.named("one")
    lab.write_record(RECORD)
    assert lab.read_record() == RECORD
    assert stat.S_IMODE((lab.root / "record.json").stat().st_mode) == 0o600
    lab.write_record(RECORD.changed(phase=Phase.STOPPING, children={}))
    assert lab.read_record() == replace(RECORD, phase=Phase.STOPPING, children={})


Names = st.text(st.characters(exclude_categories=["Cs"]))
Identities = st.builds(Identity, pid=st.integers(1), since_boot=st.floats(0, 1e9))


@given(
    st.builds(
        Record,
        phase=st.sampled_from(Phase),
        supervisor=Identities,
        children=st.dictionaries(Names, Identities, max_size=3),
        steps=st.lists(st.builds(Step, name=Names, at_seconds=st.floats(0, 1e6)), max_size=3).map(tuple),
        error=Names,
    )
)
def test_any_record_survives_json(record: Record) -> None:
    assert Record.from_json(record.to_json()) == record


GOOD = json.loads(RECORD.to_json())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"7",
        b"\xff\xfe",
        RECORD.to_json().encode()[:-20],
        *(json.dumps({key: GOOD[key] for key in GOOD if key != lost}).encode() for lost in GOOD),
        *(json.dumps({**GOOD, "children": children}).encode() for children in CHILDREN),
        *(json.dumps({**GOOD, "supervisor": identity}).encode() for identity in SUPERVISORS),
        json.dumps({**GOOD, "phase": "sleeping"}).encode(),
        json.dumps({**GOOD, "steps": [1]}).encode(),
    ],
)
@pytest.mark.usefixtures("state_dir")
def test_a_broken_record_is_none(content: bytes) -> None:
    lab = LabFolder.named("one")
    lab.create()
    (lab.root / "record.json").write_bytes(content)
    assert lab.read_record() is None


@pytest.mark.usefixtures("state_dir")
def test_a_missing_record_is_none() -> None:
    assert LabFolder.named("one").read_record() is None


# -- locks -----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("state_dir")
def test_a_lab_is_changed_by_one_at_a_time() -> None:
    lab, other = LabFolder.named("one"), LabFolder.named("two")
    asked: list[None] = []
    with held(lab.lock(), what="lab one", timeout_seconds=0):
        with held(other.lock(), what="lab two", timeout_seconds=0):
            pass
        with (
            pytest.raises(FluxlabError, match="lab one: another fluxlab process is at it"),
            held(lab.lock(), what="lab one", timeout_seconds=0.1, waiting=lambda: asked.append(None)),
        ):
            pass
    assert asked
    with held(lab.lock(), what="lab one", timeout_seconds=0):
        pass


@pytest.mark.usefixtures("state_dir")
def test_a_lock_is_given_back_after_an_error() -> None:
    lab = LabFolder.named("one")
    with pytest.raises(KeyError), held(lab.lock(), what="x", timeout_seconds=0):
        raise KeyError
    with held(lab.lock(), what="x", timeout_seconds=0):
        pass


@pytest.mark.usefixtures("state_dir")
def test_whoever_waits_for_a_lock_gets_it() -> None:
    lab, order = LabFolder.named("one"), []
    waiting = threading.Event()

    def second() -> None:
        with held(lab.lock(), what="x", timeout_seconds=20, waiting=waiting.set):
            order.append("second")

    thread = threading.Thread(target=second)
    with held(lab.lock(), what="x", timeout_seconds=0):
        thread.start()
        assert waiting.wait(20)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


# -- ports -----------------------------------------------------------------------------------------------------------


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
    monkeypatch.setattr("fluxlab.state.FIRST_PORT", first)  # as if all below were taken
    monkeypatch.setattr("fluxlab.state.ephemeral_ports", lambda: range(first, first + 9))
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
        from fluxlab.state import Ports
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
