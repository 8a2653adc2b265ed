"""Stored artifacts: whether they fit their digest, and the one byte that is flipped."""

import hashlib
from pathlib import Path

import pytest

from fluxlab.faults.layers.sources import Artifact, _flip, fits


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_content_fits_its_own_digest_only(algorithm: str) -> None:
    digest = f"{algorithm}:{hashlib.new(algorithm, b'content').hexdigest()}"
    assert fits(b"content", digest)
    assert not fits(b"Content", digest)
    assert not fits(b"", digest)


@pytest.mark.parametrize("offset", [0, 3, 6])
def test_a_byte_that_is_flipped_twice_is_as_before(tmp_path: Path, offset: int) -> None:
    file = tmp_path / "artifact"
    file.write_bytes(b"content")
    _flip(file, offset)
    broken = file.read_bytes()
    assert [place for place in range(7) if broken[place] != b"content"[place]] == [offset]
    assert len(broken) == 7
    _flip(file, offset)
    assert file.read_bytes() == b"content"


def test_an_artifact_that_is_being_made_anew_cannot_be_fetched() -> None:
    """source-controller has found out by itself: its status names none, until there is another."""
    assert Artifact(url="", path="", digest="").fetched() is None
