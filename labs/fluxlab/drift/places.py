"""Where in a repository an object stands: the file and the line at which its manifest begins."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

import yaml

from fluxlab.clusters.objects import KubeObject, text_at
from fluxlab.documents import JsonObject, ManifestLoader, check_nesting

_LARGEST_BYTES = 300_000
"""Larger files are generated: nobody reads them by lines, and parsing them takes seconds."""


class Places:
    """The manifests below a folder of a repository, read when the first place is asked for."""

    def __init__(self, tree: Path, below: str) -> None:
        self._tree = tree
        self._below = below

    def of(self, subject: KubeObject) -> str:
        """`clusters/staging/cart.yaml:12`; empty where no single file says so."""
        found = self._known.get((subject.kind, subject.name), [])
        fitting = {place for namespace, place in found if namespace in {"", subject.namespace}}
        return fitting.pop() if len(fitting) == 1 else ""

    @cached_property
    def _known(self) -> Mapping[tuple[str, str], list[tuple[str, str]]]:
        """By kind and name: the namespace that the manifest names, and its place."""
        known = defaultdict(list)
        for file in sorted((self._tree / self._below).rglob("*.y*ml")):
            if file.is_file() and file.stat().st_size < _LARGEST_BYTES:
                for line, manifest in _documents(file):
                    key = text_at(manifest, "kind"), text_at(manifest, "metadata", "name")
                    place = f"{file.relative_to(self._tree)}:{line}"
                    known[key].append((text_at(manifest, "metadata", "namespace"), place))
        return known


def _documents(file: Path) -> Iterator[tuple[int, JsonObject]]:
    """The line at which each mapping of a YAML file begins, and the mapping; none of what is no manifest."""
    try:
        text = file.read_text(encoding="utf-8")
        check_nesting(text)
        yield from _parsed(text)
    except (yaml.YAMLError, UnicodeDecodeError):
        return  # what Flux builds does not need it, or the build has failed


def _parsed(text: str) -> Iterator[tuple[int, JsonObject]]:
    loader = ManifestLoader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            if isinstance(node, yaml.MappingNode):
                yield node.start_mark.line + 1, loader.construct_document(node)
    finally:
        loader.dispose()
