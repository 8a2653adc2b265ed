"""docs/lab-file.md names the fields that a lab file may have, with defaults and bounds; its examples are lab files."""

import re
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from fluxlab import spec
from fluxlab.lab_files import lab_file_names

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "lab-file.md").read_text()
SECTIONS: dict[str, type[BaseModel]] = {
    "The file": spec.LabSpec,
    "`clusters`": spec.ClusterSpec,
    "`repository`": spec.RepositorySpec,
    "`charts`": spec.ChartRepositorySpec,
    "`alerts`": spec.SinkSpec,
    "`gateway`": spec.GatewaySpec,
}
FIELDS = [(section, name) for section, model in SECTIONS.items() for name in model.model_fields]


def rows(section: str) -> dict[str, tuple[str, str]]:
    """The table below a heading: of each field its default, and what it is."""
    [text] = re.findall(rf"^### {re.escape(section)}\n(.*?)(?=^##|\Z)", DOCUMENT, re.MULTILINE | re.DOTALL)
    found = re.findall(r"^\| `(\w+)` \| ([^|]*) \| ([^|]+) \|$", text, re.MULTILINE)
    return {name: (default, told) for name, default, told in found}


def test_every_part_of_a_lab_file_has_its_section() -> None:
    assert re.findall("^### (.+)$", DOCUMENT, re.MULTILINE) == list(SECTIONS)
    known = {one for one in vars(spec).values() if isinstance(one, type) and issubclass(one, spec._Model)}
    assert known - {spec._Model} == set(SECTIONS.values())


@pytest.mark.parametrize("section", SECTIONS)
def test_the_fields_are_those_of_the_models(section: str) -> None:
    assert list(rows(section)) == list(SECTIONS[section].model_fields)


@pytest.mark.parametrize(("section", "name"), FIELDS)
def test_defaults_are_those_of_the_models(section: str, name: str) -> None:
    told, _ = rows(section)[name]
    field = SECTIONS[section].model_fields[name]
    if field.is_required():
        assert told == "required"
        return
    value = field.get_default(call_default_factory=True)
    if isinstance(value, bool):
        assert told == f"`{str(value).lower()}`"
    elif isinstance(value, str | int) and value:
        assert told == f"`{value}`"
    else:  # what becomes of nothing is told in words
        assert told not in {"", "required"}


@pytest.mark.parametrize(("section", "name"), FIELDS)
def test_bounds_and_choices_are_those_of_the_models(section: str, name: str) -> None:
    _, told = rows(section)[name]
    schema = SECTIONS[section].model_json_schema()["properties"][name]
    for words in [*schema.get("enum", []), *(str(schema[key]) for key in ("minimum", "maximum") if key in schema)]:
        assert re.search(rf"(?<![\w-]){re.escape(words)}(?![\w-])", told), words


def test_the_lab_files_that_come_with_fluxlab_are_named() -> None:
    for text in (DOCUMENT, (ROOT / "README.md").read_text()):
        assert [name for name in lab_file_names() if f"`{name}`" not in text] == []


@pytest.mark.parametrize("document", ["docs/lab-file.md", "docs/backends.md", "README.md"])
def test_an_example_is_a_lab_file(document: str) -> None:
    found = re.findall(r"```yaml\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)
    examples = [text for text in found if "clusters:" in text]
    assert examples
    for text in examples:
        spec.LabSpec.model_validate(yaml.safe_load(text))
