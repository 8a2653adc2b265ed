"""What became of drift that was to be adopted: the commit, and what was left and why. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from fluxlab.drift.aspects import Actor
from fluxlab.drift.formats import drift_document, dumped, unknown_document
from fluxlab.drift.records import Drift, DriftError, DriftReport
from fluxlab.errors import UnknownError
from fluxlab.moments import Commit

_LONGEST_LINE = 300


@dataclass(frozen=True, kw_only=True)
class Adoption:
    """What of a report git says on a branch, and what it does not."""

    report: DriftReport
    branch: str = ""
    """Empty when nothing was adopted: then there is no branch."""
    commit: Commit | None = None
    adopted: Sequence[Drift] = ()
    left: Sequence[tuple[Drift, str]] = ()
    """What was not adopted, and why."""

    @property
    def exit_code(self) -> int:
        """0 all drift was adopted or there was none, 1 some was left, 2 whether there is more could not be told."""
        if self.left:
            return DriftError.exit_code
        return UnknownError.exit_code if self.report.unknown or not self.report.examined else 0


def as_json(adoption: Adoption) -> str:
    """`branch`, `commit`, `unknown`, what was `adopted`, and what was `left`, each with the reason as `why`."""
    return dumped(
        {
            "branch": adoption.branch,
            "commit": adoption.commit.sha if adoption.commit else "",
            "unknown": [unknown_document(one) for one in adoption.report.unknown],
            "adopted": [drift_document(one) for one in adoption.adopted],
            "left": [{**drift_document(one), "why": why} for one, why in adoption.left],
        }
    )


def message_of(adopted: Sequence[Drift]) -> str:
    """The message of the commit that adopts these: what, and for each who did it and when."""
    clusters = ", ".join(sorted({one.cluster for one in adopted}))
    return "\n".join([f"Adopt what differs from git in {clusters}", "", *map(_paragraph, adopted)])


def _paragraph(one: Drift) -> str:
    line = one.headline if len(one.headline) <= _LONGEST_LINE else f"{one.headline[:_LONGEST_LINE]}..."
    return f"{line}\n  {_who(one.actor)}\n"


def _who(actor: Actor) -> str:
    at = f" at {actor.time.isoformat(timespec='seconds')}" if actor.time else ""
    audit = f", audit id {actor.audit_id}" if actor.audit_id else ""
    return f"{actor}{at}{audit}"
