"""Fields that are set on an object for a while: what was there, and whose it was, is noted on the object itself.

Who gives them back need not be who set them. Which of them are lent still, the managed fields tell: a field that
somebody wrote since is theirs. Pure.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from fluxlab.documents import Json, JsonObject

from .objects import KubeObject, dig, having, items_at, text_at

Path = tuple[str, ...]
"""Keys, from an object down to one of its fields."""
NOTE: Path = ("metadata", "annotations", "fluxlab.dev/report-only")
BORROWER = "fluxlab-report-only"
"""The field manager that sets these fields, and no others: its entry goes as a whole."""
SUSPEND: Path = ("spec", "suspend")
_MANAGED: Path = ("metadata", "managedFields")


@dataclass(frozen=True, kw_only=True)
class _Loan:
    """One field as it was."""

    path: Path
    before: Json
    """None where there was nothing."""
    owners: Sequence[JsonObject]
    """Whose it was: entries of the managed fields, without their sets of fields."""


def is_noted(subject: KubeObject) -> bool:
    """Whether something was lent that was not given back in full."""
    return dig(subject.raw, *NOTE) is not None


def is_lent(subject: KubeObject, path: Path) -> bool:
    """Whether a field is as the borrower set it."""
    return any(loan.path == path and dig(subject.raw, *path) != loan.before for loan in _lent(subject))


def lend(subject: KubeObject, values: Mapping[Path, Json]) -> KubeObject:
    """The object with fields set, and a note on it of what was there; what was lent before is so still."""
    before = as_before(subject)
    loans = [loan for loan in _loans(subject) if loan.path not in values]
    loans += [
        _Loan(path=path, before=dig(before.raw, *path), owners=[_without_set(one) for one in _owners(before, path)])
        for path in values
    ]
    raw = having(subject.raw, NOTE, json.dumps([asdict(loan) for loan in loans]))
    for path, value in values.items():
        raw = having(raw, path, value)
    return KubeObject(raw)


def as_before(subject: KubeObject) -> KubeObject:
    """The object once all that is lent is given back, to those whose it was."""
    if not is_noted(subject):
        return subject
    raw = having(subject.raw, NOTE, None)
    entries = {_who(entry): entry for entry in _managed(subject) if text_at(entry, "manager") != BORROWER}
    for loan in _lent(subject):
        raw = having(raw, loan.path, loan.before)
        for owner in loan.owners:
            entry = entries.get(_who(owner), owner)
            entries[_who(owner)] = having(entry, ("fieldsV1", *_steps(loan.path)), {})
    return KubeObject(having(raw, _MANAGED, list(entries.values())))


def give_back(subject: KubeObject) -> KubeObject | None:
    """What to write next so that all is given back; None when it is.

    Whoever writes a value owns it, so values come first, and go to their owners with the next write.
    """
    if not is_noted(subject):
        return None
    raw = subject.raw
    for loan in _lent(subject):
        if loan.before not in (None, dig(raw, *loan.path)):
            raw = having(raw, loan.path, loan.before)
    return as_before(subject) if raw is subject.raw else KubeObject(raw)


def taken_over(subject: KubeObject) -> Sequence[Path]:
    """The fields that were lent and that somebody wrote since: they are not given back. NOTE, if it cannot be read."""
    loans, lent = _loans(subject), _lent(subject)
    if is_noted(subject) and not loans:
        return [NOTE]
    return [loan.path for loan in loans if loan not in lent]


def _loans(subject: KubeObject) -> list[_Loan]:
    try:
        noted: Json = json.loads(text_at(subject.raw, *NOTE) or "[]")
    except ValueError:
        return []  # anybody may write annotations
    return [
        _Loan(
            path=tuple(map(str, items_at(one, "path"))),
            before=dig(one, "before"),
            owners=[owner for owner in items_at(one, "owners") if isinstance(owner, Mapping)],
        )
        for one in items_at(noted)
        if items_at(one, "path")
    ]


def _lent(subject: KubeObject) -> Sequence[_Loan]:
    """The loans whose fields nobody else wrote since."""
    own = [entry for entry in _managed(subject) if text_at(entry, "manager") == BORROWER]
    return [loan for loan in _loans(subject) if any(_owns(entry, loan.path) for entry in own)]


def _managed(subject: KubeObject) -> Sequence[JsonObject]:
    return [entry for entry in items_at(subject.raw, *_MANAGED) if isinstance(entry, Mapping)]


def _owners(subject: KubeObject, path: Path) -> Sequence[JsonObject]:
    return [entry for entry in _managed(subject) if _owns(entry, path)]


def _owns(entry: JsonObject, path: Path) -> bool:
    return dig(entry, "fieldsV1", *_steps(path)) is not None


def _steps(path: Path) -> Path:
    return tuple(f"f:{key}" for key in path)


def _without_set(entry: JsonObject) -> JsonObject:
    return {key: value for key, value in entry.items() if key != "fieldsV1"}


def _who(entry: JsonObject) -> tuple[str, str, str]:
    """What tells the entries of an object from one another."""
    return text_at(entry, "manager"), text_at(entry, "operation"), text_at(entry, "subresource")
