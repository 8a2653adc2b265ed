"""What is gathered of a lab holds no value of its Secrets, also none that was set meanwhile; with a stand-in for it."""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from fluxlab.clusters.api import ApiUnreachableError
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import SECRET, Resource
from fluxlab.errors import FluxlabError
from fluxlab.evidence import Evidence, gather
from fluxlab.lab import Lab
from fluxlab.redaction import MASK, Redactor
from fluxlab.spec import LabSpec
from fluxlab.state import LabFolder
from fluxlab.status import LabStatus
from fluxlab.timeline.entries import Detail, Entry, Level, ObjectRef, Source
from fluxlab.timeline.folder import RECORDER, TimelineFolder
from fluxlab.timeline.journal import Journal

BEGAN = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
EARLY, LATE = "canary-of-before", "canary-of-meanwhile"


class StandIn:
    """A lab with one cluster, in which somebody sets a Secret while its evidence is read, and quotes it in git."""

    def __init__(self, root: Path) -> None:
        self.folder = LabFolder(root)
        self.name = "one"
        self.spec = LabSpec(name="one")
        self.values = [EARLY]
        self.set_meanwhile: Sequence[str] = ()
        """In the first look at it."""
        self.answers = True
        self.goes = False
        """Whether it answers no longer once git was read."""
        self.clusters = {"c": SimpleNamespace(name="c", api=self)}
        self.repository = SimpleNamespace(log=self._log)
        self.folder.recorder_log.write_text(f"2026-11-22 12:30:00,000 INFO it is {EARLY}\n")

    def list(self, resource: Resource, **_: object) -> Sequence[KubeObject]:
        if not self.answers:
            raise ApiUnreachableError("nobody answers")
        data = {str(number): base64.b64encode(one.encode()).decode() for number, one in enumerate(self.values)}
        return [KubeObject({"kind": "Secret", "data": data})] if resource == SECRET else []

    def status(self) -> LabStatus:
        return LabStatus(name="one", phase="failed", error=f"said {EARLY}", folder=str(self.folder.root))

    def unreal(self) -> Sequence[str]:
        return [f"chart demo is a stand-in for {EARLY}"]

    def look(self) -> Sequence[object]:
        self.values.extend(self.set_meanwhile)
        raise FluxlabError("not now")

    def _log(self) -> str:
        self.values.append(LATE)
        self.answers = not self.goes
        return f"Set it to {LATE} instead of {EARLY}"


@pytest.fixture
def lab(tmp_path: Path) -> StandIn:
    return StandIn(tmp_path)


def evidence_of(lab: StandIn) -> Evidence:
    return gather(cast("Lab", lab), since=BEGAN)


def test_what_was_set_while_the_evidence_was_read_is_masked_too(lab: StandIn) -> None:
    found = evidence_of(lab)
    assert found.files["git.txt"] == f"Set it to {MASK} instead of {MASK}"
    assert found.files["logs.txt"].endswith(f"INFO it is {MASK}")
    assert f"lab one is failed: said {MASK}" in found.summary


def test_of_a_secret_in_the_subject_of_a_commit_no_part_is_left_where_the_subject_is_cut(lab: StandIn) -> None:
    said = Entry(
        time=BEGAN + timedelta(minutes=1),
        source=Source.OBJECT,
        level=Level.WARNING,
        text="is not ready",
        object=ObjectRef.parse("Deployment shop/cart"),
        commit="b9cea72d24" + "0" * 30,
        details={Detail.SUBJECT: f"Have the cart of the shop log in with {LATE} from now on"},
    )
    Journal(TimelineFolder(lab.folder).journal(RECORDER), redactor=Redactor()).append([said])
    lab.set_meanwhile = [LATE]
    found = evidence_of(lab)
    told = "\n".join([*found.summary, *found.files.values()])
    assert "is not ready" in told
    assert "log in with" in told
    assert LATE[:8] not in told


def test_what_only_stands_in_for_something_is_told_last_and_masked(lab: StandIn) -> None:
    assert evidence_of(lab).summary[-1] == f"not real: chart demo is a stand-in for {MASK}"


def test_what_cannot_be_masked_is_left_out_and_it_is_said_why(lab: StandIn) -> None:
    """It leaves the machine, unlike what `fluxlab logs` shows."""
    lab.answers = False
    found = evidence_of(lab)
    for name in ("logs.txt", "git.txt"):
        assert found.files[name].startswith("left out")
        assert "nobody answers" in found.files[name]


def test_what_cannot_be_masked_any_more_once_it_was_read_is_left_out(lab: StandIn) -> None:
    lab.goes = True
    with lab.folder.recorder_log.open("a") as log:
        log.write(f"2026-11-22 12:31:00,000 ERROR it was {EARLY}, and is {LATE}\n")
    found = evidence_of(lab)
    assert not lab.answers
    for name in ("logs.txt", "git.txt"):
        assert found.files[name].startswith("left out")
        assert "nobody answers" in found.files[name]
    assert LATE not in "".join([*found.summary, *found.files.values()])
    assert f"lab one is failed: said {MASK}" in found.summary
