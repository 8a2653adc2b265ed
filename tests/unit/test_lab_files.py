"""Lab files by path, and those that come with fluxlab by name."""

import tomllib
from pathlib import Path

import pytest

from fluxlab.errors import UsageError
from fluxlab.lab_files import find_lab_file, lab_file_names
from fluxlab.spec import load_spec

SHIPPED = Path(__file__).parents[2] / "labs"


def test_the_shipped_lab_files_are_those_of_the_repository() -> None:
    assert lab_file_names() == sorted(file.stem for file in SHIPPED.glob("*.yaml"))
    assert "playground" in lab_file_names()


@pytest.mark.parametrize("name", sorted(file.stem for file in SHIPPED.glob("*.yaml")))
def test_every_shipped_lab_file_is_valid_and_found_by_name(name: str) -> None:
    found = find_lab_file(name)
    assert found == SHIPPED / f"{name}.yaml"
    assert load_spec(found).name == name


def test_a_wheel_holds_all_of_them() -> None:
    text = (SHIPPED.parent / "pyproject.toml").read_text()
    included = tomllib.loads(text)["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    for name in lab_file_names():
        assert included[f"labs/{name}.yaml"] == f"fluxlab/labs/{name}.yaml"


@pytest.mark.parametrize("path", ["lab.yaml", "./lab", "some/lab", "/lab", "playground.yaml"])
def test_a_path_is_a_path_whether_it_is_there_or_not(path: str) -> None:
    assert find_lab_file(path) == Path(path)


@pytest.mark.parametrize("name", ["playgrounds", "", "..", "~"])
def test_an_unknown_name_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(UsageError, match="no lab file") as caught:
        find_lab_file(name)
    assert "playground" in caught.value.facts[0]
