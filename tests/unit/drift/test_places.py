"""Where in a repository an object stands; a file that is no manifest, or that nobody can read, is passed over."""

from pathlib import Path

from fluxlab.clusters.objects import KubeObject
from fluxlab.drift.places import Places

CART = KubeObject({"kind": "ConfigMap", "metadata": {"name": "cart", "namespace": "shop"}})
TEXT = "# first\n---\nkind: Service\nmetadata: {name: cart}\n---\nkind: ConfigMap\nmetadata: {name: cart}\n"


def test_the_place_is_the_file_and_the_line_at_which_a_manifest_begins(tmp_path: Path) -> None:
    (tmp_path / "apps").mkdir()
    (tmp_path / "apps" / "all.yaml").write_text(TEXT)
    assert Places(tmp_path, "apps").of(CART) == "apps/all.yaml:6"


def test_what_stands_in_two_places_is_in_none(tmp_path: Path) -> None:
    for name in ("base.yaml", "overlay.yaml"):
        (tmp_path / name).write_text(TEXT)
    assert Places(tmp_path, "").of(CART) == ""


def test_of_two_namespaces_the_right_one_counts(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("kind: ConfigMap\nmetadata: {name: cart, namespace: other}\n")
    (tmp_path / "b.yaml").write_text("kind: ConfigMap\nmetadata: {name: cart, namespace: shop}\n")
    assert Places(tmp_path, "").of(CART) == "b.yaml:1"


def test_rubbish_beside_it_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(TEXT)
    (tmp_path / "deep.yaml").write_text("[" * 100_000)  # the C loader would end the process
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "open.yaml").write_text("a: [")
    assert Places(tmp_path, "").of(CART) == "all.yaml:6"
