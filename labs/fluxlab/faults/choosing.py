"""What somebody asks for, made into a plan. What cannot be is refused here, before anything is touched."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from random import Random
from typing import Any

from pydantic import ValidationError

from fluxlab.clusters.capabilities import UnsupportedError
from fluxlab.clusters.consent import is_given
from fluxlab.errors import UsageError
from fluxlab.fault_records import FaultRecord

from .base import Ground, Parameters, Plan
from .catalogue import AnyFault
from .descriptions import describe

QUOTED_CANDIDATES = 30
_OF_THE_LAB = ("host:", "branch:")
"""What is touched by these names is the same thing for all clusters of a lab."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What will be done to what."""

    target: str
    parameters: Parameters
    plan: Plan


def choose(fault: AnyFault, ground: Ground, *, target: str, parameters: Mapping[str, object], seed: int) -> Choice:
    """Plan a fault: the same one for the same lab, wishes and seed. Raises UsageError and UnsupportedError."""
    _check_allowed(fault, ground)
    chosen = chosen_parameters(fault, parameters)
    random = Random(f"{seed}/{fault.name}/{ground.cluster.name}")  # noqa: S311 # a plan, no secret
    place = _chosen_target(fault, fault.candidates(ground), target, random)
    return Choice(target=place, parameters=chosen, plan=fault.plan(ground, place, chosen, random))


def check_free(fault: AnyFault, cluster: str, touches: frozenset[str], others: Sequence[FaultRecord]) -> None:
    """Raise UsageError when another fault has something in its hands that this one would touch."""
    for other in others:
        shared = other.touches & touches
        if both := sorted(one for one in shared if other.cluster == cluster or one.startswith(_OF_THE_LAB)):
            end = f"until {other.until:%H:%M:%S} UTC" if other.state.is_timed else "still: it waits to be taken out"
            facts = [f"{other.id} has {', '.join(both)} {end}"]
            raise UsageError(f"{fault.name} excludes {other.fault}", facts=facts, hint=f"fluxlab heal {other.id}")


def chosen_parameters(fault: AnyFault, given: Mapping[str, object]) -> Any:  # of the fault's own type
    """The parameters of a fault. Raises UsageError that names what is wrong and what there is."""
    try:
        return fault.parameters.model_validate(given)
    except ValidationError as error:
        facts = [f"{'.'.join(map(str, one['loc'])) or 'parameters'}: {one['msg']}" for one in error.errors()]
        known = [f"{name}: {text}" for name, text in describe(fault).parameters.items()] or ["it has none"]
        raise UsageError(f"{fault.name} cannot have these parameters", facts=[*facts, "parameters:", *known]) from None


def _check_allowed(fault: AnyFault, ground: Ground) -> None:
    cluster = ground.cluster
    if reason := fault.lacks(ground):
        facts = [reason, f"backends that have it: {describe(fault).places}"]
        raise UnsupportedError(f"cluster {cluster.name} ({cluster.root.footing}) cannot have {fault.name}", facts=facts)
    theirs = cluster.root.lasts
    if theirs and not is_given(ground.api):
        hint = "fluxlab consent CONTEXT"
        raise UsageError(f"cluster {cluster.name} is not given to fluxlab (any more)", hint=hint)


def _chosen_target(fault: AnyFault, candidates: Sequence[str], target: str, random: Random) -> str:
    if not candidates:
        raise UsageError(f"{fault.name}: there is nothing that it could be done to")
    if not target:
        return random.choice(sorted(candidates))
    matching = [one for one in candidates if fnmatchcase(one, target)]
    if not matching:
        known = [f"candidates: {', '.join(candidates[:QUOTED_CANDIDATES]) or 'none'}"]
        raise UsageError(f"{fault.name}: no target is {target!r}", facts=known)
    if len(matching) > 1:
        facts = [f"it matches {', '.join(matching[:QUOTED_CANDIDATES])}"]
        raise UsageError(f"{fault.name}: {target!r} matches {len(matching)}, at most 1 may", facts=facts)
    return matching[0]
