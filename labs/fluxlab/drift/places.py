"""Where in a repository an object stands, or one of its fields: in the files that a Kustomization builds."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml

from fluxlab.clusters.objects import KubeObject, items_at, text_at
from fluxlab.clusters.paths import pointer_to, value_at
from fluxlab.clusters.resources import SECRET
from fluxlab.documents import Json, ManifestLoader, check_nesting

OVERLAYS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_LARGEST_BYTES = 300_000
"""Larger files are generated: nobody reads them by lines, and parsing them takes seconds."""
_VARIABLE = "${"


@dataclass(frozen=True)
class _Document:
    """One mapping in a YAML file."""

    file: str
    content: Json
    node: yaml.Node
    above: int = 0
    """How many lines of the file are above the text that it was read from: a patch may stand in an overlay."""
    patch: bool = False

    @property
    def place(self) -> str:
        """Where it begins."""
        return self._at(self.node)

    def nearest(self, field: str) -> str:
        """Where a field stands, else whatever it would stand in."""
        node, found = self.node, self.node
        for token in pointer_to(field, self.content).split("/")[1:]:
            key, inner = _entry(node, token.replace("~1", "/").replace("~0", "~"))
            if key is None or inner is None:
                break
            node, found = inner, key
        return self._at(found)

    def _at(self, node: yaml.Node) -> str:
        return f"{self.file}:{self.above + node.start_mark.line + 1}"


def _entry(node: yaml.Node, token: str) -> tuple[yaml.Node | None, yaml.Node | None]:
    """The node at which an entry of a mapping or list begins, and its value."""
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == token), (None, None))
    if isinstance(node, yaml.SequenceNode) and token.isdigit() and int(token) < len(node.value):
        return node.value[int(token)], node.value[int(token)]
    return None, None


class Places:
    """The manifests that a folder of a repository builds, read when the first place is asked for.

    Those of its bases and components, too, and patches by file or in an overlay. What an overlay makes of them by other
    means (names, images, generators) stands nowhere.
    """

    def __init__(self, tree: Path, below: str) -> None:
        self._tree = tree.resolve()
        self._below = below

    def of(self, subject: KubeObject, field: str = "") -> str:
        """`clusters/staging/cart.yaml:12`; empty where no single file says so.

        The line of the field where the file says of it what was built; of its manifest where something else does.
        """
        known = self._known.get((subject.kind, subject.name), [])
        fitting = [one for one in known if _namespace(one) in {"", subject.namespace}]
        manifests = [one for one in fitting if not one.patch]
        wanted = value_at(field, subject.raw) if field else None
        if wanted is not None and subject.kind != SECRET.kind:  # the values of Secrets are not known here
            said = [one for one in fitting if value_at(field, one.content) == wanted]
            if said and len(manifests) == 1:
                return max(said, key=lambda one: one.patch).nearest(field)  # patches come last
        if len(manifests) != 1:
            return ""
        [manifest] = manifests
        there = value_at(field, manifest.content) if field else None
        overridden = there is not None and subject.kind != SECRET.kind and _VARIABLE not in str(there)
        return manifest.nearest(field) if field and not overridden and len(fitting) == 1 else manifest.place

    @cached_property
    def _known(self) -> Mapping[tuple[str, str], Sequence[_Document]]:
        """By kind and name."""
        known = defaultdict(list)
        for one in self._built(self._tree / self._below, set()):
            known[text_at(one.content, "kind"), text_at(one.content, "metadata", "name")].append(one)
        return known

    def _built(self, folder: Path, done: set[Path]) -> Iterator[_Document]:
        """What a folder is built from: all that its overlay names; all that is in it where it has none."""
        if folder in done:  # two may have one base; none is built from itself
            return
        done.add(folder)
        overlay = _overlay_of(folder)
        if overlay is None:
            for inner in sorted(folder.iterdir()) if folder.is_dir() else ():
                if inner.is_dir():
                    yield from self._built(inner, done)
                elif inner.suffix in {".yaml", ".yml"}:
                    yield from self._documents(inner)
            return
        for one in self._documents(overlay):
            named = (items_at(one.content, key) for key in ("resources", "bases", "components"))
            for inner in self._there(folder, (str(entry) for entries in named for entry in entries)):
                if inner.is_dir():
                    yield from self._built(inner, done)
                elif inner not in done:
                    done.add(inner)
                    yield from self._documents(inner)
            yield from self._patches(folder, one)

    def _patches(self, folder: Path, overlay: _Document) -> Iterator[_Document]:
        """Those that are merged, from their files or from the overlay itself."""
        files = [text_at(patch, "path") for patch in items_at(overlay.content, "patches")]
        files += [str(entry) for entry in items_at(overlay.content, "patchesStrategicMerge")]
        for file in self._there(folder, files):
            yield from self._documents(file, patch=True)
        _, patches = _entry(overlay.node, "patches")
        for patch in patches.value if isinstance(patches, yaml.SequenceNode) else ():
            _, text = _entry(patch, "patch")
            if isinstance(text, yaml.ScalarNode) and text.style == "|":
                for content, node in _parsed(text.value):
                    above = text.start_mark.line + 1
                    yield _Document(overlay.file, content, node, above=above, patch=True)

    def _there(self, folder: Path, names: Iterable[str]) -> Iterator[Path]:
        """The files and folders of the tree that an overlay names; any text may stand there."""
        for name in names:
            try:
                found = (folder / name).resolve()
                there = found.is_relative_to(self._tree) and found.exists()
            except (OSError, RuntimeError, ValueError):  # too long; a circle of links; a zero byte: no name of a file
                continue
            if there:
                yield found

    def _documents(self, file: Path, *, patch: bool = False) -> Iterator[_Document]:
        """The mappings of a YAML file; none of what is no manifest."""
        if not (file.is_relative_to(self._tree) and file.is_file() and file.stat().st_size < _LARGEST_BYTES):
            return
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            return  # what Flux builds does not need it, or the build has failed
        for content, node in _parsed(text):
            yield _Document(str(file.relative_to(self._tree)), content, node, patch=patch)


def _overlay_of(folder: Path) -> Path | None:
    return next((folder / name for name in OVERLAYS if (folder / name).is_file()), None)


def _namespace(document: _Document) -> str:
    return text_at(document.content, "metadata", "namespace")


def _parsed(text: str) -> Iterator[tuple[Json, yaml.Node]]:
    """The mappings of a text; those before the first that cannot be read, which the build has failed at."""
    try:
        check_nesting(text)
        loader = ManifestLoader(text)
    except yaml.YAMLError:
        return
    try:
        while loader.check_node():
            node = loader.get_node()
            if isinstance(node, yaml.MappingNode):
                content: Json = loader.construct_document(node)
                yield content, node
    except yaml.YAMLError:
        return
    finally:
        loader.dispose()
