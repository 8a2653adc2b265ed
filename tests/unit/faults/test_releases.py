"""In which file a release's manifest is."""

from pathlib import Path

import pytest

from fluxlab.faults.releases import _says

RELEASE = "kind: HelmRelease\nmetadata: {name: cart, namespace: shop}\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (RELEASE, True),
        (f"kind: Namespace\nmetadata: {{name: cart}}\n---\n{RELEASE}", True),
        ("kind: HelmRelease\nmetadata: {name: cart}\n", True),  # its Kustomization may name the namespace
        ("kind: HelmRelease\nmetadata: {name: cart, namespace: other}\n", False),
        ("kind: HelmRelease\nmetadata: {name: basket, namespace: shop}\n", False),
        ("kind: Kustomization\nmetadata: {name: cart, namespace: shop}\n", False),
        ("data: {{ .Values.greeting }}\nkind: {{", False),
        ("", False),
        ("- a list\n", False),
    ],
)
def test_a_manifest_is_known_by_kind_name_and_namespace(tmp_path: Path, text: str, *, says: bool) -> None:
    file = tmp_path / "one.yaml"
    file.write_text(text)
    assert _says(file, "shop/cart") is says
