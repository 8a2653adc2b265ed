"""A commit that should not have been is taken back, by fluxlab or by a person."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from fluxlab import manifests
from fluxlab.cluster import Cluster
from fluxlab.clusters.objects import KubeObject
from fluxlab.documents import Json, JsonObject
from fluxlab.faults.base import Ground, Injection, NoParameters
from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.faults.layers.manifests.commits import KustomizationFault
from fluxlab.faults.means.deliveries import (
    Change,
    Manifests,
    deliver,
    delivered,
    revert_by_hand,
    take_back,
    taken_back,
    touched_above,
)
from fluxlab.repository import Repository
from fluxlab.spec import RepositorySpec
from fluxlab.state import LabFolder

FILE, TITLE = "apps/cart.yaml", "Update the image"
BEGIN = "image: one\n" + "b: 1\n" * 9
FAULTY = f"{BEGIN}a: 1\n".replace("one", "missing")


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    done = subprocess.run(["git", *identity, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def person(tmp_path: Path) -> Path:
    """A clone of the lab's repository, whose branch has one file."""
    bare, clone = tmp_path / "labs/one/git/fleet.git", tmp_path / "clone"
    bare.mkdir(parents=True)
    git(bare, "init", "--quiet", "--bare", "--initial-branch=main")
    (bare.parent / "fleet.token").write_text("t0ken")
    git(tmp_path, "clone", "--quiet", str(bare), str(clone))
    push(clone, f"{BEGIN}a: 1\n")
    return clone


def push(clone: Path, text: str, *, file: str = FILE) -> str:
    """A person writes the file; returns the commit."""
    (clone / file).parent.mkdir(parents=True, exist_ok=True)
    (clone / file).write_text(text)
    return push_all(clone)


def push_all(clone: Path) -> str:
    """A person commits what they have done in their clone; returns the commit."""
    git(clone, "add", ".")
    git(clone, "commit", "--quiet", "--message=Say something else")
    git(clone, "push", "--quiet", "origin", "HEAD:main")
    return git(clone, "rev-parse", "HEAD")


@pytest.fixture
def ground(person: Path, tmp_path: Path) -> Ground:
    del person
    folder = LabFolder(tmp_path / "labs" / "one")
    spec = RepositorySpec(url="https://git.example.com/fleet.git", branch="main")
    bare = str(folder.repositories / f"{spec.name}.git")
    repository = Repository(folder=folder, spec=spec, clone_url=lambda: bare)
    unused: Any = None
    return Ground(
        cluster=cast("Cluster", SimpleNamespace(name="c")),
        folder=folder,
        control=unused,
        open_repository=lambda: repository,
        links=False,
    )


def delivering(ground: Ground, change: Change) -> Injection[NoParameters]:
    """A fault whose commit has been pushed."""
    undo = {"head": ground.repository.head()}
    made = Injection(id="manifest-bad-image-1", target="shop", parameters=NoParameters(), undo=undo)
    deliver(ground, made, TITLE, change)
    return made


@pytest.fixture
def injection(ground: Ground) -> Injection[NoParameters]:
    """A fault whose commit has been pushed."""
    return delivering(ground, lambda repository: repository.write(FILE, FAULTY))


def commits(ground: Ground, injection: Injection[NoParameters]) -> Sequence[str]:
    return ground.repository.saying("", after=injection.text("head"))


def test_whatever_is_prepared_is_known_by_its_fault_should_nobody_be_left_to_remove_it(ground: Ground) -> None:
    seen: list[str] = []

    def change(repository: Repository) -> None:
        repository.write(FILE, FAULTY)
        seen.extend(one.name for one in ground.folder.scratch.iterdir())

    injection = delivering(ground, change)
    assert [name.partition(".")[0] for name in seen] == [injection.id]
    assert not [*ground.folder.scratch.iterdir()]


# -- what is in git --------------------------------------------------------------------------------------------------

