"""Labs made and removed in one process: nothing more is there afterwards than before the first."""

import gc
import socket
import subprocess
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
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
def _places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, folder in (("FLUXLAB_STATE_DIR", tmp_path / "state"), ("TMPDIR", tmp_path / "tmp")):
        folder.mkdir()
        monkeypatch.setenv(name, str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)  # it remembers the one of before


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool(prefix="leak", spares=1)
    yield made
    made.close()


def traces() -> dict[str, set[str]]:
    """What this process has: children, threads, open files and sockets, and processes and files of its labs.

    Of the children those of nobody else's: a lab of another test, which may live on, starts and ends programs any time.
    """
    gc.collect()
    return {
        "children": {f"{child.pid} {child.name()}" for child in psutil.Process().children()},
        "processes": {f"{pid} {command}" for pid, command in processes_in(state_folder()).items()},
        "threads": set(numbered(thread.name for thread in threading.enumerate())),
        "descriptors": set(descriptors()),
        "files": {str(path) for place in (state_folder(), Path(tempfile.gettempdir())) for path in place.rglob("*")},
    }


def numbered(names: Iterable[str]) -> Iterator[str]:
    """Each name with how often it was there before: a second of one name is another one."""
    seen: Counter[str] = Counter()
    for name in names:
        yield f"{name} ({seen[name]})"
        seen[name] += 1


def descriptors() -> Iterator[str]:
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # that of the listing itself
            yield f"{link.name}: {link.readlink()}"


def use(lab: Lab) -> None:
    probe: JsonObject = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe", "namespace": "default"}}
    lab.repository.write("clusters/flux-playground/probe.yaml", probe)
    lab.converge(lab.repository.commit("Add a probe"))
    assert lab.cluster.find("ConfigMap", "default/probe")


def test_what_is_left_is_seen_of_each_kind() -> None:
    plant, planted = threading.Event(), threading.enumerate()[0].name
    before = traces()
    thread = threading.Thread(name=planted, target=plant.wait)  # of a name that another one has
    thread.start()
    (state_folder() / "labs" / "left").mkdir(parents=True)
    with subprocess.Popen(["sleep", "60"], cwd=state_folder()) as child, tempfile.NamedTemporaryFile() as file:
        with socket.create_server(("127.0.0.1", 0)) as server:
            after = traces()
        child.kill()
    plant.set()
    thread.join()
    assert server.fileno() == -1
    more = {kind: after[kind] - before[kind] for kind in after}
    assert more["children"] == {f"{child.pid} sleep"}
    assert more["processes"] == {f"{child.pid} sleep 60"}
    assert more["threads"] == {f"{planted} (1)"}
    assert {one.partition(": ")[2].partition(":")[0] for one in more["descriptors"]} == {file.name, "socket"}
    assert more["files"] == {file.name, str(state_folder() / "labs"), str(state_folder() / "labs" / "left")}
    assert {kind: found - before[kind] for kind, found in traces().items()} == {
        **{kind: set() for kind in after},
        "files": more["files"] - {file.name},
    }


@pytest.mark.parametrize("count", [3, pytest.param(200, marks=pytest.mark.verify)])
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
