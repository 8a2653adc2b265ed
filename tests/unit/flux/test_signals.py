"""What signals refuse, and how logs are searched; tests/integration/test_signals.py has what else they find."""

from pathlib import Path
from typing import cast

import pytest

from fluxlab.clusters.api import KubeApi
from fluxlab.clusters.kinds import Kinds
from fluxlab.errors import UsageError
from fluxlab.flux.signals import LogLine, Scene, forbid
from fluxlab.logs import bound_logs
from fluxlab.moments import Moment
from fluxlab.state import LabFolder
from fluxlab.timeline import loglines

COMPONENT = "kustomize-controller"


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A cluster with one log, and no API."""
    log = LabFolder(tmp_path).cluster("one") / "logs" / f"{COMPONENT}.log"
    log.parent.mkdir(parents=True)
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


def test_a_log_that_would_move_aside_while_it_is_searched_is_searched_to_its_end(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = scene.logs[f"one/{COMPONENT}"]
    older, newer = (f'{{"ts":"2100-01-01T00:00:00Z","msg":"{word}"}}' for word in ("older", "newer"))
    log.with_name(f"{log.name}.1").write_text(f"{older}\n")
    log.write_text(f"{newer}\n")
    plain = loglines._entry

    def seen(*line: object, **of: object) -> object:
        bound_logs(LabFolder(tmp_path), maximum_bytes=log.stat().st_size - 1)
        return plain(*line, **of)  # type: ignore[arg-type]

    monkeypatch.setattr(loglines, "_entry", seen)
    assert LogLine(COMPONENT, "newer").seen(scene) == newer
