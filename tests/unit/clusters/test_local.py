"""Who is started anew after whom, what is left for the next repair, and that nobody is started to find no API."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fluxlab.clusters.local import LocalCluster
from fluxlab.clusters.programs import PROGRAMS
from fluxlab.errors import WaitTimeoutError
from fluxlab.ports import Ports
from fluxlab.spec import ClusterSpec

ALL = PROGRAMS[1:]
"""Of a cluster without links."""


class Programs:
    """Programs that can be restarted, and what was."""

    names = ALL

    def __init__(self) -> None:
        self.restarted: list[str] = []
        self.gone: Sequence[str] = ()
        self.paused: Sequence[str] = ()

    def expect(self, program: str) -> None:
        assert program in self.names

    def restart(self, program: str) -> None:
        self.restarted.append(program)

    def broken(self, *, held: Collection[str]) -> Sequence[str]:
        return (*self.gone, *(name for name in self.paused if name not in held))

    def wants(self, controller: str) -> bool:
        return controller != "notification-controller"  # which somebody has scaled to 0


class Api:
    """An API that serves or does not."""

    serves = True

    def await_(self, *_: str, **__: object) -> None:
        if not self.serves:
            raise WaitTimeoutError("the API server serves nothing")


@contextmanager
def refused(api: Api) -> Iterator[None]:
    """What is asked for while the API does not serve."""
    api.serves = False
    with pytest.raises(WaitTimeoutError):
        yield
    api.serves = True


@pytest.fixture
def programs() -> Programs:
    return Programs()


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def cluster(tmp_path: Path, programs: Programs, api: Api, monkeypatch: pytest.MonkeyPatch) -> LocalCluster:
    ports = Ports()
    found = LocalCluster(
        ClusterSpec(name="one"),
        folder=tmp_path,
        toolchain=cast("Any", SimpleNamespace(key="key", binary=Path)),
        processes=cast("Any", None),
        ports=ports,
        gateway_port=1,
        links=False,
        main_thread=cast("Any", None),
    )
    ports.release()
    monkeypatch.setattr(found, "_programs", programs)
    monkeypatch.setattr(found, "_await_paths", api.await_)
    return found


def test_after_a_server_all_that_are_wanted_are_started_anew_in_their_order(
    cluster: LocalCluster, programs: Programs
) -> None:
    cluster.restart("etcd")
    assert programs.restarted == [name for name in ALL if name != "notification-controller"]


def test_with_what_a_restart_did_not_come_to_the_next_repair_goes_on(
    cluster: LocalCluster, programs: Programs, api: Api
) -> None:
    with refused(api):
        cluster.restart("kube-apiserver")
    assert programs.restarted == ["kube-apiserver"]
    assert cluster.repair() == ()
    assert programs.restarted[1:] == [name for name in ALL[1:] if name != "notification-controller"]
    cluster.repair()
    assert len(programs.restarted) == len(ALL) - 1, "done once"


def test_who_would_find_no_api_stays_as_it_is_and_is_not_restarted_later_either(
    cluster: LocalCluster, programs: Programs, api: Api
) -> None:
    with refused(api):
        cluster.restart("kube-controller-manager")
    cluster.restart("kwok")
    cluster.repair()
    assert programs.restarted == ["kwok"]


def test_what_died_is_started_again_by_the_repair_that_finds_an_api(
    cluster: LocalCluster, programs: Programs, api: Api
) -> None:
    programs.gone = ("kwok",)
    with refused(api):
        cluster.repair()
    assert cluster.repair() == ("kwok",)
    assert programs.restarted == ["kwok"]


def test_a_server_that_is_paused_is_started_anew_with_whoever_had_to_do_without_it(
    cluster: LocalCluster, programs: Programs
) -> None:
    programs.paused = ("etcd",)
    assert cluster.repair(held={"etcd"}) == ()
    assert programs.restarted == []
    assert cluster.repair() == ("etcd",)
    assert programs.restarted == [name for name in ALL if name != "notification-controller"]
