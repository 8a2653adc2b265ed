"""The published schemas are those of the models, and say the same as they do."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from tests.unit.report.samples import SAMPLES

from fluxlab.rehearsals.loading import shipped_rehearsals
from fluxlab.rehearsals.results import RunResult
from fluxlab.report.schemas import rehearsal_schema, result_schema

PUBLISHED = Path(__file__).parents[3] / "docs" / "schemas"
REHEARSAL, RESULT = json.loads(rehearsal_schema()), json.loads(result_schema())
# jsonschema.validate checks the schema first, each time, which takes fifty times as long as what it is for.
REHEARSALS, RESULTS = (jsonschema.Draft202012Validator(schema) for schema in (REHEARSAL, RESULT))


@pytest.mark.parametrize(("name", "schema"), [("rehearsal", REHEARSAL), ("result", RESULT)])
def test_what_is_published_is_what_holds(name: str, schema: object) -> None:
    told = f"next: fluxlab rehearse --schema {name} > docs/schemas/{name}.json"
    assert json.loads((PUBLISHED / f"{name}.json").read_text()) == schema, told


def test_both_are_schemas() -> None:
    for schema in (REHEARSAL, RESULT):
        jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("result", SAMPLES.values(), ids=SAMPLES)
def test_results_are_as_the_schema_says(result: RunResult) -> None:
    RESULTS.validate(json.loads(result.as_json()))


@pytest.mark.parametrize("file", shipped_rehearsals(), ids=lambda file: file.stem)
def test_rehearsals_are_as_the_schema_says(file: Path) -> None:
    REHEARSALS.validate(yaml.safe_load(file.read_text()))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"expectt": []}, "expectt"),
        ({"hypothesis": []}, "hypothesis"),
        ({"steps": [{"fault": {"fault": "git-hang"}, "heal": "x"}]}, "valid under each of"),
        ({"steps": [{"name": "nothing"}]}, "not valid under any"),
        ({"expect": [{"what": "x", "log": {"component": "y", "pattern": "z"}, "within_seconds": 0}]}, "0"),
    ],
)
def test_an_editor_sees_a_mistake(change: dict[str, object], told: str) -> None:
    sound = {
        "title": "x",
        "hypothesis": [{"what": "x", "arrived": True}],
        "steps": [{"fault": {"fault": "git-hang"}}],
        "expect": [{"what": "x", "log": {"component": "y", "pattern": "z"}}],
        "truth": {"cause": "x"},
    }
    REHEARSALS.validate(sound)
    refused = jsonschema.exceptions.best_match(REHEARSALS.iter_errors({**sound, **change}))
    assert told in str(refused)
