import shutil
import subprocess
from pathlib import Path

import pytest
from tests.unit.toolchain.conftest import Bench

from fluxlab.errors import UsageError
from fluxlab.toolchain import ToolchainError, find, status
from fluxlab.toolchain.bundling import bundle
from fluxlab.toolchain.components import KIND_COMPONENTS
from fluxlab.toolchain.entries import set_key


def test_what_is_installed_is_found_without_starting_a_process(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.install()
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a process was started"))
    found = find(components=bench.components)
    assert found.binary("alpha") == bench.path("alpha")
    assert dict(found.versions) == {"alpha": "1.2.3", "beta": "0.9.0-rc.1"}
    assert found.key == set_key(bench.entries)


def test_nothing_there_names_all_that_is_missing_and_both_ways_to_get_it(bench: Bench) -> None:
    with pytest.raises(ToolchainError) as caught:
        find(components=bench.components)
    assert caught.value.what == "the toolchain is not installed"
    assert caught.value.facts == (f"missing in {bench.store.root}: alpha 1.2.3, beta 0.9.0-rc.1",)
    assert "fluxlab toolchain build" in caught.value.hint
    assert "fluxlab toolchain install FILE" in caught.value.hint
    assert caught.value.exit_code != 0


def test_kind_alone_missing_is_told_with_its_own_way_to_get_it(bench: Bench) -> None:
    with pytest.raises(ToolchainError, match="kind is not installed") as caught:
        find(components=KIND_COMPONENTS)
    assert "fluxlab toolchain build --with kind" in caught.value.hint
    with pytest.raises(ToolchainError, match="the toolchain is not installed"):
        find(components=(*bench.components, *KIND_COMPONENTS))


def test_damage_names_the_component_the_place_and_the_repair(bench: Bench) -> None:
    bench.install("alpha")
    bench.path("alpha").write_text("x")
    with pytest.raises(ToolchainError) as caught:
        find(components=bench.components)
    assert caught.value.what == "the toolchain is damaged"
    assert str(bench.path("alpha").parent) in caught.value.facts[0]
    assert "bytes instead of" in caught.value.facts[0]
    assert caught.value.hint == "`fluxlab toolchain build` repairs it"


def test_a_named_folder_comes_before_the_cache(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.install()
    shutil.copytree(bench.store.root, tmp_path / "named")
    monkeypatch.setenv("FLUXLAB_TOOLCHAIN", str(tmp_path / "named"))
    assert find(components=bench.components).binary("alpha").is_relative_to(tmp_path / "named")


def test_an_incomplete_named_folder_is_an_error_even_if_the_cache_is_complete(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.install()
    monkeypatch.setenv("FLUXLAB_TOOLCHAIN", str(tmp_path / "empty"))
    with pytest.raises(ToolchainError, match="not installed") as caught:
        find(components=bench.components)
    assert f"FLUXLAB_TOOLCHAIN is set to {tmp_path / 'empty'}" in caught.value.hint


def test_a_named_bundle_is_installed_when_the_cache_lacks_something(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.install()
    written = bundle(tmp_path / "bundle.tar.zst", components=bench.components)
    shutil.rmtree(bench.store.root)
    monkeypatch.setenv("FLUXLAB_TOOLCHAIN_BUNDLE", str(written.path))
    assert find(components=bench.components).binary("beta").exists()
    written.path.unlink()
    assert find(components=bench.components).binary("beta").exists(), "the second time the cache has it"


def test_a_named_bundle_that_is_not_there_is_named_in_the_error(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLUXLAB_TOOLCHAIN_BUNDLE", str(tmp_path / "nowhere"))
    with pytest.raises(ToolchainError, match="nowhere cannot be read: No such file or directory"):
        find(components=bench.components)


def test_a_program_is_found_under_each_of_its_names(named: Bench) -> None:
    named.install()
    toolchain = find(components=named.components)
    folder = named.store.folder(named.entry("alpha"))
    assert [toolchain.binary(name) for name in ("first", "second")] == [folder / "first", folder / "second"]
    assert toolchain.search_path == f"{folder}:{named.path('beta').parent}"
    with pytest.raises(UsageError, match="there are: first, second, beta"):
        toolchain.binary("alpha")
    assert [one.programs for one in status(components=named.components)] == [("first", "second"), ("beta",)]


def test_an_unknown_program_is_a_wrong_question(bench: Bench) -> None:
    bench.install()
    with pytest.raises(UsageError, match="no program is named 'gamma'"):
        find(components=bench.components).binary("gamma")


def test_all_programs_are_reached_through_the_search_path(bench: Bench) -> None:
    bench.install()
    path = find(components=bench.components).search_path
    assert shutil.which("beta", path=path) == str(bench.path("beta"))
    assert shutil.which("alpha", path=path) == str(bench.path("alpha"))


def test_status_tells_the_state_of_each_component(bench: Bench) -> None:
    bench.install("alpha")
    alpha, beta = status(components=bench.components)
    assert (alpha.name, alpha.version, alpha.state, alpha.path) == ("alpha", "1.2.3", "installed", bench.path("alpha"))
    assert alpha.size == sum((alpha.path.parent / name).stat().st_size for name in ("alpha", "licences.json"))
    assert alpha.go == "go1.26.8"
    assert (beta.state, beta.size, beta.built_at) == ("missing", None, None)


def test_status_tells_why_something_is_damaged(bench: Bench) -> None:
    bench.install()
    bench.path("alpha").chmod(0o600)
    alpha, beta = status(components=bench.components)
    assert (alpha.state, alpha.reason) == ("damaged", "alpha is not executable")
    assert beta.state == "installed"


def test_for_kind_which_no_bundle_holds_none_is_opened(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.install()
    written = bundle(tmp_path / "bundle.tar.zst", components=bench.components)
    monkeypatch.setenv("FLUXLAB_TOOLCHAIN_BUNDLE", str(written.path))
    with pytest.raises(ToolchainError, match="kind is not installed") as caught:
        find(components=KIND_COMPONENTS)
    assert "fluxlab toolchain build --with kind" in caught.value.hint
