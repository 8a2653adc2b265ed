"""Rules by which a Kustomization (`.spec.ignore`) or HelmRelease (`.spec.driftDetection.ignore`) leaves fields alone.

Both have the same shape: JSON pointers, and a target whose texts are regular expressions that match as a whole
(fluxcd/pkg `apis/kustomize`, `Selector`, and `ssa/jsondiff`, `SelectorRegex`). Pure.
"""

import re
from collections.abc import Iterator

from fluxlab.clusters.objects import KubeObject, dig, items_at, text_at
from fluxlab.documents import Json

_UNREAD = ("labelSelector", "annotationSelector")


def ignoring(owner: KubeObject, subject: KubeObject, pointer: str) -> tuple[bool | None, str]:
    """Whether a rule of `owner` has it leave a field of one of its objects alone, and which; None: not known."""
    unread = ""
    for rule in _rules(owner):
        covered = next((path for path in _paths(rule) if pointer == path or pointer.startswith(f"{path}/")), "")
        if not covered or not _targets(rule, subject):
            continue
        selectors = [name for name in _UNREAD if text_at(rule, "target", name)]
        if not selectors:
            return True, f"a rule of {owner} has it ignore {covered}"
        unread = f"a rule of {owner} ignores {covered} where its {selectors[0]} matches, which is not looked into"
    return (None, unread) if unread else (False, "")


def _rules(owner: KubeObject) -> Iterator[Json]:
    place = ("driftDetection", "ignore") if owner.kind == "HelmRelease" else ("ignore",)
    yield from items_at(owner.raw, "spec", *place)


def _paths(rule: Json) -> Iterator[str]:
    yield from (str(path) for path in items_at(rule, "paths"))


def _targets(rule: Json, subject: KubeObject) -> bool:
    group, _, version = subject.api_version.rpartition("/")
    is_ = {
        "group": group,
        "version": version,
        "kind": subject.kind,
        "namespace": subject.namespace,
        "name": subject.name,
    }
    wanted = {name: text_at(dig(rule, "target"), name) for name in is_}
    return all(not pattern or _matches(pattern, is_[name]) for name, pattern in wanted.items())


def _matches(pattern: str, text: str) -> bool:
    try:
        return re.fullmatch(pattern, text) is not None
    except re.error:
        return False  # the controller refuses such a rule, too
