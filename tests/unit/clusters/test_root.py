"""Where a cluster begins to follow a repository: what is written down is what is read."""

import stat
from pathlib import Path

from fluxlab.clusters.capabilities import Footing
from fluxlab.clusters.root import Root


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
