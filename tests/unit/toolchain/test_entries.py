from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fluxlab.toolchain.components import COMPONENTS, Component
from fluxlab.toolchain.entries import Entry, entries, set_key
from fluxlab.toolchain.errors import ToolchainError
from fluxlab.toolchain.platforms import Platform

LINUX = Platform(system="linux", architecture="amd64")


def only(component: Component, *, platform: Platform = LINUX) -> Entry:
    return entries([component], platform=platform)[0]


def test_the_key_follows_what_decides_the_build(make_component: Callable[..., Component]) -> None:
    alpha = make_component("alpha")
    keys = {"as it is": only(alpha).key}
    keys["other processor"] = only(alpha, platform=Platform(system="linux", architecture="arm64")).key
    keys["other system"] = only(alpha, platform=Platform(system="darwin", architecture="amd64")).key
    keys["linker"] = only(replace(alpha, variables=("main.x=1",))).key
    keys["names"] = only(replace(alpha, names=("first", "second"))).key
    keys["package"] = only(replace(alpha, package="example.test/alpha")).key
    for name in ("go.mod", "go.sum"):
        with (alpha.folder / name).open("a") as file:
            file.write("\n// changed\n")
        keys[name] = only(alpha).key
    assert len(set(keys.values())) == len(keys)


def test_the_key_does_not_depend_on_where_the_sources_are(
    make_component: Callable[..., Component], tmp_path: Path
) -> None:
    alpha = make_component("alpha")
    before = only(alpha).key
    moved = alpha.sources.rename(tmp_path / "elsewhere")
    assert only(replace(alpha, sources=moved)).key == before


def test_changing_one_component_leaves_the_others(make_component: Callable[..., Component]) -> None:
    alpha, beta = make_component("alpha"), make_component("beta")
    first = entries([alpha, beta], platform=LINUX)
    changed = entries([alpha, make_component("beta", version="2.0.0")], platform=LINUX)
    assert first[0] == changed[0]
    assert first[1].folder_name != changed[1].folder_name
    assert set_key(first) != set_key(changed)


def test_a_component_follows_the_version_of_what_goes_into_it(make_component: Callable[..., Component]) -> None:
    flux = make_component("flux", inputs=("controller",))
    before = entries([make_component("controller"), flux], platform=LINUX)[1]
    after = entries([make_component("controller", version="1.2.4"), flux], platform=LINUX)[1]
    assert before.key != after.key


def test_the_key_of_a_set_does_not_depend_on_the_order(make_component: Callable[..., Component]) -> None:
    alpha, beta = make_component("alpha"), make_component("beta")
    assert set_key(entries([alpha, beta], platform=LINUX)) == set_key(entries([beta, alpha], platform=LINUX))


def test_the_folder_tells_component_version_and_key(make_component: Callable[..., Component]) -> None:
    entry = only(make_component("alpha"))
    assert entry.folder_name == f"alpha-1.2.3-{entry.key[:12]}"


def test_a_missing_checksum_file_is_an_error(make_component: Callable[..., Component]) -> None:
    alpha = make_component("alpha")
    (alpha.folder / "go.sum").unlink()
    with pytest.raises(ToolchainError, match=r"go\.sum is missing: this installation of fluxlab is incomplete"):
        only(alpha)


def test_the_real_set_has_one_folder_each_for_every_platform() -> None:
    platforms = [
        Platform(system=system, architecture=cpu) for system in ("linux", "darwin") for cpu in ("amd64", "arm64")
    ]
    names = [entry.folder_name for platform in platforms for entry in entries(COMPONENTS, platform=platform)]
    assert len(set(names)) == len(COMPONENTS) * 4
