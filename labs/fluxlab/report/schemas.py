"""What files and results look like, as JSON Schema: for editors, and for programs that read results."""

import json

from fluxlab.rehearsals.results import RunResult
from fluxlab.rehearsals.spec import Rehearsal

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def rehearsal_schema() -> str:
    """Of a rehearsal's file."""
    return _text(Rehearsal.model_json_schema())


def result_schema() -> str:
    """Of a run's result, as reports and `-o json` have it."""
    return _text(RunResult.model_json_schema(mode="serialization"))


def _text(schema: dict[str, object]) -> str:
    return json.dumps({"$schema": _DIALECT, **schema}, indent=2)
