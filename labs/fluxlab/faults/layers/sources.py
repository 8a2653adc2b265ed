"""Faults of what source-controller keeps: artifacts that are gone, or are not what they were."""

import hashlib
import shutil
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from random import Random
from typing import Any, Self

import urllib3
from urllib3.exceptions import HTTPError

from fluxlab.clusters.capabilities import Capability
from fluxlab.clusters.objects import dig, text_at
from fluxlab.clusters.programs import ARTIFACTS
from fluxlab.clusters.resources import BUCKET, GIT_REPOSITORY, HELM_CHART, OCI_REPOSITORY
from fluxlab.documents import Json
from fluxlab.errors import UnknownError, UsageError
from fluxlab.faults.base import Fault, FaultTypes, Ground, Injection, Layer, NoParameters, Plan
from fluxlab.flux.requests import REQUESTED_AT

KINDS = (GIT_REPOSITORY, OCI_REPOSITORY, BUCKET, HELM_CHART)
"""Sources whose artifacts others fetch."""
FETCH_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """What a source's status says of its artifact."""

    url: str
    path: str
    """Below the folder in which source-controller keeps all of them."""
    digest: str

    @classmethod
    def of(cls, ground: Ground, source: str) -> Self | None:
        """That of a source, `GitRepository flux-system/flux-system`; None when that is not there (any more)."""
        kind, _, place = source.partition(" ")
        found = ground.cluster.find(kind, place)
        if found is None:
            return None
        told = dig(found.raw, "status", "artifact")
        return cls(**{key: text_at(told, key) for key in ("url", "path", "digest")})

    def fetched(self) -> bytes | None:
        """What whoever needs it gets over HTTP; None for 404, and while the status names none: it is made anew then.

        Raises UnknownError when there is another answer.
        """
        if not self.url:
            return None
        try:
            answer = urllib3.request("GET", self.url, timeout=FETCH_SECONDS, retries=False)
        except HTTPError as error:
            raise UnknownError(f"{self.url} does not answer", facts=[str(error)]) from error
        if answer.status not in {HTTPStatus.OK, HTTPStatus.NOT_FOUND}:
            raise UnknownError(f"{self.url} answers {answer.status}")
        return answer.data if answer.status == HTTPStatus.OK else None


def fits(content: bytes, digest: str) -> bool:
    """Whether content is what a digest, `sha256:...`, says."""
    algorithm, _, wanted = digest.partition(":")
    return hashlib.new(algorithm, content).hexdigest() == wanted


