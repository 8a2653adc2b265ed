"""Whatever ends the block in which Flux is held back: Flux is let go, in all clusters."""

import signal
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from fluxlab.cluster import Cluster
from fluxlab.drift import report_only as module
from fluxlab.drift.report_only import report_only

CLUSTERS = [cast("Cluster", SimpleNamespace(name=name)) for name in ("one", "two")]
Interrupt = Callable[[], None]


def interrupt() -> None:
    """As Ctrl-C does."""
    signal.raise_signal(signal.SIGINT)


def terminate() -> None:
    """As a CI system does."""
    signal.raise_signal(signal.SIGTERM)


class Held:
    """Which clusters are held back. Letting one go takes a while, in which somebody loses their patience."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, meanwhile: Interrupt) -> None:
        self.names: list[str] = []
        self._meanwhile = meanwhile
        monkeypatch.setattr(module, "hold", self._hold)
        monkeypatch.setattr(module, "release", self._release)

    def _hold(self, cluster: Cluster, **_: object) -> None:
        self.names.append(cluster.name)

    def _release(self, cluster: Cluster, **_: object) -> Sequence[str]:
        self._meanwhile()
        self.names.remove(cluster.name)
        return ()


@pytest.mark.parametrize(
    ("meanwhile", "ended"), [(interrupt, KeyboardInterrupt), (terminate, SystemExit)], ids=["SIGINT", "SIGTERM"]
)
def test_who_interrupts_twice_does_not_leave_flux_held_back(
    monkeypatch: pytest.MonkeyPatch, meanwhile: Interrupt, ended: type[BaseException]
) -> None:
    held = Held(monkeypatch, meanwhile=meanwhile)
    with pytest.raises(ended), report_only(CLUSTERS, progress=print, timeout_seconds=1):
        interrupt()
    assert held.names == []


def test_who_interrupts_while_flux_is_let_go_after_the_block_is_heard_then(monkeypatch: pytest.MonkeyPatch) -> None:
    held, done = Held(monkeypatch, meanwhile=interrupt), []
    with pytest.raises(KeyboardInterrupt), report_only(CLUSTERS, progress=print, timeout_seconds=1):
        done.append("the block")
    assert (held.names, done) == ([], ["the block"])


def test_a_cluster_that_cannot_be_let_go_keeps_no_other_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        if held.names == ["one", "two"]:
            held.names.remove("two")
            raise RuntimeError("two does not answer")

    held = Held(monkeypatch, meanwhile=fail)
    with (
        pytest.raises(RuntimeError, match="two does not answer"),
        report_only(CLUSTERS, progress=print, timeout_seconds=1),
    ):
        pass
    assert held.names == []


def test_what_was_only_begun_to_be_held_back_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held(monkeypatch, meanwhile=lambda: None)

    def hold(cluster: Cluster, **_: object) -> None:
        held.names.append(cluster.name)
        if cluster.name == "two":
            interrupt()

    monkeypatch.setattr(module, "hold", hold)
    with pytest.raises(KeyboardInterrupt), report_only(CLUSTERS, progress=print, timeout_seconds=1):
        raise AssertionError("it was not held back")
    assert held.names == []