APPLIED = KubeObject(
    {
        "kind": "Kustomization",
        "metadata": {"name": "shop", "namespace": "flux-system"},
        "spec": {"path": "./apps/shop"},
        "status": {"inventory": {"entries": [{"id": "shop_cart_apps_Deployment", "v": "v1"}]}},
    }
)


def deployment(**spec: Json) -> JsonObject:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "cart"}, "spec": spec}


WHOLE = deployment(template={"spec": {"containers": [{"name": "cart", "image": "cart:1"}]}})
PATCH = deployment(replicas=3)


@pytest.mark.parametrize(
    ("file", "overlay"),
    [
        ("kustomization.yaml", {"patches": [{"path": "deployment-patch.yaml"}]}),
        ("kustomization.yml", {"patches": [{"path": "./deployment-patch.yaml", "target": {"kind": "Deployment"}}]}),
        ("Kustomization", {"patchesStrategicMerge": ["deployment-patch.yaml"]}),
        ("overlay/kustomization.yaml", {"patches": [{"path": "../deployment-patch.yaml"}]}),
    ],
)
def test_what_a_manifest_is_patched_with_is_no_manifest(
    ground: Ground, person: Path, file: str, overlay: JsonObject
) -> None:
    push(person, manifests.dump(PATCH), file="apps/shop/deployment-patch.yaml")
    push(person, manifests.dump(WHOLE), file="apps/shop/deployment.yaml")
    push(person, manifests.dump({"resources": ["deployment.yaml"], **overlay}), file=f"apps/shop/{file}")
    known = Manifests.at_head(ground)
    assert [one.file for one in known.of(APPLIED)] == ["apps/shop/deployment.yaml"]
    found = known.find(KubeObject({**WHOLE, "metadata": {"name": "cart", "namespace": "shop"}}))
    assert found
    assert found.file == "apps/shop/deployment.yaml"


def test_an_image_is_only_changed_where_one_is_named(ground: Ground, person: Path) -> None:
    fault = CATALOGUE["manifest-bad-image"]
    assert isinstance(fault, KustomizationFault)
    push(person, manifests.dump(PATCH), file="apps/shop/a.yaml")
    assert fault.chosen(APPLIED, Manifests.at_head(ground).of(APPLIED)) is None
    push(person, manifests.dump(WHOLE), file="apps/shop/b.yaml")
    chosen = fault.chosen(APPLIED, Manifests.at_head(ground).of(APPLIED))
    assert chosen
    assert chosen.file == "apps/shop/b.yaml"


