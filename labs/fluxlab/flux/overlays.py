"""What git says of all that a Kustomization builds: in its folder, in its components, and in what these build on."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from posixpath import join, normpath

import yaml

from fluxlab.clusters.objects import KubeObject, items_at, text_at
from fluxlab.documents import Json, ManifestLoader, check_nesting

MOST_FOLDERS = 50
Text = Callable[[str], str]
"""All that the files below a path of the repository say at a commit; empty where there are none."""
_BETWEEN = re.compile(r"^---.*$", re.MULTILINE)
_OF_A_KIND = re.compile(r"^kind:(?!\s*[\"']?(Kustomization|Component)\b)", re.MULTILINE)
_KUSTOMIZE = "kustomize.config.k8s.io/"
_KINDS = frozenset({"", "Kustomization", "Component"})
_BUILDS = frozenset(
    {
        *("resources", "components", "bases", "patches", "patchesStrategicMerge", "generators", "transformers"),
        *("configMapGenerator", "secretGenerator"),
    }
)


def built_from(kustomization: KubeObject, text: Text) -> str:
    """What git says in the folder of a Kustomization, in its components, and in what these build on."""
    path = text_at(kustomization.raw, "spec", "path")
    components = [one for one in items_at(kustomization.raw, "spec", "components") if isinstance(one, str)]
    return with_bases([path, *(join(path, one) for one in components)], text)


def with_bases(folders: Iterable[str], text: Text) -> str:
    """What folders and those that their overlays build on (`- ../../base/app`) say, as far as that can be seen."""
    waiting, seen, said = [normpath(folder.lstrip("/")) for folder in folders][::-1], set[str](), list[str]()
    while waiting and len(said) < MOST_FOLDERS:
        folder = waiting.pop()
        if folder in seen or folder.startswith(".."):
            continue
        seen.add(folder)
        if found := text(folder):
            said.append(found)
            waiting.extend(base for way in _ways_out(found) for base in _ends(folder, way))
    return "\n---\n".join(said)


def parts_of(text: str) -> Sequence[str]:
    """The documents of files, as they stand there."""
    return _BETWEEN.split(text)


def documents(parts: Iterable[str]) -> Iterator[Json]:
    """Documents, without what is no YAML: notes and scripts lie in repositories, too."""
    for part in parts:
        try:
            check_nesting(part)
            yield from yaml.load_all(part, Loader=ManifestLoader)
        except (yaml.YAMLError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):  # of odd tags
            continue


def kustomization_files(text: str) -> Iterator[Json]:
    """Each kustomization.yaml, which may say anything of any object."""
    likely = (part for part in parts_of(text) if _KUSTOMIZE in part or not _OF_A_KIND.search(part))
    return filter(is_kustomization_file, documents(likely))


def is_kustomization_file(document: Json) -> bool:
    """Whether a document is for kustomize itself; that need not say its kind, nor its apiVersion."""
    if not isinstance(document, Mapping):
        return False
    version, kind = text_at(document, "apiVersion"), text_at(document, "kind")
    return version.startswith(_KUSTOMIZE) or not (version or kind not in _KINDS or _BUILDS.isdisjoint(document))


@lru_cache(maxsize=128)
def _ways_out(said: str) -> Sequence[str]:
    """Where the kustomization files of a folder, and of those in it, lead out of where they are.

    Remembered: a look asks for it again and again, and large files take seconds to be read.
    """
    return list(_leading_out(said))


def _leading_out(said: str) -> Iterator[str]:
    for value in strings(list(kustomization_files(said))):
        way = normpath(value.rpartition("=")[2])  # generators name what they take: `settings.yaml=../settings.yaml`
        if way.startswith("../"):
            yield way


def _ends(folder: str, way: str) -> Iterator[str]:
    """Where a way out may end: how deep in the folder the file lies that says it, is not told."""
    up = way.split("/").count("..")
    for levels in range(1, up + 1):
        yield normpath(join(folder, "../" * levels, way.removeprefix("../" * up)))


def strings(value: Json) -> Iterator[str]:
    """All texts in a document, in order; what an alias repeats is told once."""
    waiting, seen = [value], set[int]()
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, (dict, list)) and id(one) not in seen:
            seen.add(id(one))
            waiting.extend(reversed(list(one.values()) if isinstance(one, dict) else one))
