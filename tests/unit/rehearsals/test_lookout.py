"""Who looks for signals waits through troubles, and looks for nothing that can never be."""

from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fluxlab.clusters.resources import NODE
from fluxlab.errors import UnknownError, UsageError, WaitTimeoutError
from fluxlab.lab import Lab
from fluxlab.moments import Moment
from fluxlab.rehearsals.history import History
from fluxlab.rehearsals.lookout import Lookout
from fluxlab.rehearsals.signals import SignalSpec
from fluxlab.rehearsals.spec import Rehearsal

READY = {"kind": "Kustomization", "place": "flux-system/shop"}
LATE = {"pending": {"object": "Kustomization flux-system/shop", "for_seconds": 0}}


class Looks:
    """A lab that answers as it is told, the last answer again and again."""

    def __init__(self, *answers: object) -> None:
        self._answers = list(answers)

    def __call__(self) -> list[Any]:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return [SimpleNamespace(pending=answer)]


def lookout(forbidden: Mapping[str, object], *answers: object) -> Lookout:
    rehearsal = Rehearsal.model_validate(
        {
            "title": "a pause",
            "hypothesis": [{"what": "it is there", "workloads": "shop"}],
            "steps": [{"fault": {"fault": "controller-pause"}}, {"wait": LATE}],
            "expect": [{"what": "it is logged", "log": {"component": "etcd", "pattern": "late"}}],
            "forbid": [{"what": "it is said", **forbidden}],
            "truth": {"cause": "a pause"},
        }
    )
    cluster = SimpleNamespace(name="one", api=SimpleNamespace(resources=lambda: (NODE,)))
    lab = SimpleNamespace(cluster=cluster, look=Looks(*answers), patience=lambda seconds: seconds, moment=Moment)
    return Lookout(rehearsal, cast("Lab", lab), cast("History", SimpleNamespace()), control=False)


def kinds(way: str, **changes: str) -> Iterator[object]:
    return lookout({way: {**READY, **changes}}).kinds()


@pytest.mark.parametrize("way", ["condition", "event"])
def test_what_nothing_is_called_is_refused_and_no_silence(way: str) -> None:
    assert list(kinds(way))
    assert list(kinds(way, kind="node", place="one"))
    for wrong, told in (
        ({"kind": "kustomizations"}, "objects say 'Kustomization'"),
        ({"kind": "Kustomisation"}, "serves no kind"),
        ({"place": "shop"}, "it is NAMESPACE/NAME"),
        ({"place": "flux-system/"}, "it is NAMESPACE/NAME"),
        ({"kind": "Node", "place": "shop/one"}, "in no namespace"),
    ):
        with pytest.raises(UsageError) as caught:
            list(kinds(way, **wrong))
        assert told in str(caught.value)


def test_a_wait_goes_on_while_nobody_can_look() -> None:
    late = SimpleNamespace(object="Kustomization flux-system/shop", why="it has applied nothing")
    looking = lookout({"condition": READY}, [], UnknownError("the API is gone"), [late])
    looking.mark("controller-pause", fault=True)
    assert "applied nothing" in looking.await_one(SignalSpec.model_validate(LATE), 30)


def test_a_wait_that_ends_tells_why_nobody_could_look() -> None:
    looking = lookout({"condition": READY}, [], UnknownError("the API is gone"))
    looking.mark("controller-pause", fault=True)
    with pytest.raises(WaitTimeoutError) as caught:
        looking.await_one(SignalSpec.model_validate(LATE), 0.1)
    assert "the API is gone" in str(caught.value)


def test_a_step_may_wait_before_any_other_has_a_name() -> None:
    late = SimpleNamespace(object="Kustomization flux-system/shop", why="it has applied nothing")
    looking = lookout({"condition": READY}, [], [late])
    looking.begin()
    assert "applied nothing" in looking.await_one(SignalSpec.model_validate(LATE), 30)
