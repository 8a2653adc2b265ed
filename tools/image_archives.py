"""Container images written as archives for `docker load`, `ctr images import`, `kind load`: no docker, no base image.

The layout is that of `docker save`, which all three read: layers, one configuration for each image, and manifest.json.
https://github.com/moby/docker-image-spec/blob/main/spec.md
"""

import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import IO

from fluxlab.toolchain import Platform

CREATED = "2026-01-01T00:00:00Z"
"""Always the same: an image of the same files is the same image."""
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TEMPORARY = 0o1777


@dataclass(frozen=True, kw_only=True)
class Member:
    """One path in an image: a copy of `source`, a link to `link`, or a folder."""

    path: str
    source: Path | None = None
    link: str = ""
    mode: int = 0o755

    def info(self) -> tarfile.TarInfo:
        """As an archive lists it: owned by root and without times, which say nothing about what is in it."""
        info = tarfile.TarInfo(self.path)
        info.mode = self.mode
        if self.source is not None:
            info.size = self.source.stat().st_size
        elif self.link:
            info.type, info.linkname, info.mode = tarfile.SYMTYPE, self.link, 0o777
        else:
            info.type = tarfile.DIRTYPE
        return info


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Some files; the folders above them are added."""

    members: tuple[Member, ...]

    def write(self, archive: tarfile.TarFile) -> None:
        """Write it."""
        done = {member.path for member in self.members}
        for member in self.members:
            for folder in reversed(Path(member.path).parents[:-1]):
                if str(folder) not in done:
                    done.add(str(folder))
                    archive.addfile(Member(path=str(folder)).info())
            if member.source is None:
                archive.addfile(member.info())
            else:
                with member.source.open("rb") as file:
                    archive.addfile(member.info(), file)


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A whole root file system: with its owners, modes, times and devices."""

    root: Path

    def write(self, archive: tarfile.TarFile) -> None:
        """Write it."""
        for path in sorted(self.root.iterdir()):
            archive.add(path, path.name)


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image under one name or several."""

    names: tuple[str, ...]
    layers: tuple[Layer | Tree, ...]
    entrypoint: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    stop_signal: str = ""
    user: str = ""

    def configuration(self, digests: Sequence[str], *, architecture: str) -> bytes:
        """What is run how, and the digests of the layers in order."""
        environment = {"PATH": SEARCH_PATH, **self.environment}
        settings = {
            "Env": [f"{name}={value}" for name, value in environment.items()],
            "Entrypoint": list(self.entrypoint) or None,
            "Labels": dict(self.labels) or None,
            "StopSignal": self.stop_signal or None,
            "User": self.user or None,
        }
        content = {
            "architecture": architecture,
            "os": "linux",
            "created": CREATED,
            "config": {name: value for name, value in settings.items() if value},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
            "history": [{"created": CREATED, "created_by": "fluxlab"} for _ in digests],
        }
        return json.dumps(content, sort_keys=True).encode()


def program(binary: Path, *, at: str = "usr/local/bin") -> Layer:
    """A layer with one static program and a folder for temporary files."""
    return Layer(members=(Member(path=f"{at}/{binary.name}", source=binary), Member(path="tmp", mode=TEMPORARY)))


def write_archive(target: Path, images: Iterable[Image]) -> None:
    """Write all images into one file, whole or not at all; a layer that several have is in it once."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.unfinished")
    with tarfile.open(unfinished, "w", format=tarfile.PAX_FORMAT) as archive:
        writer = _Writer(archive, scratch=target.parent)
        index = [writer.add(image) for image in images]
        writer.put("manifest.json", json.dumps(index).encode())
    unfinished.replace(target)


class _Writer:
    """One archive while it is written."""

    def __init__(self, archive: tarfile.TarFile, *, scratch: Path) -> None:
        self._archive = archive
        self._scratch = scratch
        self._digests: dict[Layer | Tree, str] = {}
        self._written: set[str] = set()

    def add(self, image: Image) -> dict[str, object]:
        """Write an image's layers and configuration; returns its entry of the index."""
        digests = [self._layer(layer) for layer in image.layers]
        configuration = image.configuration(digests, architecture=Platform.native().architecture)
        name = f"{hashlib.sha256(configuration).hexdigest()}.json"
        self.put(name, configuration)
        return {
            "Config": name,
            "RepoTags": list(image.names),
            "Layers": [f"{digest}/layer.tar" for digest in digests],
        }

    def put(self, name: str, content: bytes) -> None:
        """Write a small file."""
        self._write(name, io.BytesIO(content), size=len(content))

    def _layer(self, layer: Layer | Tree) -> str:
        if layer not in self._digests:
            with tempfile.TemporaryFile(dir=self._scratch) as file:
                with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
                    layer.write(archive)
                size = file.tell()
                file.seek(0)
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                file.seek(0)
                self._write(f"{digest}/layer.tar", file, size=size)
            self._digests[layer] = digest
        return self._digests[layer]

    def _write(self, name: str, source: IO[bytes], *, size: int) -> None:
        if name in self._written:  # named by its digest: the same content
            return
        self._written.add(name)
        info = tarfile.TarInfo(name)
        info.size = size
        self._archive.addfile(info, source)
