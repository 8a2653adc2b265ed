"""What is told of the labs of a failed test, and which stay, whenever it fails; with stand-ins for the labs."""

from collections.abc import Sequence
from datetime import datetime

import pytest

from fluxlab import evidence
from fluxlab.evidence import Evidence
from fluxlab.pool import LabRequest
from fluxlab.state import LabFolder
from fluxlab.status import LabStatus
from pytest_fluxlab import session

pytestmark = pytest.mark.usefixtures("state_dir")


class StandIn:
    """A lab of which only its state is there."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.phase = "ready"
        self.clusters: dict[str, object] = {}
        self.folder = LabFolder.named(name)
        self.folder.create()
        self.folder.spec.write_text("{}")

    def status(self) -> LabStatus:
        return LabStatus(name=self.name, phase=self.phase, error="as planned", folder=str(self.folder.root))

    def close(self) -> None: ...

    def let_go(self) -> None: ...


class Pool:
    """Hands out stand-ins, named by their number."""

    troubles: Sequence[str] = ()

    def __init__(self, **_: object) -> None:
        self.made = 0

    def take(self, _: LabRequest) -> StandIn:
        self.made += 1
        return StandIn(f"lab-{self.made}")

    def prepare(self, *_: LabRequest) -> None: ...

    def give_back(self, lab: StandIn) -> None:
        lab.folder.spec.unlink()

    def close(self) -> None: ...


def gather(lab: StandIn, *, since: datetime) -> Evidence:
    assert since.tzinfo
    assert lab.folder.spec.exists(), "it is gathered while the lab is there"
    return Evidence(lab=lab.name, summary=[f"{lab.name} is {lab.phase}"], files={})


SUITE = """
    import pytest

    @pytest.fixture(scope="session")
    def fluxlab_toolchain(): pass

    @pytest.fixture
    def broken(lab):
        yield
        raise RuntimeError("of a fixture")

    @pytest.fixture
    def also_broken(broken):
        yield
        pytest.fail("of a fixture, too")

    def dies(lab): lab.phase = "dead"

    def test_passes(lab): pass
    def test_fails(lab): assert not lab
    def test_with_fixtures_that_raise(also_broken): pass
    def test_dies(lab): dies(lab)
    def test_fails_and_dies(lab):
        dies(lab)
        assert not lab
    def test_dies_with_a_fixture_that_raises(lab, broken): dies(lab)
    def test_shared_dies(module_lab): dies(module_lab)
"""
FAILED = {
    "test_fails": "lab-2 is ready",
    "test_with_fixtures_that_raise": "lab-3 is ready",
    "test_dies": "lab-4 is dead",
    "test_fails_and_dies": "lab-5 is dead",
    "test_dies_with_a_fixture_that_raises": "lab-6 is dead",
    "test_shared_dies": "lab-7 is dead",
}


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setattr(session, "Pool", Pool)
    monkeypatch.setattr(evidence, "gather", gather)
    pytester.makepyfile(test_it=SUITE)
    return pytester


def test_each_failure_has_its_evidence_once_also_one_of_the_teardown(suite: pytest.Pytester) -> None:
    result = suite.runpytest_inprocess("--fluxlab-artifacts=evidence", "--junitxml=junit.xml")
    result.assert_outcomes(passed=5, failed=2, errors=5)
    told, junit = result.stdout.str(), (suite.path / "junit.xml").read_text()
    for test, summary in FAILED.items():
        name = summary.split()[0]
        assert told.count(f"- fluxlab: lab {name} -") == 1
        assert told.count(f"\n{summary}\n") == 1
        folder = suite.path / "evidence" / f"test_it.py-{test}" / name
        assert (folder / "summary.txt").read_text() == f"{summary}\n"
        assert junit.count(f'name="fluxlab_artifacts" value="{folder}"') >= 1
    assert "lab-1 is ready" not in told
    assert not kept(told)


def kept(told: str) -> Sequence[str]:
    return [line for line in told.partition("labs that were left up")[2].splitlines() if ", of " in line]


def test_the_lab_of_each_failure_is_kept_also_of_one_of_the_teardown(suite: pytest.Pytester) -> None:
    result = suite.runpytest_inprocess("--fluxlab-keep-on-failure")
    assert kept(result.stdout.str()) == [
        f"{summary.split()[0]}, of test_it.py::{test}" for test, summary in FAILED.items()
    ]
    folders = LabFolder.named("x").root.parent
    assert {path.name for path in folders.iterdir() if LabFolder(path).spec.exists()} == {
        summary.split()[0] for summary in FAILED.values()
    }
