"""Edited manifests: what was not changed stays, to the letter."""

import pytest
import yaml

from fluxlab.clusters.paths import put
from fluxlab.errors import UsageError
from fluxlab.manifests import Manifest, dump, edited, merge, plain, without

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


TWO = """\
# both shops
kind: ConfigMap
metadata: {name: shop, namespace: blue}
data:
  colour: "red"   # as always
  size: small
---
# the other one
kind: ConfigMap
metadata: {name: shop, namespace: green}
"""


def test_one_of_two_namespaces_is_edited_and_a_text_stays_quoted() -> None:
    def edit(manifest: Manifest) -> None:
        put(".data.colour", manifest, "blue")

    changed = edited(TWO, edit, path="x.yaml", kind="ConfigMap", name="shop", namespace="blue")
    assert changed == TWO.replace('"red"   #', '"blue"  #')
    with pytest.raises(UsageError, match="0 manifests"):
        edited(TWO, edit, path="x.yaml", kind="ConfigMap", name="shop", namespace="grey")


def test_a_list_that_grows_keeps_its_comments() -> None:
    text = FLUSH.replace("- name: a", "- name: a  # the first")

    def edit(manifest: Manifest) -> None:
        put(".spec.list[2]", manifest, {"name": "d"})

    assert edited(text, edit, path="x.yaml") == text + "  - name: d\n"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_manifest_is_taken_out_to_the_letter(end: str) -> None:
    text = (TWO + "---\nkind: Service\nmetadata: {name: shop}\n").replace("\n", end)
    first, second, third = text.split(f"---{end}")
    assert without(text, path="x", kind="ConfigMap", name="shop", namespace="green") == f"{first}---{end}{third}"
    assert without(text, path="x", kind="Service", name="shop", namespace="blue") == f"{first}---{end}{second}"
    with pytest.raises(UsageError, match="2 manifests"):
        without(text, path="x", kind="ConfigMap", name="shop")


def test_nothing_is_left_of_a_file_with_one_manifest() -> None:
    assert without("# only this\n---\n" + FLUSH + "---\n", path="x", kind="Deployment", name="cart") == ""


def test_three_dashes_in_a_text_are_no_document() -> None:
    text = "kind: A\ntext: |\n  ---\n  kind: B\n---\nkind: B\n"
    assert without(text, path="x", kind="B", name="") == "kind: A\ntext: |\n  ---\n  kind: B\n"


@pytest.mark.parametrize(
    "text",
    ["on", "no", "1:30", "=", "0755", "2024-01-01", "~", "1", "", "a\nb\n", "a\nb", " a\n b \n\n", "a\r\nb", "\ta\n"],
)
def test_texts_are_texts_to_readers_of_yaml_1_1_too(text: str) -> None:
    assert yaml.safe_load(dump({"data": [text], "more": text})) == {"data": [text], "more": text}


def test_several_lines_stand_as_a_block() -> None:
    assert dump({"run": "one\ntwo\n"}) == "run: |\n  one\n  two\n"
    assert plain({"run": ("x",)}) == {"run": ["x"]}
