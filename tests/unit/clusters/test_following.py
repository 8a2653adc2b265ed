"""A lab's controllers follow their Deployments, whatever becomes of the watch."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import cast

import pytest

from fluxlab.clusters import following
from fluxlab.clusters.api import ApiUnreachableError, KubeApi, Listing
from fluxlab.clusters.following import Following
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import Resource

Change = tuple[str, str]


def deployment(name: str) -> KubeObject:
    return KubeObject({"kind": "Deployment", "metadata": {"name": name}})


class Api:
    """An API server with some Deployments, of which each watch tells one story, and then breaks."""

    def __init__(self, *stories: Sequence[Change], meanwhile: Mapping[int, Sequence[Change]]) -> None:
        """`meanwhile`: what happens before a watch, and nobody tells."""
        self._stories = stories
        self._meanwhile = meanwhile
        self._there = {"source-controller", "helm-controller"}
        self._watches = 0
        self.done = threading.Event()

    def _happens(self, kind: str, name: str) -> None:
        (self._there.discard if kind == "DELETED" else self._there.add)(name)

    def _catch_up(self) -> None:
        for change in self._meanwhile.get(self._watches, ()):
            self._happens(*change)

    def listing(self, _: Resource, *, namespace: str) -> Listing:
        assert namespace == "flux-system"
        self._catch_up()
        return Listing(objects=[deployment(name) for name in sorted(self._there)], resource_version="7")

    def watch(self, _: Resource, *, namespace: str, resource_version: str = "") -> Iterator[tuple[str, KubeObject]]:
        assert namespace == "flux-system"
        if not resource_version:
            self._catch_up()
            yield from (("ADDED", deployment(name)) for name in sorted(self._there))
        if self._watches >= len(self._stories):
            self.done.set()
            raise ApiUnreachableError("it does not answer any more")
        for kind, name in self._stories[self._watches]:
            self._happens(kind, name)
            yield kind, deployment(name)
        self._watches += 1


Told = Callable[..., Sequence[Change]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    """Follows an API server until it has nothing more to tell, and returns what was told of that."""
    monkeypatch.setattr(following, "RECONNECT_SECONDS", 0.001)
    begun: list[Following] = []

    def follow(*stories: Sequence[Change], meanwhile: Mapping[int, Sequence[Change]]) -> Sequence[Change]:
        heard: list[Change] = []
        api = Api(*stories, meanwhile=meanwhile)
        thread = Following(
            cast("KubeApi", api),
            changed=lambda one: heard.append(("changed", one.name)),
            deleted=lambda one: heard.append(("deleted", one.name)),
        )
        begun.append(thread)
        thread.start()
        assert api.done.wait(timeout=60)
        return heard

    yield follow
    for thread in begun:
        thread.stopping.set()
        thread.join()


def test_each_change_is_told(told: Told) -> None:
    heard = told([("MODIFIED", "helm-controller"), ("DELETED", "source-controller")], meanwhile={})
    assert heard[:4] == [
        ("changed", "helm-controller"),
        ("changed", "source-controller"),
        ("changed", "helm-controller"),
        ("deleted", "source-controller"),
    ]
    assert heard.count(("deleted", "source-controller")) == 1, "it is not told again with the next watch"


def test_what_was_deleted_while_the_watch_was_broken_is_told(told: Told) -> None:
    heard = told([], [], meanwhile={1: [("DELETED", "source-controller")]})
    assert heard.count(("deleted", "source-controller")) == 1
    assert heard[-1] == ("changed", "helm-controller")


def test_what_a_watch_has_told_last_is_what_is_missed_after_it(told: Told) -> None:
    heard = told([("ADDED", "image-controller")], [], meanwhile={1: [("DELETED", "image-controller")]})
    assert ("deleted", "image-controller") in heard


def test_what_came_back_while_the_watch_was_broken_is_only_told_as_it_is(told: Told) -> None:
    gone_and_back = [("DELETED", "source-controller"), ("ADDED", "source-controller")]
    heard = told([], [], meanwhile={1: gone_and_back})
    assert {kind for kind, _ in heard} == {"changed"}
