"""What is started anew once etcd answers again, or does not, and what is left alone because another fault is in it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fluxlab.clusters.api import ApiError, ApiUnreachableError
from fluxlab.clusters.resources import CONFIG_MAP, NODE, Resource
from fluxlab.documents import JsonObject
from fluxlab.errors import FluxlabError, WaitTimeoutError
from fluxlab.fault_records import FaultRecord, FaultRecords
from fluxlab.faults.base import Ground, Injection, NoParameters
from fluxlab.faults.layers.controllers.processes import ControllerKill
from fluxlab.faults.means import programs
from fluxlab.faults.means.programs import etcd_answers, have_etcd_answer, have_kwok_look
from fluxlab.state import LabFolder

INJECTION = Injection(id="etcd-pause-000001", target="etcd", parameters=NoParameters(), undo={})


class Api:
    """An API server that is ready, and has an answer for Nodes; what it has for ConfigMaps can be chosen."""

    server = "https://here"
    answer: Exception = ApiError("GET", status=HTTPStatus.NOT_FOUND, message="not found")

    def healthy(self) -> bool:
        return True

    def resources(self, *, verb: str) -> Iterator[Resource]:
        assert verb == "get"
        yield from (NODE, CONFIG_MAP)

    def request(self, _: str, path: str, **__: object) -> JsonObject:
        if CONFIG_MAP.plural in path:
            raise self.answer
        return {}


class Place:
    """A cluster all of whose programs run, and what was started anew in it."""

    def __init__(self, folder: LabFolder) -> None:
        self.api, self.anew, self.records = Api(), list[str](), FaultRecords(folder)
        cluster, unused = SimpleNamespace(name="c", api=self.api), cast("Any", None)
        control = SimpleNamespace(restart=self.anew.append)
        self.ground = Ground(
            cluster=cast("Any", cluster),
            folder=folder,
            control=cast("Any", control),
            open_repository=unused,
            links=True,
        )

    def have(self, id_: str, *touches: str, cluster: str = "c") -> None:
        now = datetime.now(UTC)
        record = FaultRecord(
            id=id_,
            fault=id_,
            cluster=cluster,
            targets=("it",),
            touches=frozenset(touches),
            seed=0,
            began=now,
            until=now + timedelta(minutes=1),
            supervisor=(1, 1.0),
        )
        self.records.write(record)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    folder = LabFolder(tmp_path / "labs" / "one")
    folder.create()
    folder.spec.touch()
    monkeypatch.setattr(programs, "running", lambda _: {"kwok": None, "kube-apiserver": None})
    monkeypatch.setattr(programs, "SOON_SECONDS", 0.0)
    monkeypatch.setattr(programs, "PATIENT_SECONDS", 0.0)
    found = Place(folder)
    found.have(INJECTION.id, *programs.EVERYBODY)
    return found


SILENT = [
    ApiError("GET", status=HTTPStatus.INTERNAL_SERVER_ERROR, message="etcd is not there"),
    ApiUnreachableError("it does not answer"),
]


@pytest.mark.parametrize("answer", SILENT, ids=["refused", "silent"])
def test_etcd_answers_only_when_it_does_for_each_resource(place: Place, answer: Exception) -> None:
    assert "each of 2 resources" in etcd_answers(place.ground)
    place.api.answer = answer
    assert not etcd_answers(place.ground)


def test_kwok_alone_is_started_anew_where_etcd_answers(place: Place) -> None:
    have_etcd_answer(place.ground, INJECTION)
    assert place.anew == ["c/kwok"]


def test_the_api_server_is_started_anew_where_etcd_does_not_answer_soon(place: Place) -> None:
    place.api.answer = SILENT[0]
    have_etcd_answer(place.ground, INJECTION)
    assert place.anew == ["c/kube-apiserver"]


def test_nothing_is_started_anew_that_would_undo_another_fault(place: Place) -> None:
    place.have("controller-pause-000002", "process:kwok")
    have_kwok_look(place.ground, INJECTION)
    have_etcd_answer(place.ground, INJECTION)
    place.api.answer = SILENT[0]
    with pytest.raises(WaitTimeoutError):
        have_etcd_answer(place.ground, INJECTION)
    assert not place.anew


@pytest.mark.parametrize("link", ["kwok-to-api", "api-to-etcd"])
def test_kwok_is_not_started_anew_over_a_link_that_is_broken(place: Place, link: str) -> None:
    place.have("link-hang-000002", f"link:{link}")
    have_kwok_look(place.ground, INJECTION)
    assert not place.anew


@pytest.mark.parametrize("link", ["kustomize-controller-to-api", "api-to-etcd"])
def test_nothing_is_started_anew_over_a_link_that_is_broken(place: Place, link: str) -> None:
    place.have("link-hang-000002", f"link:{link}")
    place.api.answer = SILENT[0]
    with pytest.raises(WaitTimeoutError):
        have_etcd_answer(place.ground, INJECTION)
    assert not place.anew


def test_a_killed_program_is_not_started_over_a_link_that_is_broken(place: Place) -> None:
    place.have("link-hang-000002", "link:helm-controller-to-api")
    killed = replace(INJECTION, target="helm-controller")
    with pytest.raises(FluxlabError, match="its link to the API is broken on purpose"):
        ControllerKill().heal(place.ground, killed)
    assert not place.anew


def test_faults_of_other_clusters_and_of_no_program_are_not_minded(place: Place) -> None:
    place.have("controller-pause-000002", "process:kwok", cluster="other")
    place.have("git-slow-000003", "host:github.com")
    place.have("link-slow-000004", "link:kwok-to-api", cluster="other")
    place.have("link-slow-000005", "link:kustomize-controller-to-gateway")
    have_kwok_look(place.ground, INJECTION)
    assert place.anew == ["c/kwok"]


def test_a_kwok_that_does_not_run_is_not_started(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "running", lambda _: {})
    have_kwok_look(place.ground, INJECTION)
    assert not place.anew
