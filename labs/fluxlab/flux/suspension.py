"""What of a commit is still to come to an object that is suspended: nothing, or what never will.

That it is suspended has arrived with its parent. Whether the commit changes anything below it, git tells: the status of
what is suspended does not.
"""

import re
from collections.abc import Sequence

import yaml

from fluxlab.clusters.loans import SUSPEND, is_lent
from fluxlab.clusters.objects import KubeObject, dig, text_at
from fluxlab.documents import Json

from .pending import Pending, failed
from .substitution import Text, with_bases

_BETWEEN = re.compile(r"^---.*$", re.MULTILINE)
_BUILDS = frozenset({"Kustomization", "Component"})
"""The kinds of a kustomization.yaml, which may say anything of any object."""


def same_below(path: str, one: Text, other: Text) -> bool:
    """Whether a folder, and what it builds on, says the same at two commits."""
    said = with_bases(path, one)
    return bool(said.strip()) and said == with_bases(path, other)


def same_but_suspended(subject: KubeObject, path: str, one: Text, other: Text) -> bool:
    """Whether a folder says the same of an object at two commits, but for whether it is suspended.

    A folder that says nothing of it may generate it: that is no answer, and not taken for one.
    """
    before, after = (_said_of(subject, with_bases(path, text)) for text in (one, other))
    return bool(after) and before == after


def never_arrives(subject: KubeObject, what: str) -> Pending:
    """What a commit changes below an object that is suspended."""
    if is_lent(subject, SUSPEND):
        return failed(subject, f"is held back by report-only: {what}", next_="fluxlab report-only off")
    return failed(subject, f"is suspended: {what}")


def _said_of(subject: KubeObject, text: str) -> Sequence[Json]:
    found: list[Json] = []
    for part in _BETWEEN.split(text):
        try:
            document: Json = yaml.safe_load(part)
        except yaml.YAMLError:
            continue  # notes and scripts lie in repositories, too
        if text_at(document, "kind") == subject.kind and text_at(document, "metadata", "name") == subject.name:
            found.append(_without_suspend(document))
        elif text_at(document, "kind") in _BUILDS and "kustomize.config.k8s.io" in text_at(document, "apiVersion"):
            found.append(document)
    # What only builds says nothing of it by itself.
    return found if any(text_at(one, "kind") == subject.kind for one in found) else []


def _without_suspend(document: Json) -> Json:
    spec = dig(document, "spec")
    if not isinstance(document, dict) or not isinstance(spec, dict):
        return document
    return {**document, "spec": {key: value for key, value in spec.items() if key != "suspend"}}
