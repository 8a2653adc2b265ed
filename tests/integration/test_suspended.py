"""A commit for what is suspended ends the wait at once: kubectl says what is in the cluster, and what is not."""

from pathlib import Path

import pytest
from tests.integration.drift_objects import CHARTS, ROOT, SOURCE, chart, config_map, kustomization, namespace, release
from tests.integration.gitops import git

from fluxlab.documents import JsonObject
from fluxlab.flux.convergence import ConvergenceError
from fluxlab.lab import Lab

pytestmark = pytest.mark.integration

SUSPEND = {"spec": {"suspend": True}}
AWAKE = {"spec": {"suspend": None}}
MINUTES = 300.0
"""A wait that is as long as this has not ended at once: the test's own time is up before."""


@pytest.fixture(scope="module")
def lab(module_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab with a Kustomization and a release."""
    folder: Path = tmp_path_factory.mktemp("charts") / "everything"
    module_lab.add_chart(chart(folder), url=CHARTS)
    repository = module_lab.repository
    shop = [namespace("shop"), SOURCE, kustomization("apps"), release("box", [config_map("boxed")], mode="enabled")]
    repository.write(ROOT, shop)
    repository.write("apps/all.yaml", config_map("settings"))
    module_lab.converge(repository.commit("Open the shop"))
    return module_lab


def colour(lab: Lab, name: str) -> str:
    return lab.cluster.kubectl("get", "configmap", name, "-n", "shop", "-o", "jsonpath={.data.colour}")


def is_suspended(lab: Lab, kind: str, place: str) -> bool:
    space, _, name = place.partition("/")
    return lab.cluster.kubectl("get", kind, name, "-n", space, "-o", "jsonpath={.spec.suspend}") == "true"


def blue(name: str) -> JsonObject:
    return {**config_map(name), "data": {"colour": "blue", "size": "1"}}


def test_a_kustomization_that_is_suspended_by_the_commit(lab: Lab) -> None:
    repository, place = lab.repository, "flux-system/apps"
    repository.patch(ROOT, SUSPEND, kind="Kustomization", name="apps")
    lab.converge(repository.commit("Suspend the apps"), timeout_seconds=MINUTES)
    assert is_suspended(lab, "kustomization", place)

    repository.patch("apps/all.yaml", {"data": {"colour": "blue"}}, kind="ConfigMap", name="settings")
    with pytest.raises(ConvergenceError, match=rf"failed(?s:.*){place}: is suspended: .*\./apps .*does not arrive"):
        lab.converge(repository.commit("Paint what is suspended"), timeout_seconds=MINUTES)
    assert colour(lab, "settings") == "red"

    repository.patch(ROOT, AWAKE, kind="Kustomization", name="apps")
    lab.converge(repository.commit("Wake the apps"), timeout_seconds=MINUTES)
    assert colour(lab, "settings") == "blue"


@pytest.mark.verify
def test_of_two_commits_that_are_pushed_at_once_the_first_changes_what_is_suspended(lab: Lab, tmp_path: Path) -> None:
    repository, place, before = lab.repository, "flux-system/apps", colour(lab, "settings")
    after = "green" if before != "green" else "red"
    repository.patch(ROOT, SUSPEND, kind="Kustomization", name="apps")
    lab.converge(repository.commit("Suspend the apps again"), timeout_seconds=MINUTES)
    clone = repository.clone(tmp_path / "clone")
    settings = clone / "apps" / "all.yaml"
    settings.write_text(settings.read_text().replace(f"colour: {before}", f"colour: {after}"))
    git("commit", "-aqm", "Paint what is suspended", cwd=clone)
    git("commit", "-qm", "Say nothing of it", "--allow-empty", cwd=clone)
    git("push", "--quiet", cwd=clone)
    with pytest.raises(ConvergenceError, match=rf"failed(?s:.*){place}: is suspended: .*\./apps .*does not arrive"):
        lab.converge(git("rev-parse", "HEAD", cwd=clone), timeout_seconds=MINUTES)
    assert colour(lab, "settings") == before

    repository.patch(ROOT, AWAKE, kind="Kustomization", name="apps")
    lab.converge(repository.commit("Wake the apps again"), timeout_seconds=MINUTES)
    assert colour(lab, "settings") == after


def test_a_release_that_is_suspended_by_the_commit(lab: Lab) -> None:
    repository, place = lab.repository, "shop/box"
    repository.patch(ROOT, SUSPEND, kind="HelmRelease", name="box")
    lab.converge(repository.commit("Suspend the release"), timeout_seconds=MINUTES)
    assert is_suspended(lab, "helmrelease", place)

    painted: JsonObject = {"spec": {"values": {"objects": [blue("boxed")]}}}
    repository.patch(ROOT, painted, kind="HelmRelease", name="box")
    with pytest.raises(ConvergenceError, match=rf"failed(?s:.*){place}: is suspended: .*its spec does not arrive"):
        lab.converge(repository.commit("Paint what is suspended"), timeout_seconds=MINUTES)
    assert colour(lab, "boxed") == "red"

    repository.patch(ROOT, AWAKE, kind="HelmRelease", name="box")
    lab.converge(repository.commit("Wake the release"), timeout_seconds=MINUTES)
    assert colour(lab, "boxed") == "blue"


@pytest.mark.verify
def test_a_commit_while_report_only_holds_flux_back(lab: Lab) -> None:
    before = colour(lab, "settings")
    after = "green" if before != "green" else "red"
    with lab.report_only():
        lab.repository.patch("apps/all.yaml", {"data": {"colour": after}}, kind="ConfigMap", name="settings")
        commit = lab.repository.commit("Paint what is held back")
        with pytest.raises(
            ConvergenceError, match=r"failed(?s:.*)is held back by report-only: .*\(fluxlab report-only"
        ):
            lab.converge(commit, timeout_seconds=MINUTES)
        assert colour(lab, "settings") == before
    lab.converge(commit, timeout_seconds=MINUTES)
    assert colour(lab, "settings") == after
