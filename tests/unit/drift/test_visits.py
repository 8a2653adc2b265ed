"""When helm-controller looked at a HelmRelease last, as its log says."""

import json
from datetime import UTC, datetime
from pathlib import Path

from fluxlab.drift.visits import last_visits
from fluxlab.state import LabFolder
from fluxlab.timeline.folder import TimelineFolder


def line(time: str, name: str, message: str) -> str:
    subject = {"controllerKind": "HelmRelease", "namespace": "shop", "name": name}
    told = {"level": "info", "ts": time, "msg": message, **subject}
    return json.dumps(told) + "\n"


def test_the_newest_visit_is_told_that_found_a_release_as_it_should_be(tmp_path: Path) -> None:
    folder = TimelineFolder(LabFolder(tmp_path))
    log = tmp_path / "clusters" / "one" / "logs" / "helm-controller.log"
    log.parent.mkdir(parents=True)
    in_sync = "release in-sync with desired state"
    log.with_name("helm-controller.log.1").write_text(line("2026-11-22T14:00:00.5Z", "quiet", in_sync))
    log.write_text(
        line("2026-11-22T14:00:01Z", "cart", in_sync)
        + line("2026-11-22T14:00:31.25Z", "cart", in_sync)
        + line("2026-11-22T14:00:40Z", "cart", "running 'upgrade' action with timeout of 5m0s")
        + line("2026-11-22T14:00:41Z", "new", "release out-of-sync with desired state")
    )
    assert {str(one): at for one, at in last_visits(folder, cluster="one").items()} == {
        "HelmRelease shop/quiet": datetime(2026, 11, 22, 14, 0, 0, 500_000, tzinfo=UTC),
        "HelmRelease shop/cart": datetime(2026, 11, 22, 14, 0, 31, 250_000, tzinfo=UTC),
    }


def test_where_a_cluster_has_no_log_nothing_is_known(tmp_path: Path) -> None:
    assert last_visits(TimelineFolder(LabFolder(tmp_path)), cluster="one") == {}
