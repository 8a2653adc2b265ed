"""Change a draft until it says as much as can be of what is aimed at."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

from fluxlab.clusters.resources import HELM_RELEASE
from fluxlab.drift.records import Drift
from fluxlab.errors import FluxlabError, UsageError
from fluxlab.timeline.entries import ObjectRef

from .aims import Aim
from .draft import Draft
from .trial import Attempt, Trial
from .ways import NoWayError, Ways

_Group = Sequence[tuple[Drift, Aim]]
"""What one change is made for: the drift of one object, or of all objects of a HelmRelease."""


class Settlement:
    """What of some drift a draft says, and what it does not and why."""

    def __init__(self, trial: Trial, draft: Draft, ways: Ways, *, progress: Callable[[str], None]) -> None:
        self._trial = trial
        self._draft = draft
        self._ways = ways
        self._progress = progress
        self.adopted: list[Drift] = []
        self.left: list[tuple[Drift, str]] = []

    def reach(self, drifts: Sequence[Drift], aim_of: Callable[[Drift], Aim]) -> None:
        """Adopt what can be, and leave the rest; `aim_of` raises FluxlabError with the reason where there is no aim."""
        groups: dict[object, list[tuple[Drift, Aim]]] = defaultdict(list)
        for drift in drifts:
            try:
                aim = aim_of(drift)
            except FluxlabError as error:
                self.left.append((drift, error.what))
                continue
            whole = aim.owner.object.kind == HELM_RELEASE.kind
            groups[aim.owner if whole else (aim.owner, aim.subject)].append((drift, aim))
        self._settle(list(groups.values()))

    def _settle(self, groups: Sequence[_Group]) -> None:
        """All at once, if that holds: each trial builds everything. Else each half by itself."""
        if not groups:
            return
        self._progress(f"changes to try out: {len(groups)}")
        if len(groups) == 1:
            self._settle_one(groups[0])
        elif not self._hold(groups):
            middle = len(groups) // 2
            self._settle(groups[:middle])
            self._settle(groups[middle:])

    def _hold(self, groups: Sequence[_Group]) -> bool:
        """Whether the first way of each leads there; if not, the draft is as it was."""
        before = self._draft.changes
        attempts = [attempt for group in groups if (attempt := self._first(_aims(group)))]
        if len(attempts) < len(groups) or self._trial.why_not(attempts):
            self._draft.back_to(before)
            return False
        self.adopted += [drift for group in groups for drift, _ in group]
        return True

    def _first(self, aims: Sequence[Aim]) -> Attempt | None:
        for way in self._ways.to(aims):
            before = self._draft.changes
            try:
                return way(aims)
            except (NoWayError, UsageError):
                self._draft.back_to(before)
        return None

    def _settle_one(self, group: _Group) -> None:
        """By the first way that leads there; if none does, each half by itself."""
        aims, reasons = _aims(group), []
        for way in self._ways.to(aims):
            before = self._draft.changes
            try:
                reason = self._trial.why_not([way(aims)])
            except (NoWayError, UsageError) as error:
                reason = error.what
            if not reason:
                self.adopted += [drift for drift, _ in group]
                return
            self._draft.back_to(before)
            reasons.append(reason)
        if len(group) == 1:
            self.left.append((group[0][0], "; ".join(dict.fromkeys(reasons))))
        else:
            middle = len(group) // 2
            self._settle_one(group[:middle])
            self._settle_one(group[middle:])


def _aims(group: _Group) -> Sequence[Aim]:
    """One for each object."""
    together: dict[ObjectRef, Aim] = {}
    for _, aim in group:
        known = together.get(aim.subject, aim)
        together[aim.subject] = replace(known, fields={**known.fields, **aim.fields})
    return list(together.values())
