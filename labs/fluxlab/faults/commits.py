"""Faults that push a commit: it is known by the injection's id in its message, and its opposite takes it out."""

import re
from collections.abc import Sequence
from typing import Any

from fluxlab.clusters.objects import text_at

from .base import Ground, Injection

_BEGIN = re.compile(r"^commit (?=[0-9a-f]{40}$)", re.MULTILINE)


def message(injection: Injection[Any], what: str) -> str:
    """The message of a commit that is to be found again."""
    return f"{what} (fault {injection.id})"


def revert(ground: Ground, injection: Injection[Any]) -> None:
    """Push the opposite of what an injection has pushed, if it has, and nobody did so yet. Raises CommandError."""
    if pushed := standing(ground.repository.log(), injection.id):
        ground.repository.revert(pushed)


def revert_by_hand(injection: Injection[Any]) -> Sequence[str]:
    """The commands that do so in a clone."""
    found = f"git log -1 --format=%H --grep={injection.id}"
    return [f"git revert --no-edit $({found}) && git push    # in a clone (fluxlab clone), unless that was done"]


def standing(log: str, id_: str) -> str:
    """The commit of an injection in a log, newest first, that was not reverted; empty when there is none."""
    # The message of a revert quotes that of what it reverts.
    found = [commit for commit in _BEGIN.split(log)[1:] if id_ in commit]
    return found[0].split(maxsplit=1)[0] if len(found) % 2 else ""


def applied(ground: Ground) -> str:
    """That Flux has applied the branch's head to the cluster; empty when it has not."""
    head = ground.repository.head()
    revision = text_at(ground.cluster.kustomization().raw, "status", "lastAppliedRevision")
    return f"Flux has applied {revision}" if revision.endswith(f":{head}") else ""