class _OnArtifacts(Fault[NoParameters]):
    """Something that is done to the files of source-controller's, which goes on serving them."""

    layer = Layer.SOURCES
    needs = frozenset({Capability.PROCESSES})

    def candidates(self, ground: Ground) -> Sequence[str]:
        found = [one for resource in KINDS for one in ground.api.list(resource)]
        return sorted(str(one) for one in found if text_at(one.raw, "status", "artifact", "path"))

    def plan(self, ground: Ground, target: str, parameters: NoParameters, random: Random) -> Plan:
        del parameters
        artifact = Artifact.of(ground, target)
        if artifact is None:
            raise UsageError(f"{target} is not there any more")
        touches = frozenset({"process:source-controller", f"object:{target}"})
        return Plan(touches=touches, undo=self.remembered(artifact, random))

    @abstractmethod
    def remembered(self, artifact: Artifact, random: Random) -> Mapping[str, Json]:
        """What has to be known later."""

    def healed(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        artifact = Artifact.of(ground, injection.target)
        if artifact is None:
            return f"{injection.target} is not there any more"
        content = artifact.fetched()
        whole = content is not None and fits(content, artifact.digest)
        return f"{artifact.url} has the digest that its source tells" if whole else ""

    def by_hand(self, ground: Ground, injection: Injection[NoParameters]) -> Sequence[str]:
        kind, _, place = injection.target.partition(" ")
        namespace, _, name = place.partition("/")
        words = ("annotate", "--overwrite", "-n", namespace, f"{kind.lower()}/{name}")
        asked = ground.typed("kubectl", *words, f"{REQUESTED_AT}={injection.id}")
        return [asked, *super().by_hand(ground, injection)]


def _stored(ground: Ground, path: str) -> Path:
    return ground.folder.cluster(ground.cluster.name) / ARTIFACTS / path


class ArtifactLost(_OnArtifacts):
    """The files of one source are gone from the storage of source-controller."""

    name = "artifact-lost"
    summary = "the stored artifacts of one source are gone, while its status still names one"
    expect = (
        "consumers fail at their next reconciliation with ArtifactFailed `artifact not found`, without an event; the "
        "source stays Ready, and has an artifact again at its own interval: the fault ends by itself; nothing is pruned"
    )

    def remembered(self, artifact: Artifact, random: Random) -> Mapping[str, Json]:
        del random
        return {"path": str(Path(artifact.path).parent)}

    def inject(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        _stored(ground, injection.text("path")).rename(_kept(ground, injection))

    def injected(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        artifact = Artifact.of(ground, injection.target)
        return f"{artifact.url} answers 404" if artifact and artifact.url and artifact.fetched() is None else ""

    def heal(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        kept, folder = _kept(ground, injection), _stored(ground, injection.text("path"))
        for file in kept.iterdir() if kept.exists() else ():
            folder.mkdir(mode=0o700, exist_ok=True)
            if not (folder / file.name).exists():  # source-controller may have fetched it anew
                file.rename(folder / file.name)
        shutil.rmtree(kept, ignore_errors=True)


def _kept(ground: Ground, injection: Injection[Any]) -> Path:
    return ground.folder.scratch / injection.id


class ArtifactCorrupt(_OnArtifacts):
    """A byte of a stored artifact is another one."""

    name = "artifact-corrupt"
    summary = "a byte of a source's stored artifact is flipped, as by a bad disk"
    expect = (
        "consumers refuse it at their next reconciliation with ArtifactFailed `failed to verify archive`, and apply "
        "nothing; the source stays Ready, and has a whole artifact again at its own interval: the fault ends by itself"
    )

    def remembered(self, artifact: Artifact, random: Random) -> Mapping[str, Json]:
        # Not the place itself: how large an artifact is does not follow from the seed.
        return {"path": artifact.path, "digest": artifact.digest, "fraction": random.random()}

    def inject(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        file = _stored(ground, injection.text("path"))
        _write(file, *_flipped(file.read_bytes(), injection))

    def injected(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        artifact = Artifact.of(ground, injection.target)
        content = artifact.fetched() if artifact else None
        if artifact is None or not content or fits(content, artifact.digest):
            return ""
        offset, sound = _flipped(content, injection)
        other = f"byte {offset} of {len(content)} of {artifact.url} is another one, so that it is not {artifact.digest}"
        return other if fits(sound, artifact.digest) else ""

    def heal(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        file = _stored(ground, injection.text("path"))
        content = file.read_bytes() if file.exists() else b""
        if not content:
            return
        offset, sound = _flipped(content, injection)
        if fits(sound, injection.text("digest")):  # else it is whole, or another artifact
            _write(file, offset, sound)


def _flipped(content: bytes, injection: Injection[Any]) -> tuple[int, bytes]:
    """The place of the byte that is meant, and the content with another one there, or again with the one of before."""
    offset = int(float(injection.text("fraction")) * len(content))
    return offset, content[:offset] + bytes([content[offset] ^ 0xFF]) + content[offset + 1 :]


def _write(file: Path, offset: int, content: bytes) -> None:
    """Write one byte of a content into a file, where it is; the others stay as they are there."""
    with file.open("r+b") as stored:
        stored.seek(offset)
        stored.write(content[offset : offset + 1])


FAULTS: FaultTypes = (ArtifactLost, ArtifactCorrupt)
