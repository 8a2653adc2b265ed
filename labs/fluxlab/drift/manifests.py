"""Manifests that Flux and Helm wrote, as objects."""

from collections.abc import Iterator, Mapping

import yaml

from fluxlab.clusters.objects import KubeObject, items_at, text_at
from fluxlab.documents import Json, ManifestLoader


def manifests_in(text: str) -> Iterator[KubeObject]:
    """The objects of a YAML stream, those of a List one by one. Raises yaml.YAMLError."""
    for document in yaml.load_all(text, Loader=ManifestLoader):
        yield from _flat(document)


def _flat(document: Json) -> Iterator[KubeObject]:
    if not isinstance(document, Mapping):
        return  # an empty document
    if text_at(document, "kind") == "List":
        for item in items_at(document, "items"):
            yield from _flat(item)
    else:
        yield KubeObject(document)
