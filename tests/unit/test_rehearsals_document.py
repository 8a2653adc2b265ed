"""docs/rehearsals.md names the fields that files have, and its examples are such files."""

import re
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel
from typer.main import get_command

from fluxlab.cli.app import app
from fluxlab.rehearsals import signals, spec
from fluxlab.rehearsals.results import Outcome

DOCUMENT = (Path(__file__).parents[2] / "docs" / "rehearsals.md").read_text()
SECTIONS: dict[str, tuple[type[BaseModel], ...]] = {
    "The file": (spec.Rehearsal,),
    "`lab`": (spec.LabNeeds,),
    "`hypothesis`": (spec.SteadyState,),
    "`field`": (spec.FieldSpec,),
    "`steps`": (spec.Step,),
    "`fault`": (spec.FaultSpec,),
    "`commit`": (spec.CommitSpec,),
    "`patch`": (spec.PatchSpec,),
    "`human`": (spec.HumanSpec,),
    "`publish`": (spec.PublishSpec,),
    "`expect` and `forbid`": (signals.ExpectedSignal, signals.ForbiddenSignal),
    "`condition`": (signals.ConditionSpec,),
    "`event`": (signals.EventSpec,),
    "`log`": (signals.LogSpec,),
    "`alert`": (signals.AlertSpec,),
    "`drift`": (signals.DriftSpec,),
    "`metric`": (signals.MetricSpec,),
    "`pods`": (signals.PodsSpec,),
    "`pending`": (signals.PendingSpec,),
    "`truth`": (spec.Truth,),
}


def rows(section: str) -> dict[str, str]:
    """The table below a heading: what it says of each field."""
    [text] = re.findall(rf"^### {re.escape(section)}\n(.*?)(?=^##)", DOCUMENT, re.MULTILINE | re.DOTALL)
    return dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", text, re.MULTILINE))


def test_every_part_of_a_file_has_its_section() -> None:
    assert re.findall("^### (.+)$", DOCUMENT, re.MULTILINE) == list(SECTIONS)
    named = [one for module in (spec, signals) for one in vars(module).values()]
    parts = {one for one in named if isinstance(one, type) and issubclass(one, BaseModel)}
    written = {one for one in parts if one.__module__ in {spec.__name__, signals.__name__}}
    assert written - {signals.SignalSpec, spec.Check} == {model for models in SECTIONS.values() for model in models}


@pytest.mark.parametrize("section", SECTIONS)
def test_the_fields_are_those_of_the_models(section: str) -> None:
    fields = [model.model_fields for model in SECTIONS[section]]
    known = [field.alias or name for one in fields for name, field in one.items()]
    assert set(rows(section)) == set(known)


@pytest.mark.parametrize("section", SECTIONS)
def test_defaults_are_those_of_the_models(section: str) -> None:
    told = rows(section)
    for model in SECTIONS[section]:
        for name, field in model.model_fields.items():
            found = re.search(r"default `?\"?([\w\[\]]+)", told[field.alias or name])
            if found and found[1] not in {"the", "all"}:
                value = field.default
                assert found[1] in {f"{value:g}" if isinstance(value, float) else str(value), f"[{_first(value)}]"}, (
                    name
                )


def _first(value: object) -> object:
    return value[0] if isinstance(value, tuple) and value else value


def test_the_example_is_a_rehearsal() -> None:
    [example] = [text for text in re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL) if "hypothesis:" in text]
    spec.Rehearsal.model_validate(yaml.safe_load(example))


def test_the_options_are_those_of_the_command() -> None:
    command = get_command(app).commands["rehearse"]  # type: ignore[attr-defined]
    known = {option for one in command.params for option in one.opts if option.startswith("--")}
    table = DOCUMENT[: DOCUMENT.index("| exit code")]
    assert set(re.findall(r"^\| .*?(--[\w-]+)", table, re.MULTILINE)) | {"--output"} == known


def test_exit_codes_are_those_of_the_verdicts() -> None:
    told = re.findall(r"^\| (\d+) \| (pass|fail|inconclusive) \|", DOCUMENT, re.MULTILINE)
    assert told == [(str(outcome.exit_code), str(outcome)) for outcome in Outcome]
