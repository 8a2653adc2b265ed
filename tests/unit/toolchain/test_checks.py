import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.toolchain.conftest import Bench

from fluxlab.toolchain.checks import check_build, check_runs
from fluxlab.toolchain.components import Component
from fluxlab.toolchain.entries import Entry
from fluxlab.toolchain.errors import ToolchainError
from fluxlab.toolchain.golang import Go
from fluxlab.toolchain.platforms import Platform


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def alpha(bench: Bench) -> Component:
    return bench.components[0]


@pytest.mark.parametrize("stream", ["1", "2"])
def test_the_version_may_be_told_on_either_stream(bench: Bench, tmp_path: Path, stream: str) -> None:
    script(tmp_path / "alpha", f'test "$1" = --version && echo alpha v1.2.3 >&{stream}')
    check_runs(tmp_path, alpha(bench), home=tmp_path)


def test_another_version_is_an_error_that_quotes_it(bench: Bench, tmp_path: Path) -> None:
    script(tmp_path / "alpha", "echo alpha v1.2.4")
    with pytest.raises(ToolchainError, match="alpha does not tell the wanted version") as caught:
        check_runs(tmp_path, alpha(bench), home=tmp_path)
    assert caught.value.facts == ("wanted: 1.2.3", "alpha v1.2.4")


def test_a_program_that_fails_is_an_error_that_quotes_it(bench: Bench, tmp_path: Path) -> None:
    script(tmp_path / "alpha", "echo broken >&2; exit 1")
    with pytest.raises(ToolchainError, match="alpha does not run here") as caught:
        check_runs(tmp_path, alpha(bench), home=tmp_path)
    assert "broken" in caught.value.facts[0]
    assert "noexec" in caught.value.hint


def test_a_program_of_another_platform_is_an_error_not_a_crash(bench: Bench, tmp_path: Path) -> None:
    program = tmp_path / "alpha"
    program.write_bytes(b"\x7fELF\x02\x01\x01" + b"\0" * 100)
    program.chmod(0o755)
    with pytest.raises(ToolchainError, match="alpha does not run here"):
        check_runs(tmp_path, alpha(bench), home=tmp_path)


def test_the_configuration_of_the_user_has_no_say(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/the/users")
    script(tmp_path / "alpha", f'test "$HOME:$KUBECONFIG" = "{tmp_path}:/dev/null" && echo 1.2.3')
    check_runs(tmp_path, alpha(bench), home=tmp_path)


def build_information(**changes: str) -> str:
    settings = {"GOOS": "linux", "GOARCH": "amd64", "CGO_ENABLED": "0"}
    module = {"Path": "example.test/alpha", "Version": "v1.2.3"}
    settings |= {name: value for name, value in changes.items() if name in settings}
    module |= {name: value for name, value in changes.items() if name in module}
    pairs = [{"Key": name, "Value": value} for name, value in settings.items()]
    package = changes.get("package", "example.test/alpha/cmd")
    return json.dumps({"Path": package, "Main": module, "Settings": pairs})


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, None),
        ({"Version": "v1.2.4"}, "module: example.test/alpha v1.2.4 instead of example.test/alpha v1.2.3"),
        ({"Path": "example.test/fork"}, "module: example.test/fork v1.2.3 instead of example.test/alpha v1.2.3"),
        ({"package": "example.test/x"}, "package: example.test/x instead of example.test/alpha/cmd"),
        ({"GOARCH": "arm64"}, "platform: linux/arm64 instead of linux/amd64"),
        ({"CGO_ENABLED": "1"}, "CGO_ENABLED: 1 instead of 0"),
    ],
)
def test_the_build_information_must_be_what_was_asked_for(
    bench: Bench, tmp_path: Path, changes: dict[str, str], fault: str | None
) -> None:
    go = Go(
        program=script(tmp_path / "go", f"cat <<'E'\n{build_information(**changes)}\nE"),
        version="go1.26.8",
        build_cache=tmp_path,
    )
    entry = Entry(component=alpha(bench), platform=Platform(system="linux", architecture="amd64"), key="0")
    if fault is None:
        check_build(go, tmp_path / "alpha", entry)
        return
    with pytest.raises(ToolchainError, match="what was built is not what was asked for") as caught:
        check_build(go, tmp_path / "alpha", entry)
    assert caught.value.facts == (fault,)


@pytest.mark.parametrize("version", ["v1.2.3", "v1.2.4"])
def test_a_program_of_fluxlabs_own_must_be_linked_with_the_pinned_module(
    bench: Bench, tmp_path: Path, version: str
) -> None:
    stated = json.loads(build_information(Path="fluxlab.local/alpha", Version="(devel)"))
    stated["Deps"] = [{"Path": "example.test/alpha", "Version": version}]
    go = Go(
        program=script(tmp_path / "go", f"cat <<'E'\n{json.dumps(stated)}\nE"),
        version="go1.26.8",
        build_cache=tmp_path,
    )
    component = alpha(bench)
    (component.folder / "main.go").write_text("package main\n")
    entry = Entry(component=component, platform=Platform(system="linux", architecture="amd64"), key="0")
    if version == "v1.2.3":
        check_build(go, tmp_path / "alpha", entry)
    else:
        with pytest.raises(ToolchainError, match="not what was asked for"):
            check_build(go, tmp_path / "alpha", entry)


def test_a_program_with_several_names_must_run_under_each(bench: Bench, tmp_path: Path) -> None:
    both = replace(alpha(bench), names=("alpha", "omega"))
    script(tmp_path / "alpha", "echo 1.2.3")
    script(tmp_path / "omega", "echo 1.2.3")
    check_runs(tmp_path, both, home=tmp_path)
    script(tmp_path / "omega", "exit 1")
    with pytest.raises(ToolchainError, match="omega does not run here"):
        check_runs(tmp_path, both, home=tmp_path)
