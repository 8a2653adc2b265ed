"""Did this commit arrive, and if not, why: look at all clusters until it has, will not, or the time is up."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from fluxlab.clusters.api import KubeApi
from fluxlab.clusters.objects import dig
from fluxlab.clusters.resources import DEPLOYMENT
from fluxlab.errors import FluxlabError, WaitTimeoutError
from fluxlab.waiting import wait_until

from .look import Convergence
from .pending import Outlook

LOOK_SECONDS = 0.1
QUOTED_PENDING = 12


class ConvergenceError(FluxlabError):
    """A commit that has not arrived: terminally, or not in time. The facts name each object and why."""

    def __init__(self, what: str, *, looks: Sequence[Convergence], facts: Sequence[str] = (), hint: str = "") -> None:
        super().__init__(what, facts=facts, hint=hint)
        self.looks = tuple(looks)
        """The last look at each cluster."""


def converge(
    look_again: Callable[[], Sequence[Convergence]],
    *,
    timeout_seconds: float,
    progress: Callable[[Sequence[Convergence]], None] = lambda _: None,
    explain: Callable[[], Sequence[str]] = tuple,
    until_asked: bool = False,
) -> Sequence[Convergence]:
    """Look until all clusters have converged, and return that look; `explain` adds facts to an error.

    With `until_asked` it is enough that whatever has not arrived waits for a person.

    Raises ConvergenceError at once when an object has failed terminally, else after the timeout.
    """
    last: Sequence[Convergence] = ()

    def arrived() -> Sequence[Convergence] | None:
        nonlocal last
        last = _after(last, look_again())
        progress(last)
        if any(convergence.failures for convergence in last):
            raise ConvergenceError(f"{_title(last)} failed", looks=last, facts=[*facts(last), *explain()])
        done = [seen.converged or (until_asked and seen.asks) for seen in last]
        return last if last and all(done) else None

    try:
        return wait_until(arrived, what="converged", timeout_seconds=timeout_seconds, interval_seconds=LOOK_SECONDS)
    except WaitTimeoutError:
        raise ConvergenceError(
            f"{_title(last)} has not arrived within {timeout_seconds:g} s",
            looks=last,
            facts=[*facts(last), *explain()],
            hint="fluxlab status; fluxlab flux get all -A",
        ) from None


def _title(last: Sequence[Convergence]) -> str:
    return f"commit {last[0].commit[:10]}" if last else "the commit"


def _after(before: Sequence[Convergence], now: Sequence[Convergence]) -> Sequence[Convergence]:
    """A look, with what objects asked for in the one before where Flux makes an attempt just now."""
    earlier = {(seen.cluster, one.object): one for seen in before for one in seen.pending}
    return [
        replace(seen, pending=tuple(one.after(earlier.get((seen.cluster, one.object), one)) for one in seen.pending))
        for seen in now
    ]


def facts(last: Sequence[Convergence]) -> list[str]:
    """What has not arrived and why, a line each, what can be helped first."""
    several = len(last) > 1
    lines = [
        f"{convergence.cluster}: {pending}" if several else str(pending)
        for convergence in last
        for pending in sorted(convergence.pending, key=lambda one: Outlook.ASKING if one.asked else one.outlook)
    ]
    more = len(lines) - QUOTED_PENDING
    return [*lines[:QUOTED_PENDING], *([f"and {more} more"] if more > 0 else []), *warnings(last)]


def warnings(last: Sequence[Convergence]) -> list[str]:
    """What has arrived otherwise than somebody meant it, as it seems, a line each."""
    several = len(last) > 1
    return [f"{seen.cluster}: {line}" if several else line for seen in last for line in seen.warnings]


def stopped_controllers(api: KubeApi) -> dict[str, str]:
    """Flux's controllers that are scaled to 0, in words: the commonest reason for a commit that does not arrive."""
    return {
        deployment.name: f"{deployment.name} is scaled to 0 ({deployment.namespace})"
        for deployment in api.list(DEPLOYMENT, query={"labelSelector": "app.kubernetes.io/part-of=flux"})
        if dig(deployment.raw, "spec", "replicas") == 0
    }
