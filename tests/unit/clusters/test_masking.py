"""What of a lab is secret is known to whoever asks: from its folder, and from the clusters that answer."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.secret_keeper import CLUSTER, SecretKeeper

from fluxlab.clusters import masking
from fluxlab.clusters.masking import Masking
from fluxlab.files import write_private
from fluxlab.redaction import MASK
from fluxlab.state import LabFolder
from fluxlab.timeline.folder import TimelineFolder
from fluxlab.timeline.learned import Learned

FIRST, SECOND = "canary-of-the-first-day", "canary-of-the-second-day"


@pytest.fixture
def folder(tmp_path: Path) -> TimelineFolder:
    return TimelineFolder(LabFolder(tmp_path))


@pytest.fixture
def keeper(folder: TimelineFolder) -> Iterator[SecretKeeper]:
    with SecretKeeper.of(folder.lab) as found:
        yield found


def test_each_time_the_secrets_are_asked_anew_and_what_they_held_stays_known(
    folder: TimelineFolder, keeper: SecretKeeper
) -> None:
    with Masking(folder) as known:
        keeper.values = [FIRST]
        assert known.learn_all() == {}
        keeper.values = [SECOND]
        assert known.redactor.redact(f"{FIRST} {SECOND}") == f"{MASK} {SECOND}"
        assert known.now().redact(f"{FIRST} {SECOND}") == f"{MASK} {MASK}"
    assert keeper.asked == 2


def test_what_is_added_to_the_folder_meanwhile_is_known(folder: TimelineFolder) -> None:
    known = Masking(folder)
    write_private(folder.lab.repositories / "fleet.token", "t0ken-of-the-repository\n")
    learned = Learned(folder.learned)
    for value in (FIRST, SECOND):
        learned.add(value)
        learned.save()
        known.recall()
        assert known.redactor.redact(f"{value} t0ken-of-the-repository") == f"{MASK} {MASK}"


@pytest.mark.parametrize("how", ["gone", "hangs"])
def test_a_cluster_that_does_not_answer_is_named_and_keeps_nobody_waiting_for_long(
    folder: TimelineFolder, keeper: SecretKeeper, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(masking, "ANSWER_SECONDS", 0.2)
    with Masking(folder) as known:
        keeper.gone = how == "gone"
        if how == "hangs":
            keeper.answering.clear()
        began = time.monotonic()
        unread = known.learn_all()
        assert time.monotonic() - began < 10
        assert list(unread) == [CLUSTER]
        assert unread[CLUSTER]
        keeper.gone, keeper.values = False, [FIRST]
        keeper.answering.set()
        assert known.learn_all() == {}
        assert known.redactor.redact(FIRST) == MASK


def test_of_several_clusters_each_that_answers_is_known(
    folder: TimelineFolder, keeper: SecretKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while another one hangs: they are asked side by side."""
    monkeypatch.setattr(masking, "ANSWER_SECONDS", 0.5)
    keeper.answering.clear()
    with SecretKeeper.of(folder.lab, "other") as other, Masking(folder) as known:
        other.values = [SECOND]
        assert list(known.learn_all()) == [CLUSTER]
        assert known.redactor.redact(SECOND) == MASK


def test_a_cluster_that_was_never_started_has_nothing_to_say(folder: TimelineFolder) -> None:
    folder.lab.cluster("planned").mkdir(parents=True)
    assert Masking(folder).learn_all() == {}


def test_several_threads_may_ask_at_once(folder: TimelineFolder, keeper: SecretKeeper) -> None:
    keeper.values = [FIRST]
    told: list[str] = []
    with Masking(folder) as known:
        threads = [threading.Thread(target=lambda: told.append(known.now().redact(FIRST))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert told == [MASK] * 8
