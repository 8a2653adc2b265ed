"""What signals refuse before they look at anything; tests/integration/test_signals.py has what they find."""

from pathlib import Path
from typing import cast

import pytest

from fluxlab.clusters.api import KubeApi
from fluxlab.clusters.kinds import Kinds
from fluxlab.errors import UsageError
from fluxlab.flux.signals import LogLine, Scene, forbid
from fluxlab.moments import Moment

COMPONENT = "kustomize-controller"


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A cluster with one log, and no API."""
    log = tmp_path / f"{COMPONENT}.log"
    log.touch()
    nobody = cast("KubeApi", None), cast("Kinds", None)
    return Scene(cluster="one", api=nobody[0], kinds=nobody[1], logs={f"one/{COMPONENT}": log}, after=Moment())


@pytest.mark.parametrize(
    "pattern",
    ["", ".*", "x*", "^", "$", ".", ".+", "..", ".{3,}", r"\S", r"\S+", "^.", ".$", "[^,]", "a|.", "(?s:.)", "x?"],
)
def test_a_pattern_that_tells_no_line_from_another_is_refused(scene: Scene, pattern: str) -> None:
    with pytest.raises(UsageError, match="matches every line"):
        LogLine(COMPONENT, pattern).check(scene)


@pytest.mark.parametrize("pattern", ["x", "error", "a.*b", r"\d+ objects", "^{", "timeout|refused", "[A-Z]", "^I"])
def test_a_pattern_that_tells_lines_apart_is_one(scene: Scene, pattern: str) -> None:
    LogLine(COMPONENT, pattern).check(scene)


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_to_forbid_for_no_time_proves_nothing(scene: Scene, seconds: float) -> None:
    with pytest.raises(UsageError, match=r"a line in the log of kustomize-controller .* proves nothing"):
        forbid(LogLine(COMPONENT, "panic"), scene, for_seconds=seconds)
