"""Rules by which a Kustomization (`.spec.ignore`) or HelmRelease (`.spec.driftDetection.ignore`) leaves fields alone.

Both have the same shape: JSON pointers, and a target whose texts are regular expressions that match as a whole
(fluxcd/pkg `apis/kustomize`, `Selector`, and `ssa/jsondiff`, `SelectorRegex`). Pure.
"""

import re
from collections.abc import Iterator, Mapping

from fluxlab.clusters.objects import KubeObject, dig, items_at, text_at
from fluxlab.clusters.selectors import SelectorError, selects
from fluxlab.documents import Json

_SELECTORS = {"labelSelector": "labels", "annotationSelector": "annotations"}


def ignoring(owner: KubeObject, subject: KubeObject, pointer: str) -> str:
    """Which rule of `owner` has it leave a field of one of its objects alone, in words; empty when none does.

    The empty pointer is that of the whole object.
    """
    for rule in _rules(owner):
        covered = next((path for path in _paths(rule) if pointer == path or pointer.startswith(f"{path}/")), None)
        if covered is not None and _targets(dig(rule, "target"), subject):
            return f"a rule of {owner} has it ignore {covered or 'the whole object'}"
    return ""


def _rules(owner: KubeObject) -> Iterator[Json]:
    place = ("driftDetection", "ignore") if owner.kind == "HelmRelease" else ("ignore",)
    yield from items_at(owner.raw, "spec", *place)


def _paths(rule: Json) -> Iterator[str]:
    yield from (str(path) for path in items_at(rule, "paths"))


def _targets(target: Json, subject: KubeObject) -> bool:
    group, _, version = subject.api_version.rpartition("/")
    is_ = {
        "group": group,
        "version": version,
        "kind": subject.kind,
        "namespace": subject.namespace,
        "name": subject.name,
    }
    wanted = {name: text_at(target, name) for name in is_}
    return all(not pattern or _matches(pattern, is_[name]) for name, pattern in wanted.items()) and all(
        _selects(text_at(target, selector), dig(subject.raw, "metadata", place))
        for selector, place in _SELECTORS.items()
    )


def _selects(selector: str, values: Json) -> bool:
    try:
        return selects(
            selector, {key: str(value) for key, value in values.items()} if isinstance(values, Mapping) else {}
        )
    except SelectorError:
        return False  # as below


def _matches(pattern: str, text: str) -> bool:
    try:
        return re.fullmatch(pattern, text) is not None
    except re.error:
        return False  # the controller refuses such a rule, too
