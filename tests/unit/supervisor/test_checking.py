"""What a start tries before anything is made: the credentials of somebody's cluster must not stay behind."""

import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from fluxlab.clusters.api import KubeApi
from fluxlab.errors import FluxlabError, UsageError
from fluxlab.files import write_private
from fluxlab.spec import LabSpec
from fluxlab.supervisor.launch import launch

SPEC = LabSpec.model_validate({"name": "guest", "clusters": [{"name": "shared", "backend": "existing"}]})
Tried = Callable[[Path], None]


@pytest.fixture
def trying(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[Tried], None]]:
    """Has something done when a cluster is tried, with the folder in which its credentials then are."""
    elsewhere = tmp_path / "tmp"
    elsewhere.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    monkeypatch.setattr("fluxlab.supervisor.launch.find", lambda: SimpleNamespace(binary=Path))

    def use(tried: Tried) -> None:
        def connect(*_: object, folder: Path, **__: object) -> KubeApi:
            write_private(folder / "access" / "client.key", "the key")
            tried(folder)
            raise UsageError("not given to fluxlab")

        monkeypatch.setattr("fluxlab.clusters.existing.connect", connect)

    yield use
    assert list(elsewhere.iterdir()) == []


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_credentials_are_tried_in_the_labs_folder_where_the_next_call_finds_them(
    trying: Callable[[Tried], None], state_dir: Path
) -> None:
    seen: list[Path] = []
    trying(seen.append)
    with pytest.raises(UsageError, match="not given"):
        launch(SPEC, progress=print)
    assert [folder.is_relative_to(state_dir / "labs" / "guest") for folder in seen] == [True]
    assert list((state_dir / "labs").iterdir()) == []
    assert files(state_dir / "locks") in ([], [state_dir / "locks" / ".gate"])


def test_a_start_that_is_ended_while_it_tries_credentials_leaves_none(
    trying: Callable[[Tried], None], state_dir: Path
) -> None:
    def end(_: Path) -> None:
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL, "it would end the process at once"
        signal.raise_signal(signal.SIGTERM)

    trying(end)
    with pytest.raises(SystemExit):
        launch(SPEC, progress=print)
    assert list((state_dir / "labs").iterdir()) == []


def test_a_lab_that_is_there_stays_when_its_cluster_cannot_be_tried(
    trying: Callable[[Tried], None], state_dir: Path
) -> None:
    folder = state_dir / "labs" / "guest"
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text(SPEC.model_dump_json())
    trying(lambda _: None)
    with pytest.raises(FluxlabError):
        launch(SPEC, progress=print)
    assert files(folder) == [folder / "spec.json"]
