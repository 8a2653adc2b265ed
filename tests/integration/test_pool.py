"""Labs made and removed in one process: nothing more is there afterwards than before the first."""

import gc
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from tests.integration.traces import processes_in

from fluxlab.documents import JsonObject
from fluxlab.lab import Lab
from fluxlab.pool import LabRequest, Pool
from fluxlab.spec import LabSpec
from fluxlab.state import lab_folders, state_folder

pytestmark = pytest.mark.integration
REQUEST = LabRequest(spec=LabSpec())


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUXLAB_STATE_DIR", str(tmp_path))


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool(prefix="leak", spares=1)
    yield made
    made.close()


def traces() -> dict[str, set[str]]:
    """What this process has: children, threads, open files, and processes and files of its labs.

    Of the children those of nobody else's: a lab of another test, which may live on, starts and ends programs any time.
    """
    gc.collect()
    return {
        "children": {f"{child.pid} {child.name()}" for child in psutil.Process().children()},
        "processes": {f"{pid} {command}" for pid, command in processes_in(state_folder()).items()},
        "threads": {thread.name for thread in threading.enumerate()},
        "descriptors": set(descriptors()),
        "files": {str(path) for path in state_folder().rglob("*")},
    }


def descriptors() -> Iterator[str]:
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # that of the listing itself
            yield f"{link.name}: {link.readlink()}"


def use(lab: Lab) -> None:
    probe: JsonObject = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe", "namespace": "default"}}
    lab.repository.write("clusters/flux-playground/probe.yaml", probe)
    lab.converge(lab.repository.commit("Add a probe"))
    assert lab.cluster.find("ConfigMap", "default/probe")


@pytest.mark.parametrize("count", [20, pytest.param(200, marks=pytest.mark.verify)])
def test_many_labs_leave_nothing(count: int) -> None:
    warm = Pool(prefix="warm", spares=0)
    use(first := warm.take(REQUEST))  # loads libraries, makes folders
    warm.give_back(first)
    warm.close()
    before = traces()
    pool = Pool(prefix="leak", spares=1)
    for number in range(count):
        lab = pool.take(REQUEST)
        pool.prepare(*([REQUEST] if number < count - 1 else []))
        if number % 5 == 0:
            use(lab)
        pool.give_back(lab)
    pool.close()
    assert pool.troubles == []
    assert lab_folders() == []
    after = traces()
    assert {kind: after[kind] - before[kind] for kind in after} == {kind: set() for kind in after}


@pytest.mark.verify
def test_a_spare_that_died_while_it_waited_is_not_handed_out(pool: Pool) -> None:
    pool.prepare(REQUEST)
    try:
        [spare] = pool._spares
        number = spare.started.result().status().supervisor_pid
        assert number
        psutil.Process(number).kill()
        lab = pool.take(REQUEST)
        assert lab.name != spare.started.result().name
        use(lab)
        pool.give_back(lab)
    finally:
        pool.close()
    assert lab_folders() == []


@pytest.mark.verify
def test_what_a_spare_lacks_is_made_directly(pool: Pool) -> None:
    pool.prepare(REQUEST)
    try:
        other = LabRequest(spec=LabSpec.model_validate({"clusters": [{"nodes": 2}]}))
        lab = pool.take(other)
        assert len(lab.cluster.kubectl("get", "nodes", "-o", "name").split()) == 2
        pool.give_back(lab)
        assert pool.take(REQUEST).name == "leak-1"
    finally:
        for folder in lab_folders():
            pool.give_back(Lab(folder))
        pool.close()
    assert lab_folders() == []
