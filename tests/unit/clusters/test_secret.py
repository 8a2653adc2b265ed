"""What is told of a value that Flux would substitute, and what of it is masked."""

import base64

import pytest

from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.secret import trouble_with_substitution
from fluxlab.clusters.secret_values import values_of
from fluxlab.redaction import MASK, Redactor

TOKEN = "canary-of-a-day"
AS_IT_IS = ["a*b", "$x", "a$$b", "${HOME}", 'a"b', "a\\b", "a'b", "=", "a#b", TOKEN]
"""What `flux build kustomization` 2.9.2 puts into manifests as it is, with or without quotes in git."""
ANOTHER = ['"ab"', "'ab'", "a #b", "#a", "&a", "!t", "12", "true", "null", "~", "  lead", "\ttab", "|", ">"]
"""What it makes something else of."""
NO_YAML = ["*x", "a: b", "@x", "%x", "{a", "[a", "- a", "[" * 100_000]
"""With what it fails."""


@pytest.mark.parametrize("value", AS_IT_IS)
def test_of_a_value_that_manifests_get_as_it_is_nothing_is_told(value: str) -> None:
    assert trouble_with_substitution(value) == ""


@pytest.mark.parametrize("value", [*ANOTHER, *NO_YAML], ids=lambda value: value[:9])
def test_a_value_that_yaml_takes_for_something_else_is_told(value: str) -> None:
    assert trouble_with_substitution(value).startswith("reads as something else in YAML")


@pytest.mark.parametrize(
    ("value", "told"), [("", "is empty"), ("x\n", "ends with a line feed"), ("x\ny\n", "holds a line feed")]
)
def test_a_value_that_is_empty_or_of_several_lines_is_told(value: str, told: str) -> None:
    assert trouble_with_substitution(value).startswith(told)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (f"{TOKEN}\n", f"invalid: {TOKEN}"),
        ("canary-of\n-a-day\n", f"invalid: {TOKEN}"),
        (f"*{TOKEN}", f"YAMLToJSON: yaml: unknown anchor '{TOKEN}' referenced"),
        (f'"{TOKEN}"', f"invalid: {TOKEN}"),
    ],
)
def test_what_flux_makes_of_a_value_is_masked_as_well(value: str, text: str) -> None:
    data = {"TOKEN": base64.b64encode(value.encode()).decode()}
    assert Redactor(values_of(KubeObject({"kind": "Secret", "data": data}))).redact(text) == text.replace(TOKEN, MASK)
