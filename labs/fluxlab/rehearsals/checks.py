"""Ask whether something holds in a lab now: yes, no, or nobody can tell."""

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus

from fluxlab.clusters.api import ApiError
from fluxlab.clusters.objects import KubeObject, dig
from fluxlab.clusters.resources import WORKLOADS
from fluxlab.errors import FluxlabError, UnknownError, WaitTimeoutError
from fluxlab.flux.rollout import rollout
from fluxlab.lab import Lab
from fluxlab.timeline.entries import ObjectRef
from fluxlab.waiting import wait_until

from .signals import ConditionSpec
from .spec import Check, FieldSpec

LOOK_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of asking."""

    holds: bool | None
    """None: it could not be told."""
    words: str


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What came of asking several checks."""

    answers: Sequence[Answer]
    """In the order of the checks."""
    held: datetime | None = None
    """When all of them held; None: they were not seen to hold at one time."""


def ask(check: Check, lab: Lab) -> Answer:
    """Whether a check holds now. A question that could not be asked is an answer, too."""
    try:
        return _way(check)(lab)
    except UnknownError as error:
        return Answer(holds=None, words=error.what)
    except FluxlabError as error:
        return Answer(holds=None, words=str(error))


def ask_together(checks: Sequence[Check], lab: Lab) -> Answers:
    """Ask whether all hold at one time; the first that does not ends it: later ones may have no answer.

    That is when the last one holds: the others have to hold before it and after it, or they may have taken turns.
    """
    answers = _in_turn(checks, lab)
    held = datetime.now(UTC)  # asking again only confirms it, and may take long
    if len(answers) < len(checks) or not all(one.holds for one in answers):
        return Answers(answers=answers)
    again = _in_turn(checks[:-1], lab)
    confirmed = all(one.holds for one in again)
    return Answers(answers=[*again, *answers[len(again) :]], held=held if confirmed else None)


def await_check(check: Check, lab: Lab, within_seconds: float) -> Answer:
    """The first answer that it holds, or the last one when the time is over."""
    [answer] = await_checks([check], lab, within_seconds).answers
    return answer


def await_checks(checks: Sequence[Check], lab: Lab, within_seconds: float) -> Answers:
    """What each answers once all hold at one time, or the last answers when the time is over."""
    found = Answers(answers=())

    def hold_together() -> bool:
        nonlocal found
        found = ask_together(checks, lab)
        return found.held is not None

    timeout_seconds = lab.patience(within_seconds)
    with contextlib.suppress(WaitTimeoutError):  # the last answers tell why
        wait_until(hold_together, what="checks", timeout_seconds=timeout_seconds, interval_seconds=LOOK_SECONDS)
    left = checks[len(found.answers) :]
    return replace(found, answers=[*found.answers, *(ask(check, lab) for check in left)])


def _in_turn(checks: Sequence[Check], lab: Lab) -> Sequence[Answer]:
    """The answers up to the first that it does not hold: as long as one fails, the others are not worth their price."""
    answers: list[Answer] = []
    for check in checks:
        answers.append(ask(check, lab))
        if not answers[-1].holds:
            break
    return answers


def _way(check: Check) -> Callable[[Lab], Answer]:
    if check.arrived:
        return _arrived
    if check.drift:
        return _no_drift
    if workloads := check.workloads:
        return lambda lab: _rolled_out(lab, workloads)
    if condition := check.condition:
        return lambda lab: _condition(lab, condition)
    if field := check.field:
        return lambda lab: _field(lab, field)
    if absent := check.absent:
        return lambda lab: _absent(lab, absent)
    raise AssertionError("of the kinds of checks there is one")


def _arrived(lab: Lab) -> Answer:
    looks = lab.look()
    pending = [one for look in looks for one in look.pending]
    if pending:
        return Answer(holds=False, words=str(pending[0]))
    arrived = sum(len(look.arrived) for look in looks)
    return Answer(holds=all(look.converged for look in looks), words=f"{looks[0].commit[:10]}: {arrived} objects")


def _no_drift(lab: Lab) -> Answer:
    report = lab.drift()
    if report.drifts:
        return Answer(holds=False, words=str(report.drifts[0]))
    if report.unknown:
        return Answer(holds=None, words=str(report.unknown[0]))
    return Answer(holds=report.clean, words=f"{report.examined} objects are as git wants them")


def _rolled_out(lab: Lab, namespace: str) -> Answer:
    found = [one for resource in WORKLOADS for one in lab.cluster.api.list(resource, namespace=namespace)]
    late = [pending for one in found if (pending := rollout(one))]
    if late:
        return Answer(holds=False, words=str(late[0]))
    words = f"{len(found)} workloads are rolled out"
    return Answer(holds=bool(found), words=words if found else f"there is no workload in {namespace}")


def _condition(lab: Lab, spec: ConditionSpec) -> Answer:
    found = _get(lab, spec.kind, spec.place)
    condition = found.condition(spec.type) if found else None
    if found is None or condition is None:
        return Answer(holds=False, words=f"{spec.kind} {spec.place} has no condition {spec.type}")
    older = "" if spec.is_current(condition, found) else ", of an older generation"
    return Answer(holds=spec.fits(condition, found), words=f"{found}: {condition}{older}")


def _field(lab: Lab, spec: FieldSpec) -> Answer:
    found = _get(lab, spec.kind, spec.place)
    if found is None:
        return Answer(holds=False, words=f"{spec.kind} {spec.place} is not there")
    value = dig(found.raw, *spec.path.split("."))
    if value is None:
        return Answer(holds=False, words=f"{found} has no {spec.path}")
    text = value if isinstance(value, str) else json.dumps(value)
    return Answer(holds=text == spec.equals, words=f"{found}: {spec.path} is {text}")


def _absent(lab: Lab, reference: str) -> Answer:
    about = ObjectRef.parse(reference)
    place = f"{about.namespace}/{about.name}" if about.namespace else about.name
    found = _get(lab, about.kind, place)
    return Answer(holds=found is None, words=f"{reference} is {'there' if found else 'not there'}")


def _get(lab: Lab, kind: str, place: str) -> KubeObject | None:
    try:
        return lab.cluster.get(kind, place)
    except ApiError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return None
        raise
