"""What git says of all that a Kustomization builds, also where its overlays build on other folders."""

from collections.abc import Callable, Mapping

import pytest

from fluxlab.clusters.objects import KubeObject
from fluxlab.flux.overlays import built_from, with_bases

Build = Callable[..., KubeObject]


def read(files: Mapping[str, str], *folders: str) -> str:
    return with_bases(folders, lambda path: files.get(path, ""))


def test_an_overlay_wants_what_its_bases_want() -> None:
    files = {
        "environments/staging/agent": "resources:\n- ../../base/agent\n- ../agent\n- ../../../../outside\n---\nA: 1",
        "environments/base/agent": "resources:\n- release.yaml\n- ../common\n---\nB: 1",
        "environments/base/common": "kind: Component\napiVersion: kustomize.config.k8s.io/v1alpha1\n"
        "resources:\n- ../agent\n---\nC: 1",
    }
    said = read(files, "./environments/staging/agent")
    assert [line for line in said.splitlines() if line.endswith(": 1")] == ["A: 1", "B: 1", "C: 1"]


@pytest.mark.parametrize(
    "kustomization",
    [
        "resources: [../base]",
        'resources:\n- "../base"',
        "resources:\n- ./../base/ # shared",
        "components:\n- ../base",
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\npatches:\n- path: ../base",
        '{"resources": ["../base"]}',
        "kind: Kustomization\nresources: [../base]",
        "configMapGenerator:\n- name: x\n  files: [../base]",
        "resources: [app.yaml]\nconfigMapGenerator:\n- files:\n  - settings.yaml=../base",
    ],
)
def test_what_a_folder_builds_on_is_seen_however_it_is_written(kustomization: str) -> None:
    files = {"apps/staging": f"kind: ConfigMap\n---\n{kustomization}\n---\nA: 1", "apps/base": "B: 1"}
    assert "B: 1" in read(files, "apps/staging")


def test_folders_in_a_folder_build_on_others_from_where_they_are() -> None:
    """What a folder says does not tell which of its files says it."""
    files = {"apps/staging": "---\nresources: [../../base/shop]\n", "apps/base/shop": "B: 1"}
    assert "B: 1" in read(files, "apps/staging")


@pytest.mark.parametrize(
    "other",
    ["resources: [../base", "kind: ConfigMap\ndata: {resources: ../base}", "- ../base", "see ../base", "path: ../base"],
)
def test_what_is_no_kustomization_file_builds_on_nothing(other: str) -> None:
    assert "B: 1" not in read({"apps/staging": other, "apps/base": "B: 1"}, "apps/staging")


def test_files_that_nobody_writes_are_passed_over() -> None:
    deep = "resources: " + "[" * 100_000 + '"../base"'
    assert "B: 1" not in read({"apps/staging": deep, "apps/base": "B: 1"}, "apps/staging")


def test_components_of_a_kustomization_are_in_what_it_is_built_from(build: Build) -> None:
    spec = {"path": "./apps/staging", "components": ["../with-debug"]}
    files = {
        "apps/staging": "A: 1",
        "apps/with-debug": "kind: Component\napiVersion: kustomize.config.k8s.io/v1alpha1\nresources: [../common]\n",
        "apps/common": "C: 1",
    }
    said = built_from(build("Kustomization", "apps", spec=spec), lambda path: files.get(path, ""))
    assert [line for line in said.splitlines() if line.endswith(": 1")] == ["A: 1", "C: 1"]


@pytest.mark.parametrize("odd", ["a: &a [*a]", 'v: !!bool "{{ .x }}"', "v: !!timestamp foo", 'v: !!int ""'])
def test_odd_files_keep_nobody_from_reading_the_others(odd: str) -> None:
    files = {"apps/staging": f"{odd}\nresources: [x]\n---\nresources: [../base]", "apps/base": "B: 1"}
    assert "B: 1" in read(files, "apps/staging")
