"""The end of labs whose supervisor is gone, and the pipe by which a supervisor knows that its starter is."""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fluxlab.errors import FluxlabError
from fluxlab.files import write_private
from fluxlab.processes import Identity
from fluxlab.state import LabFolder, Phase, Record
from fluxlab.supervisor.charts import chart_folder
from fluxlab.supervisor.launch import alive, end
from fluxlab.supervisor.starter import FREE, Order, Starter, await_order, watch

GONE = Identity(pid=1, since_boot=-1.0)


@pytest.fixture
def sleepers() -> Iterator[list[subprocess.Popen[bytes]]]:
    children = [subprocess.Popen(["sleep", "300"]) for _ in range(2)]
    yield children
    for child in children:
        child.kill()
        child.wait()


@pytest.fixture
def folder(state_dir: Path) -> LabFolder:
    made = LabFolder.named("one")
    made.create()
    made.spec.write_text("{}")
    assert made.root.is_relative_to(state_dir)
    return made


def test_a_supervisor_lives_while_its_identity_does(sleepers: list[subprocess.Popen[bytes]]) -> None:
    identity = Identity.of(sleepers[0].pid)
    assert alive(Record(phase=Phase.READY, supervisor=identity))
    assert not alive(Record(phase=Phase.READY, supervisor=replace(identity, since_boot=1.0)))
    assert not alive(None)


def test_what_a_killed_supervisor_left_is_ended_and_removed(
    folder: LabFolder, sleepers: list[subprocess.Popen[bytes]]
) -> None:
    children = {f"c/{number}": Identity.of(child.pid) for number, child in enumerate(sleepers)}
    folder.write_record(Record(phase=Phase.READY, supervisor=GONE, children=children))
    end(folder)
    assert [child.wait(20) for child in sleepers] == [-15, -15]
    assert not folder.root.exists()


def test_processes_that_only_have_the_recorded_pids_are_left_alone(
    folder: LabFolder, sleepers: list[subprocess.Popen[bytes]]
) -> None:
    children = {"c/etcd": replace(Identity.of(sleepers[0].pid), since_boot=1.0)}
    supervisor = replace(Identity.of(sleepers[1].pid), since_boot=1.0)
    folder.write_record(Record(phase=Phase.READY, supervisor=supervisor, children=children))
    end(folder)
    assert [child.poll() for child in sleepers] == [None, None]
    assert not folder.root.exists()


@pytest.mark.parametrize("record", [None, "", "{", "null"])
def test_a_half_made_lab_is_removed(folder: LabFolder, record: str | None) -> None:
    if record is not None:
        (folder.root / "record.json").write_text(record)
    end(folder)
    assert not folder.root.exists()
    end(folder)  # and once more


def test_a_lab_of_which_nobody_can_tell_what_it_made_elsewhere_stays_until_that_is_given_up(folder: LabFolder) -> None:
    write_private(folder.cluster("shared") / "root.json", "")  # as a power cut leaves it
    with pytest.raises(FluxlabError, match=r"shared/root.json cannot be read(.|\n)*fluxlab down one --forget"):
        end(folder)
    assert folder.spec.exists()
    end(folder, leave_clusters=True)
    assert not folder.root.exists()


# -- the pipe --------------------------------------------------------------------------------------------------------


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    theirs, ours = os.pipe()
    yield theirs, ours
    for descriptor in (theirs, ours):
        try:
            os.close(descriptor)
        except OSError:
            continue  # the test closed it


ORDER = b'{"folder": "/labs/one", "remove_orphaned": true, "brief": true}\n'


@pytest.mark.parametrize("said", [b"", ORDER[:20], ORDER[:-1]])
def test_a_supervisor_does_not_begin_without_a_whole_order(pipe: tuple[int, int], said: bytes) -> None:
    os.write(pipe[1], said)
    os.close(pipe[1])
    assert await_order(pipe[0]) is None


def test_what_follows_the_order_is_left_in_the_pipe(pipe: tuple[int, int]) -> None:
    os.write(pipe[1], ORDER + FREE)
    assert await_order(pipe[0]) == Order(folder=Path("/labs/one"), remove_orphaned=True, brief=True)
    assert os.read(pipe[0], 9) == FREE


@pytest.mark.parametrize(("said", "orphaned"), [(FREE, False), (b"", True)])
def test_the_end_of_the_starter_is_noticed_unless_it_let_go(
    pipe: tuple[int, int], said: bytes, orphaned: bool, eventually: Callable[[Callable[[], object]], None]
) -> None:
    noticed = threading.Event()
    before = set(threading.enumerate())
    watch(pipe[0], noticed.set)
    started = [thread for thread in threading.enumerate() if thread not in before]
    assert not noticed.wait(0.05)
    os.write(pipe[1], said)
    os.close(pipe[1])
    eventually(lambda: not any(thread.is_alive() for thread in started))
    assert noticed.is_set() is orphaned


def test_a_supervisor_that_is_gone_before_its_order_is_told_of() -> None:
    starter = Starter()
    starter.process.kill()
    starter.process.wait()
    with pytest.raises(FluxlabError, match="the supervisor of lab one ended before it began"):
        starter.order(Order(folder=Path("/labs/one"), remove_orphaned=True, brief=False))
    starter.close()


def test_a_supervisor_may_be_let_go_of_more_than_once() -> None:
    starter = Starter()
    try:
        starter.let_go()
        assert not starter.holds
        starter.let_go()
    finally:
        starter.process.kill()
        starter.process.wait()


# -- charts ----------------------------------------------------------------------------------------------------------


def test_each_chart_repository_has_a_folder_that_remembers_its_url(folder: LabFolder) -> None:
    urls = ["https://a.example.com/x", "https://a.example.com/y", "https://b.example.com"]
    places = [chart_folder(folder, url) for url in urls]
    assert len(set(places)) == 3
    assert [(place / "url").read_text() for place in places] == urls
    assert all(place.parent == folder.charts for place in places)
    assert chart_folder(folder, f"{urls[0]}/") == places[0]
