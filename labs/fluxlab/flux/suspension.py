"""What of a commit is still to come to an object that is suspended: nothing, or what never will.

That it is suspended has arrived with its parent. Whether the commit changes anything below it, git tells: the status of
what is suspended does not.
"""

from collections.abc import Mapping, Sequence

from fluxlab.clusters.loans import SUSPEND, is_lent
from fluxlab.clusters.objects import KubeObject, dig, items_at, text_at
from fluxlab.documents import Json

from .charts import packaged_from
from .overlays import Text, built_from, documents, is_kustomization_file, kustomization_files, parts_of, with_bases
from .pending import Pending, failed


def same_below(kustomization: KubeObject, one: Text, other: Text) -> bool:
    """Whether all that a Kustomization is built from says the same at two commits; nothing is no answer."""
    said = built_from(kustomization, one)
    return bool(said.strip()) and said == built_from(kustomization, other)


def same_chart(chart: KubeObject, one: Text, other: Text) -> bool:
    """Whether a chart that lies in the repository is the same at two commits, with its values; archives are no text."""
    before, after = (with_bases(packaged_from(chart), text) for text in (one, other))
    return bool(after) and before == after


def same_but_suspended(subject: KubeObject, by: KubeObject, one: Text, other: Text) -> bool:
    """Whether what a Kustomization is built from says the same of an object at two commits, but for its suspension.

    Where nothing is said of it, it may be generated: that is no answer, and not taken for one.
    """
    before, after = ([_without_suspend(said) for said in _said_of(subject, by, text)] for text in (one, other))
    return bool(after) and _goes_on(before, after)


def parked(subject: KubeObject, by: KubeObject, before: Text, after: Text) -> bool:
    """Whether git had an object suspended before a commit already, and says the same of it with the commit.

    What suspends it otherwise (by hand, a JSON patch, a variable) is not seen, and not taken for that.
    """
    said = _said_of(subject, by, before)
    return any(_suspends(one, subject) for one in said) and _goes_on(said, _said_of(subject, by, after))


def never_arrives(subject: KubeObject, what: str) -> Pending:
    """What a commit changes below an object that is suspended."""
    if is_lent(subject, SUSPEND):
        return failed(subject, f"is held back by report-only: {what}", next_="fluxlab report-only off")
    return failed(subject, f"is suspended: {what}")


def _said_of(subject: KubeObject, by: KubeObject, text: Text) -> Sequence[Json]:
    """What is said of an object, and the kustomization files, which may change it; nothing where nothing names it."""
    said = built_from(by, text)
    naming = documents(part for part in parts_of(said) if subject.kind in part and subject.name in part)
    called = [one for one in naming if _is_called(one, subject) and not is_kustomization_file(one)]
    # One of another namespace may be moved by an overlay, or by `targetNamespace`.
    found = [one for one in called if _names(one, subject)] or called
    return [*found, *kustomization_files(said)] if found else []


def _goes_on(before: Sequence[Json], after: Sequence[Json]) -> bool:
    """Whether all is said as before. That a kustomization file takes in more says nothing of what it had."""
    return len(before) == len(after) and all(map(_says_the_same, before, after))


def _says_the_same(one: Json, other: Json) -> bool:
    had, has = items_at(one, "resources"), items_at(other, "resources")
    if isinstance(one, Mapping) and is_kustomization_file(one) and all(each in has for each in had) and had:
        one = {**one, "resources": has}
    return one == other


def _names(document: Json, subject: KubeObject) -> bool:
    return _is_called(document, subject) and text_at(document, "metadata", "namespace") in {"", subject.namespace}


def _is_called(document: Json, subject: KubeObject) -> bool:
    return (text_at(document, "kind"), text_at(document, "metadata", "name")) == (subject.kind, subject.name)


def _suspends(document: Json, subject: KubeObject) -> bool:
    if is_kustomization_file(document):
        patches = documents(text_at(one, "patch") for one in items_at(document, "patches"))
        return any(_suspends(one, subject) for one in patches if _names(one, subject))
    return dig(document, "spec", "suspend") is True


def _without_suspend(document: Json) -> Json:
    spec = dig(document, "spec")
    if not isinstance(document, dict) or not isinstance(spec, dict):
        return document
    return {**document, "spec": {key: value for key, value in spec.items() if key != "suspend"}}
