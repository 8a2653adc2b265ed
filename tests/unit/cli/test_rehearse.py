"""`fluxlab rehearse` without a lab: what is printed, and what is refused before one is started."""

import json
from pathlib import Path

import pytest
from tests.unit.cli.test_app import Run, run

from fluxlab.rehearsals.loading import shipped_rehearsals

__all__ = ["run"]
pytestmark = pytest.mark.usefixtures("state_dir")


@pytest.mark.parametrize(("schema", "field"), [("rehearsal", "hypothesis"), ("result", "findings")])
def test_schemas_are_printed_for_editors_and_programs(run: Run, schema: str, field: str) -> None:
    ended = run("rehearse", "--schema", schema)
    assert ended.code == 0
    assert field in json.loads(ended.out)["required"]


def test_without_a_file_those_that_there_are_are_listed(run: Run) -> None:
    listed = run("rehearse", "-o", "json")
    assert sorted(json.loads(listed.out)) == sorted(file.stem for file in shipped_rehearsals())
    assert "hypothesis" in json.loads(listed.out)["controller-paused"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-o", "junit"], "-o junit is for results"),
        (["no-such"], "there is neither a file nor a rehearsal 'no-such'"),
        (["controller-paused", "--reports", "taken"], "--reports taken: there can be no such folder"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_started(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("a file")
    ended = run("rehearse", *words)
    assert ended.code == 64
    assert told in ended.err
    assert not (tmp_path / "state" / "labs").exists()
