"""Stored artifacts: whether they fit their digest, and the one byte that is another one for a while."""

import hashlib
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.programs import ARTIFACTS
from fluxlab.faults.base import Ground, Injection, NoParameters, Plan
from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.faults.layers import sources
from fluxlab.faults.layers.sources import Artifact, fits
from fluxlab.state import LabFolder

SOURCE, PATH = "GitRepository flux-system/shop", "gitrepository/flux-system/shop/1.tar.gz"
SOUND = bytes(range(100))


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_content_fits_its_own_digest_only(algorithm: str) -> None:
    digest = f"{algorithm}:{hashlib.new(algorithm, b'content').hexdigest()}"
    assert fits(b"content", digest)
    assert not fits(b"Content", digest)
    assert not fits(b"", digest)


def test_an_artifact_that_is_being_made_anew_cannot_be_fetched() -> None:
    """source-controller has found out by itself: its status names none, until there is another."""
    assert Artifact(url="", path="", digest="").fetched() is None


class Store:
    """A source with an artifact, which is served as it is on disk."""

    def __init__(self, folder: LabFolder, content: bytes = SOUND) -> None:
        self.folder = folder
        self.file = folder.cluster("c") / ARTIFACTS / PATH
        self.file.parent.mkdir(parents=True)
        self.store(content)

    def store(self, content: bytes) -> None:
        """source-controller has it now."""
        self.file.write_bytes(content)
        self.digest = f"sha256:{hashlib.sha256(content).hexdigest()}"

    def find(self, kind: str, place: str) -> KubeObject:
        assert f"{kind} {place}" == SOURCE
        artifact = {"url": "http://here/1.tar.gz", "path": PATH, "digest": self.digest}
        return KubeObject({"kind": kind, "status": {"artifact": artifact}})

    def request(self, *_: object, **__: object) -> SimpleNamespace:
        there = self.file.exists()
        return SimpleNamespace(status=200 if there else 404, data=self.file.read_bytes() if there else b"")

    @property
    def ground(self) -> Ground:
        cluster, unused = SimpleNamespace(name="c", find=self.find), cast("Any", None)
        return Ground(
            cluster=cast("Any", cluster), folder=self.folder, control=unused, open_repository=unused, links=False
        )

    def plan(self, seed: int) -> Plan:
        return CATALOGUE["artifact-corrupt"].plan(self.ground, SOURCE, NoParameters(), Random(seed))  # noqa: S311

    def injection(self, seed: int = 1) -> Injection[Any]:
        plan = self.plan(seed)
        return Injection(id="artifact-corrupt-1", target=SOURCE, parameters=NoParameters(), undo=plan.undo)

    def others(self) -> list[int]:
        """The places of bytes that are other ones than in what is sound."""
        return [place for place, byte in enumerate(self.file.read_bytes()) if byte != SOUND[place]]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    folder = LabFolder(tmp_path / "labs" / "one")
    folder.create()
    found = Store(folder)
    monkeypatch.setattr(sources, "urllib3", found)
    return found


CORRUPT = CATALOGUE["artifact-corrupt"]


def test_one_byte_is_another_one_which_is_told_and_is_as_before_after_healing(store: Store) -> None:
    injection = store.injection()
    CORRUPT.inject(store.ground, injection)
    (place,) = store.others()
    assert f"byte {place} of 100" in CORRUPT.injected(store.ground, injection)
    assert not CORRUPT.healed(store.ground, injection)
    for _ in range(2):
        CORRUPT.heal(store.ground, injection)
        assert store.file.read_bytes() == SOUND
        assert CORRUPT.healed(store.ground, injection)
    assert not CORRUPT.injected(store.ground, injection)


def test_one_seed_has_one_plan_however_large_the_artifact_is(store: Store) -> None:
    before = [store.plan(seed).undo for seed in range(9)]
    digest, store.digest = store.digest, "sha256:0"
    store.file.write_bytes(SOUND * 9)
    again = [store.plan(seed).undo for seed in range(9)]
    assert [{**one, "digest": digest} for one in again] == before
    assert len({str(one) for one in before}) == 9


def test_each_seed_has_a_place_of_its_own_that_is_in_the_artifact(store: Store) -> None:
    found = []
    for seed in range(40):
        store.store(SOUND)
        CORRUPT.inject(store.ground, store.injection(seed))
        found += store.others()
    assert len(found) == 40
    assert len({*found}) > 20


def test_another_artifact_at_its_place_is_left_as_it_is(store: Store) -> None:
    """That of the same revision, of which a source leaves out something else since."""
    injection = store.injection()
    CORRUPT.inject(store.ground, injection)
    store.store(b"another one")
    CORRUPT.heal(store.ground, injection)
    assert store.file.read_bytes() == b"another one"
    assert CORRUPT.healed(store.ground, injection)


def test_what_is_broken_elsewhere_is_not_this_fault(store: Store) -> None:
    injection = store.injection()
    store.file.write_bytes(SOUND[:50])
    assert not CORRUPT.injected(store.ground, injection)
    assert not CORRUPT.healed(store.ground, injection)
