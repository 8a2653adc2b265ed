import re
from pathlib import Path

import pytest

from fluxlab.toolchain.components import (
    COMPONENTS,
    CONTROL_PLANE,
    CONTROLLERS,
    KIND_COMPONENTS,
    STANDARD_LIBRARY,
    Component,
)
from fluxlab.toolchain.errors import ToolchainError

BY_NAME = {component.name: component for component in COMPONENTS}


def test_the_set_is_what_a_lab_runs() -> None:
    assert set(BY_NAME) == {
        *("etcd", "etcdutl", "kubernetes", "kubectl", "kwok"),
        *("source-controller", "kustomize-controller", "helm-controller", "notification-controller"),
        *("flux", "helm", "registry", "toxiproxy"),
    }


def test_kind_is_a_set_of_its_own() -> None:
    assert {component.name for component in KIND_COMPONENTS} == {"kind"}
    assert not {component.name for component in KIND_COMPONENTS} & set(BY_NAME)


def test_every_component_has_a_version_and_a_folder_with_checksums() -> None:
    for component in (*COMPONENTS, *KIND_COMPONENTS):
        assert re.fullmatch(r"\d+\.\d+\.\d+", component.version), component.name
        assert (component.folder / "go.sum").stat().st_size > 0


@pytest.mark.parametrize("name", CONTROLLERS)
def test_the_controllers_are_those_that_this_flux_was_made_for(name: str) -> None:
    # flux2's own go.mod requires each controller's API at the version that it installs.
    required = re.search(rf"github\.com/fluxcd/{name}/api v(\S+)", (BY_NAME["flux"].folder / "go.mod").read_text())
    assert required
    assert BY_NAME[name].version == required[1]


def test_the_programs_of_kubernetes_are_of_one_version_and_say_so() -> None:
    programs = [component for component in COMPONENTS if component.module == "k8s.io/kubernetes"]
    assert [component.programs for component in programs] == [CONTROL_PLANE, ("kubectl",)]
    assert len({component.version for component in programs}) == 1
    for component in programs:
        staged = re.findall(r"=> k8s\.io/\S+ v0\.(\S+)", (component.folder / "go.mod").read_text())
        assert set(staged) == {component.version.removeprefix("1.")}, component.name
        settings = [component.expand(variable) for variable in component.variables]
        assert f"k8s.io/component-base/version.gitVersion=v{component.version}" in settings
        assert f"k8s.io/component-base/version.gitMinor={component.version.split('.')[1]}" in settings


def test_the_version_is_that_of_the_required_module_and_of_no_other(tmp_path: Path) -> None:
    folder = tmp_path / "alpha"
    folder.mkdir()
    (folder / "go.mod").write_text(
        "module x\n\ngo 1.26.0\n\nrequire (\n\texample.test/alpha/api v9.9.9\n"
        "\tother.example.test/alpha v8.8.8\n\texample.test/alpha v1.2.3 // indirect\n)\n"
        "replace example.test/alpha v7.7.7 => ./x\n"
    )
    component = Component(name="alpha", package="p", module="example.test/alpha", sources=folder.parent)
    assert component.version == "1.2.3"
    assert component.go_version == "1.26.0"


def test_a_module_that_is_not_required_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "alpha"
    folder.mkdir()
    (folder / "go.mod").write_text("module x\n")
    component = Component(name="alpha", package="p", module="example.test/alpha", sources=folder.parent)
    with pytest.raises(ToolchainError, match=r"go\.mod: requires no example\.test/alpha"):
        _ = component.version
    with pytest.raises(ToolchainError, match="no `go` line"):
        _ = component.go_version


def test_the_version_of_an_own_program_without_modules_is_that_of_the_language(tmp_path: Path) -> None:
    folder = tmp_path / "alpha"
    folder.mkdir()
    (folder / "go.mod").write_text("module x\n\ngo 1.26.0\n")
    (folder / "main.go").write_text("package main\n")
    component = Component(name="alpha", package="net/http", module=STANDARD_LIBRARY, sources=folder.parent)
    assert component.version == "1.26.0"
    assert component.target == "."
