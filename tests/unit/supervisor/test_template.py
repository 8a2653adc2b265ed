"""Supervisors that are copies of one process begin, end and are asked about like any other."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from fluxlab.errors import FluxlabError
from fluxlab.spec import LabSpec
from fluxlab.state import LabFolder
from fluxlab.supervisor.starter import Order, Starter, _environment, copying, start
from fluxlab.supervisor.template import Template

Eventually = Callable[[Callable[[], object]], None]


@pytest.fixture
def template() -> Iterator[Template]:
    made = Template(os.environ)
    yield made
    made.close()


def test_a_copy_ends_when_its_starter_does_and_is_no_zombie(template: Template, eventually: Eventually) -> None:
    first, second = Starter(template), Starter(template)
    assert first.process.poll() is None
    assert psutil.Process(first.process.pid).ppid() == psutil.Process(second.process.pid).ppid() != os.getpid()
    first.close()
    assert first.process.wait(10) == 0
    eventually(lambda: not psutil.pid_exists(first.process.pid))
    assert second.process.poll() is None
    second.process.kill()
    second.process.wait(10)
    second.close()


def test_a_copy_outlives_the_template(eventually: Eventually) -> None:
    template = Template(os.environ)
    starter = Starter(template)
    template.close()
    assert not template.running
    assert starter.process.poll() is None
    starter.close()
    eventually(lambda: starter.process.poll() is not None)


def test_a_copy_has_the_environment_of_its_starter_not_of_the_template(
    template: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    monkeypatch.setenv("FLUXLAB_TOOLCHAIN", "/nowhere/but/in/this/test")
    monkeypatch.setenv("LONG", "x" * 100_000)  # more than one piece of what is sent
    folder = LabFolder(tmp_path / "lab")
    folder.create()
    folder.spec.write_text(LabSpec().model_dump_json())
    starter = Starter(template)
    starter.order(Order(folder=folder.root, remove_orphaned=False, brief=True))
    eventually(lambda: "/nowhere/but/in/this/test" in (((record := folder.read_record()) and record.error) or ""))
    starter.close()
    starter.process.wait(10)


def test_without_a_template_that_runs_a_supervisor_is_started_anew() -> None:
    with copying():
        copied = start()
        parent = psutil.Process(copied.process.pid).parent()
        assert parent
        parent.kill()
        parent.wait(10)
        anew = start()
        assert psutil.Process(anew.process.pid).ppid() == os.getpid()
        for starter in (copied, anew):
            starter.close()
            starter.process.wait(10)


def test_a_template_that_dies_at_the_moment_of_asking_is_told_of(template: Template) -> None:
    template.close()
    with pytest.raises(FluxlabError, match="the template of supervisors has ended"):
        Starter(template)


def test_what_a_killed_run_left_goes_with_the_template_and_that_of_others_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLUXLAB_STATE_DIR", str(tmp_path))
    killed = subprocess.Popen(["sleep", "600"])
    killed.kill()  # and not yet waited for: a zombie has ended, too
    template = Template(os.environ)
    left, others = (tmp_path / "pytest" / f"run-{pid}" for pid in (killed.pid, os.getpid()))
    for folder in (left, others):
        folder.mkdir(parents=True)
        (folder / "demo.snapshot").touch()
    template.close()
    assert not left.exists()
    assert (others / "demo.snapshot").exists()
    killed.wait()


def test_a_supervisor_finds_what_relative_paths_of_its_starter_mean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLUXLAB_STATE_DIR", "it:~/state")  # one folder, whatever signs are in it
    monkeypatch.setenv("KUBECONFIG", "a.yaml:/etc/b.yaml")  # a list
    told = _environment()
    assert told["FLUXLAB_STATE_DIR"] == f"{tmp_path}/it:~/state"
    assert told["KUBECONFIG"] == f"{tmp_path}/a.yaml:/etc/b.yaml"