def test_what_is_called_as_a_manifest_and_is_no_file_of_the_repository_is_none(
    ground: Ground, person: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.yaml"
    outside.write_text(manifests.dump(WHOLE))
    (person / "apps/shop").mkdir()
    for name, target in (("dangling", "nowhere"), ("round", "round.yaml"), ("outside", outside), ("folder", "of.yaml")):
        (person / f"apps/shop/{name}.yaml").symlink_to(target)
    push(person, manifests.dump(WHOLE), file="apps/shop/of.yaml/cart.yaml")
    assert [one.file for one in Manifests.at_head(ground).of(APPLIED)] == ["apps/shop/of.yaml/cart.yaml"]


# -- what is taken back ----------------------------------------------------------------------------------------------


def test_what_was_delivered_is_taken_back_once(ground: Ground, injection: Injection[NoParameters]) -> None:
    assert delivered(ground, injection)
    assert not taken_back(ground, injection)
    for _ in range(2):
        take_back(ground, injection, TITLE)
        assert taken_back(ground, injection) == ground.repository.head()
    assert len(commits(ground, injection)) == 2
    assert ground.repository.read(FILE) == f"{BEGIN}a: 1\n"


@pytest.mark.parametrize("more", ["", f"{BEGIN}a: 2\n"])
def test_what_a_person_has_reverted_is_taken_back_by_a_commit_that_says_so(
    ground: Ground, injection: Injection[NoParameters], person: Path, more: str
) -> None:
    git(person, "pull", "--quiet")
    _, told = revert_by_hand(ground, injection)  # the first makes a clone
    known = {"GIT_EDITOR": "true", "GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": "user.name", "GIT_CONFIG_VALUE_0": "A"}
    known |= {"GIT_CONFIG_KEY_1": "user.email", "GIT_CONFIG_VALUE_1": "ada@example.org"}
    subprocess.run(told, shell=True, cwd=person, env={**os.environ, **known}, check=True)  # noqa: S602 # as a person types it
    if more:
        push(person, more)
    for _ in range(2):
        take_back(ground, injection, TITLE)
        assert taken_back(ground, injection) == ground.repository.head()
    assert len(commits(ground, injection)) == (4 if more else 3)
    assert ground.repository.read(FILE) == (more or f"{BEGIN}a: 1\n"), "what the person has written stays"


@pytest.mark.parametrize(
    ("mended", "healed"),
    [
        (FAULTY.replace("missing", "two"), FAULTY.replace("missing", "two")),
        (FAULTY.replace("missing", "two") + "c: 1\n", FAULTY.replace("missing", "two") + "c: 1\n"),
        (FAULTY.replace("missing\nb: 1", "missing\nb: 2", 1), FAULTY.replace("missing\nb: 1", "one\nb: 2", 1)),
        (FAULTY.replace("missing\n", "missing\nc: 1\n"), FAULTY.replace("missing\n", "one\nc: 1\n")),
    ],
    ids=["the same line", "the same line and another one", "the next line", "a line after it"],
)
def test_what_a_person_has_mended_in_their_own_way_stays(
    ground: Ground, injection: Injection[NoParameters], person: Path, mended: str, healed: str
) -> None:
    git(person, "pull", "--quiet")
    assert (person / FILE).read_text() == FAULTY
    push(person, mended)
    for _ in range(2):
        take_back(ground, injection, TITLE)
        assert taken_back(ground, injection) == ground.repository.head()
    assert ground.repository.read(FILE) == healed
    assert len(commits(ground, injection)) == 3
    assert revert_by_hand(ground, injection) == []


def test_a_file_that_a_person_has_removed_stays_away(
    ground: Ground, injection: Injection[NoParameters], person: Path
) -> None:
    git(person, "pull", "--quiet")
    (person / FILE).unlink()
    push_all(person)
    take_back(ground, injection, TITLE)
    assert taken_back(ground, injection)
    git(person, "pull", "--quiet")
    assert not (person / FILE).exists()


def test_a_folder_that_was_renamed_gets_its_name_back_with_what_a_person_has_put_into_it(
    ground: Ground, person: Path
) -> None:
    for number in range(3):
        push(person, f"a: {number}\n" * 5, file=f"apps/shop/{number}.yaml")
    injection = delivering(ground, lambda repository: repository.move("apps/shop", "apps/shop-renamed"))
    git(person, "pull", "--quiet")
    push(person, "a: new\n", file="apps/shop-renamed/new.yaml")
    take_back(ground, injection, TITLE)
    git(person, "pull", "--quiet")
    assert sorted(one.name for one in (person / "apps/shop").iterdir()) == ["0.yaml", "1.yaml", "2.yaml", "new.yaml"]
    assert not (person / "apps/shop-renamed").exists()


@pytest.mark.parametrize("mended", [True, False])
def test_a_folder_to_whose_new_name_a_person_has_led_flux_keeps_it(
    ground: Ground, person: Path, monkeypatch: pytest.MonkeyPatch, mended: bool
) -> None:
    fault, where = CATALOGUE["manifest-path-gone"], "clusters/shop.yaml"
    live = {**APPLIED.raw, "apiVersion": "kustomize.toolkit.fluxcd.io/v1"}
    monkeypatch.setattr(ground.cluster, "api", SimpleNamespace(find=lambda *_, **__: KubeObject(live)), raising=False)
    push(person, manifests.dump({key: live[key] for key in ("apiVersion", "kind", "metadata", "spec")}), file=where)
    push(person, manifests.dump(WHOLE), file="apps/shop/cart.yaml")
    undo = {"head": ground.repository.head(), "file": "apps/shop/cart.yaml"}
    injection = Injection(id="manifest-path-gone-1", target="flux-system/shop", parameters=NoParameters(), undo=undo)
    fault.inject(ground, injection)
    git(person, "pull", "--quiet")
    (renamed,) = (folder for folder in (person / "apps").iterdir() if folder.is_dir())
    if mended:
        push(person, (person / where).read_text().replace("apps/shop", f"apps/{renamed.name}"), file=where)
    for _ in range(2):
        fault.heal(ground, injection)
        assert taken_back(ground, injection) == ground.repository.head()
        git(person, "pull", "--quiet")
        said = yaml.safe_load((person / where).read_text())["spec"]["path"]
        assert (person / said / "cart.yaml").is_file()
        assert (said == "./apps/shop") is not mended


@pytest.mark.parametrize("path", ["./apps/${app}", "./apps/base"])
def test_a_folder_gets_its_name_back_although_git_names_it_otherwise_than_the_cluster(
    ground: Ground, person: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    fault = CATALOGUE["manifest-path-gone"]
    live = {**APPLIED.raw, "apiVersion": "kustomize.toolkit.fluxcd.io/v1"}
    monkeypatch.setattr(ground.cluster, "api", SimpleNamespace(find=lambda *_, **__: KubeObject(live)), raising=False)
    said = {**{key: live[key] for key in ("apiVersion", "kind", "metadata")}, "spec": {"path": path}}
    push(person, manifests.dump(said), file="clusters/shop.yaml")
    push(person, manifests.dump(WHOLE), file="apps/shop/cart.yaml")
    undo = {"head": ground.repository.head(), "file": "apps/shop/cart.yaml"}
    injection = Injection(id="manifest-path-gone-1", target="flux-system/shop", parameters=NoParameters(), undo=undo)
    fault.inject(ground, injection)
    fault.heal(ground, injection)
    git(person, "pull", "--quiet")
    assert (person / "apps/shop/cart.yaml").is_file()


def test_files_that_a_person_has_made_anew_stay_where_all_were_deleted(ground: Ground, person: Path) -> None:
    for name in ("a", "b"):
        push(person, f"name: {name}\n", file=f"apps/shop/{name}.yaml")
    injection = delivering(ground, lambda repository: repository.delete("apps/shop"))
    git(person, "pull", "--quiet")
    push(person, "name: another\n", file="apps/shop/a.yaml")
    take_back(ground, injection, TITLE)
    git(person, "pull", "--quiet")
    assert {one.name: one.read_text() for one in (person / "apps/shop").iterdir()} == {
        "a.yaml": "name: another\n",
        "b.yaml": "name: b\n",
    }


def test_what_applies_a_release_is_touched_with_it(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else another fault might suspend it, and no revert would be applied."""
    labels: dict[str, Json] = {f"kustomize.toolkit.fluxcd.io/{key}": value for key, value in APPLIED_BY.items()}
    known = {
        "HelmRelease": KubeObject({"kind": "HelmRelease", "metadata": {"name": "cart", "labels": labels}}),
        "Kustomization": KubeObject({"kind": "Kustomization", "metadata": {**APPLIED_BY}}),
    }
    api = SimpleNamespace(find=lambda resource, *_, **__: known[resource.kind])
    monkeypatch.setattr(ground.cluster, "api", api, raising=False)
    assert touched_above(ground, "flux-system/cart") == {"object:Kustomization flux-system/apps"}
    del labels["kustomize.toolkit.fluxcd.io/name"]
    known["Kustomization"] = cast("Any", None)
    assert touched_above(ground, "flux-system/cart") == frozenset()


APPLIED_BY: JsonObject = {"name": "apps", "namespace": "flux-system"}
