"""Edited manifests: what was not changed stays, to the letter."""

import pytest

from fluxlab.errors import UsageError
from fluxlab.manifests import dump, merge

INDENTED = """\
---
# the shop
apiVersion: v1
kind: ConfigMap
metadata:
  name: shop
data:
  colour: 'red'   # as always
  list:
    - a
    - b
"""
FLUSH = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: cart
spec:
  replicas: 1
  list:
  - name: a
    image: b
  - name: c
"""


@pytest.mark.parametrize("text", [INDENTED, FLUSH, INDENTED.replace("\n", "\r\n"), FLUSH + "---\n" + FLUSH])
def test_what_is_not_changed_stays(text: str) -> None:
    kind, name = ("Deployment", "cart") if "Deployment" in text else ("ConfigMap", "shop")
    if text.count(name) > 1:
        text = text.replace("name: cart", "name: other", 1)
    changed = merge(text, {"metadata": {"labels": None}}, path="x.yaml", kind=kind, name=name)
    assert changed == text


@pytest.mark.parametrize("text", [INDENTED, INDENTED.replace("\n", "\r\n")])
def test_only_what_is_changed_differs(text: str) -> None:
    changed = merge(text, {"data": {"colour": "blue"}}, path="x.yaml")
    before, after = text.splitlines(), changed.splitlines()
    [(_, new)] = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
    assert new.replace("'", "").split()[:2] == ["colour:", "blue"]
    assert "# as always" in new


def test_a_file_that_begins_with_nothing_keeps_only_what_is_there() -> None:
    changed = merge("---\n---\n" + FLUSH, {"spec": {"replicas": 2}}, path="x.yaml")
    assert "null" not in changed
    assert "replicas: 2" in changed


def test_null_removes_and_lists_are_replaced() -> None:
    changed = merge(FLUSH, {"spec": {"replicas": None, "list": ["x"]}}, path="x.yaml")
    assert "replicas" not in changed
    assert changed.endswith("  list:\n  - x\n")


def test_manifests_written_anew_are_read_as_they_were_meant() -> None:
    assert dump({"a": {"b": (1, 2)}}, {"c": None}) == "a:\n  b:\n    - 1\n    - 2\n---\nc:\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [("a: [", "no valid YAML"), ("", "no manifests"), ("- a\n", "no manifests"), (FLUSH, "Deployment cart")],
)
def test_what_is_not_there_cannot_be_changed(text: str, told: str) -> None:
    with pytest.raises(UsageError) as refused:
        merge(text, {"a": 1}, path="x.yaml", kind="Service")
    assert told in str(refused.value)
    assert "x.yaml" in str(refused.value)
