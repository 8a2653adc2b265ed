"""Where in a repository an object stands; a file that is no manifest, or that nobody can read, is passed over."""

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_
from hypothesis import strategies as st

from fluxlab.clusters.objects import KubeObject
from fluxlab.documents import Json, JsonObject
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


SETTINGS = """\
# What the shop is painted with
kind: ConfigMap
metadata:
  name: settings
data:
  colour: red
  size: "1"
  region: ${REGION}
"""
APP = """\
kind: Deployment
metadata: {name: app, namespace: shop}
spec:
  replicas: 1
  template:
    spec:
      containers:
      - name: sidecar
        image: sidecar:1
      - name: app
        image: app:1
"""
OVERLAY = """\
resources: [../base, https://example.com/remote]
patches:
- path: replicas.yaml
- patch: |
    # as small as can be
    kind: ConfigMap
    metadata: {name: settings}
    data:
      size: "2"
"""
COLOUR, REPLICAS = ".data.colour", ".spec.replicas"
IMAGE = '.spec.template.spec.containers[name="app"].image'


def settings(**data: str) -> KubeObject:
    """What was built of them."""
    known = {"colour": "red", "size": "1", "region": "north"}
    metadata: JsonObject = {"name": "settings", "namespace": "shop"}
    return KubeObject({"kind": "ConfigMap", "metadata": metadata, "data": {**known, **data}})


def app(*, replicas: int = 1, image: str = "app:1") -> KubeObject:
    containers: Json = [{"name": "sidecar", "image": "sidecar:1"}, {"name": "app", "image": image}]
    spec: JsonObject = {"replicas": replicas, "template": {"spec": {"containers": containers}}}
    return KubeObject({"kind": "Deployment", "metadata": {"name": "app", "namespace": "shop"}, "spec": spec})


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """An overlay with a base beside it."""
    files = {
        "base/kustomization.yaml": "resources: [settings.yaml, app.yaml]\n",
        "base/settings.yaml": SETTINGS,
        "base/app.yaml": APP,
        "overlay/kustomization.yaml": OVERLAY,
        "overlay/replicas.yaml": "kind: Deployment\nmetadata: {name: app}\nspec:\n  replicas: 3\n",
        "overlay/unlisted.yaml": SETTINGS,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("subject", "field", "place"),
    [
        (settings(), "", "base/settings.yaml:2"),
        (settings(), COLOUR, "base/settings.yaml:6"),
        (settings(), ".data.region", "base/settings.yaml:8"),  # as a variable
        (settings(), ".data.more", "base/settings.yaml:5"),  # where it would stand
        (settings(colour="blue"), COLOUR, "base/settings.yaml:2"),  # something else says so
        (app(), REPLICAS, "base/app.yaml:4"),
        (app(), IMAGE, "base/app.yaml:11"),
        (app(image="app:2"), IMAGE, "base/app.yaml:1"),
    ],
)
def test_a_field_stands_where_the_file_says_of_it_what_was_built(
    tree: Path, subject: KubeObject, field: str, place: str
) -> None:
    assert Places(tree, "base").of(subject, field) == place


@pytest.mark.parametrize(
    ("subject", "field", "place"),
    [
        (settings(size="2"), "", "base/settings.yaml:2"),
        (settings(size="2"), COLOUR, "base/settings.yaml:6"),
        (settings(size="2"), ".data.size", "overlay/kustomization.yaml:9"),
        (app(replicas=3), REPLICAS, "overlay/replicas.yaml:4"),
        (app(replicas=3), IMAGE, "base/app.yaml:11"),
        (app(replicas=3), ".spec.paused", "base/app.yaml:1"),  # base or patch: nobody knows
    ],
)
def test_bases_beside_a_folder_and_patches_in_it_count(tree: Path, subject: KubeObject, field: str, place: str) -> None:
    assert Places(tree, "overlay").of(subject, field) == place


def test_a_secrets_values_are_known_nowhere_and_its_keys_are(tmp_path: Path) -> None:
    text = "kind: Secret\nmetadata: {name: key}\ndata:\n  token: c2VjcmV0\n"
    (tmp_path / "key.yaml").write_text(text)
    metadata: JsonObject = {"name": "key", "namespace": "shop"}
    digest = KubeObject({"kind": "Secret", "metadata": metadata, "data": {"token": "hash 4711"}})
    assert Places(tmp_path, "").of(digest, ".data.token") == "key.yaml:4"


def test_nothing_outside_the_repository_is_read_and_no_base_twice(tmp_path: Path) -> None:
    (tmp_path / "outside.yaml").write_text(SETTINGS)
    inside = tmp_path / "tree"
    (inside / "apps").mkdir(parents=True)
    listed = "resources: [../../outside.yaml, /etc/passwd, ../apps, settings.yaml, missing.yaml]\n"
    (inside / "apps" / "kustomization.yaml").write_text(listed)
    assert Places(inside, "apps").of(settings()) == ""
    (inside / "apps" / "settings.yaml").write_text(SETTINGS)
    assert Places(inside, "apps").of(settings()) == "apps/settings.yaml:2"
    assert Places(inside, "nowhere").of(settings()) == ""


@pytest.mark.parametrize("name", ["\0", "a" * 5000, "circle", ""])
def test_a_name_that_no_file_can_have_is_passed_over(tmp_path: Path, name: str) -> None:
    (tmp_path / "circle").symlink_to("circle")
    overlay = {"resources": [name, "settings.yaml"], "patches": [{"path": name}]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(settings().raw))
    assert Places(tmp_path, "").of(settings()) == "settings.yaml:1"


@given(
    st.recursive(
        st.one_of(st.none(), st.integers(), st.text(max_size=5)),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
        max_leaves=8,
    ),
)
@settings_(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_an_overlay_holds_is_passed_over(tmp_path: Path, content: Json) -> None:
    overlay = {"resources": content, "patches": [content], "patchesStrategicMerge": content}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    assert Places(tmp_path, "").of(settings()) == ""
