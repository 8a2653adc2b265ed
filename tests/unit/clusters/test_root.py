"""Where a cluster begins to follow a repository: what is written down is what is read."""

import json
import stat
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from fluxlab.clusters.capabilities import Footing
from fluxlab.clusters.root import Root
from fluxlab.errors import FluxlabError


def test_a_cluster_of_which_nothing_was_written_down_is_as_bootstrap_leaves_it(tmp_path: Path) -> None:
    assert Root.of(tmp_path).place == "flux-system/flux-system"
    assert Root.of(tmp_path).footing is Footing.LOCAL


def test_what_was_saved_is_read(tmp_path: Path) -> None:
    root = Root(
        footing=Footing.GUEST, namespace="fluxlab-x", name="fleet", url="http://127.0.0.1:1/x", labels={"a": "b"}
    )
    root.save(tmp_path)
    assert Root.of(tmp_path) == root
    assert stat.S_IMODE((tmp_path / "root.json").stat().st_mode) == 0o600


def test_what_marks_the_labs_things_outlives_a_power_cut(tmp_path: Path, lasts: Callable[[Path], bool]) -> None:
    Root(footing=Footing.KIND, labels={"a": "b"}).save(tmp_path)
    assert lasts(tmp_path / "root.json")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 300,
        b"{",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'{"name": "fleet"}',
        b'{"footing": "moon"}',
        json.dumps({**asdict(Root()), "galaxies": 3}).encode(),
    ],
)
def test_one_that_cannot_be_read_is_told_with_what_is_left_to_do(tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "labs/shop/clusters/shared"
    folder.mkdir(parents=True)
    (folder / "root.json").write_bytes(content)
    with pytest.raises(FluxlabError) as caught:
        Root.of(folder)
    assert str(folder / "root.json") in caught.value.what
    assert "fluxlab.dev/lab=shop" in caught.value.hint
    assert "fluxlab down shop --forget" in caught.value.hint
