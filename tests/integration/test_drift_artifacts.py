"""Where rules leave files of a commit out: source-controller's artifact says which, and drift is of what is in it."""

import io
import tarfile
import urllib.request
from collections.abc import Collection
from pathlib import Path

import pytest
from tests.integration.drift_objects import ROOT, config_map, kustomization, namespace, patch
from tests.unit.drift.test_artifacts import FILES, RULES

from fluxlab.documents import JsonObject
from fluxlab.drift.artifacts import keep_artifact
from fluxlab.lab import Lab

pytestmark = pytest.mark.integration

NARROW = "/*\n!/narrow\nold.yaml\n"
NO_RULES = ("a.png", "docs/b.zip", ".github/c.yaml", "apps/.sops.yaml", "apps/d.yaml", ".gitignore", "e/.gitattributes")


def in_artifact(lab: Lab, name: str) -> set[str]:
    """The files that source-controller serves of a GitRepository."""
    words = ("get", "gitrepositories.source.toolkit.fluxcd.io", name, "-n", "flux-system")
    url = lab.cluster.kubectl(*words, "-o=jsonpath={.status.artifact.url}")
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 # the lab's own, on loopback
        packed = answer.read()
    with tarfile.open(fileobj=io.BytesIO(packed)) as files:
        return {one.name for one in files if one.isfile()}


def foretold(lab: Lab, folder: Path, *, ignore: str = "") -> set[str]:
    """The files that an artifact of the newest commit should have."""
    tree = lab.repository.clone(folder)
    keep_artifact(tree, ignore=ignore)
    return {str(one.relative_to(tree)) for one in tree.rglob("*") if one.is_file() and ".git" not in one.parts}


@pytest.fixture(scope="module")
def lab(module_lab: Lab) -> Lab:
    """A lab whose repository has files that no artifact has, and no rules."""
    repository = module_lab.repository
    for name in NO_RULES:
        repository.write(name, config_map("apart"))
    repository.write(ROOT, namespace("shop"))
    module_lab.converge(repository.commit("Open the shop"))
    return module_lab


def test_without_rules_an_artifact_has_what_is_foretold(lab: Lab, tmp_path: Path) -> None:
    found = in_artifact(lab, "flux-system")
    assert found & set(NO_RULES) == {"apps/d.yaml"}
    assert found == foretold(lab, tmp_path / "clone")


def test_with_rules_an_artifact_has_what_is_foretold(lab: Lab, tmp_path: Path) -> None:
    expected: set[str] = set()
    for number, (rule, left_out) in enumerate(RULES):
        folder = f"rule-{number}"
        lab.repository.write(f"{folder}/.sourceignore", f"{rule}\n")
        for name in FILES:
            lab.repository.write(f"{folder}/{name}", config_map("apart"))
        expected |= {f"{folder}/{name}" for name in FILES - set(left_out)}
    lab.converge(lab.repository.commit("Rules of all sorts"))
    found = in_artifact(lab, "flux-system")
    assert {one for one in found if one.startswith("rule-") and not one.endswith(".sourceignore")} == expected
    assert found == foretold(lab, tmp_path / "clone")


def names(lab: Lab) -> Collection[str]:
    report = lab.drift()
    assert report.unknown == ()
    return {one.object.name for one in report.drifts}


def test_drift_is_of_what_the_rules_leave(lab: Lab, tmp_path: Path) -> None:
    spec = lab.cluster.get("GitRepository", "flux-system/flux-system").raw["spec"]
    assert isinstance(spec, dict)
    metadata: JsonObject = {"name": "narrow", "namespace": "flux-system"}
    narrow: JsonObject = {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "GitRepository",
        "metadata": metadata,
        "spec": {**spec, "ignore": NARROW},
    }
    source: JsonObject = {"kind": "GitRepository", "name": "narrow"}
    lab.repository.write("narrow/apps/new.yaml", config_map("new"))
    lab.repository.write("narrow/apps/old.yaml", config_map("old"))
    lab.repository.write("wide/.sourceignore", "apps/old.yaml\n")
    lab.repository.write("wide/apps/new.yaml", config_map("wide-new"))
    lab.repository.write("wide/apps/old.yaml", config_map("wide-old"))
    both = [kustomization("narrow", path="./narrow/apps", sourceRef=source), kustomization("wide", path="./wide/apps")]
    lab.repository.write(ROOT, [namespace("shop"), narrow, *both])
    lab.converge(lab.repository.commit("Leave the old ones out"))
    assert in_artifact(lab, "narrow") == foretold(lab, tmp_path / "clone", ignore=NARROW) == {"narrow/apps/new.yaml"}
    shown = lab.cluster.kubectl("get", "configmaps", "-n", "shop", "-o", "name")
    assert {"configmap/new", "configmap/wide-new"} == {one for one in shown.split() if "kube-root" not in one}

    assert names(lab) == set()
    for name in ("new", "wide-new"):
        lab.cluster.kubectl(*patch(name, {"data": {"colour": "blue"}}))
    assert names(lab) == {"new", "wide-new"}
    adoption = lab.adopt(lab.drift())
    assert {one.object.name for one in adoption.adopted} == {"new", "wide-new"}
