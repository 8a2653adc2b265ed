"""Where a watch begins that goes on after an earlier recorder: what is taken for a lost history, and what is not."""

import threading
from collections.abc import Iterator, Mapping
from queue import Queue

import pytest

from fluxlab.clusters.api import ApiError, KubeApi, Listing
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import CONFIG_MAP, Resource
from fluxlab.recorder.watching import Listed, News, Watching

KNOWN, NOW = "7", "90"


class Api(KubeApi):
    """Refuses to tell what was, a number of times."""

    def __init__(self, *, status: int, times: int) -> None:
        self.status = status
        self.times = times
        self.ending = threading.Event()
        self.watched = threading.Event()

    def listing(self, resource: Resource, *, query: Mapping[str, str] | None = None, **_: object) -> Listing:
        assert resource == CONFIG_MAP
        wanted = (query or {}).get("resourceVersion", NOW)
        if wanted == KNOWN and self.times:
            self.times -= 1
            raise ApiError("GET /api/v1/configmaps", status=self.status, message="no")
        return Listing(objects=[], resource_version=wanted)

    def watch(self, resource: Resource, *, resource_version: str = "", **_: object) -> Iterator[tuple[str, KubeObject]]:
        assert (resource, resource_version in {KNOWN, NOW}) == (CONFIG_MAP, True)
        self.watched.set()
        self.ending.wait()
        yield from ()


def begun(api: Api) -> Listed:
    """What a watch of which the timeline has everything up to KNOWN tells first."""
    news: News = Queue()
    watching = Watching(
        api=api,
        cluster="c",
        resource=CONFIG_MAP,
        since=KNOWN,
        news=news,
        stopping=api.ending,
        secret_seen=lambda _: None,
    )
    watching.start()
    assert api.watched.wait(20)
    api.ending.set()
    watching.join(20)
    first = news.get_nowait()
    assert isinstance(first, Listed)
    assert news.empty()
    return first


def test_a_version_that_was_compacted_is_a_history_that_is_gone() -> None:
    first = begun(Api(status=410, times=1))
    assert (first.version, first.known, first.forgotten) == (NOW, False, True)


@pytest.mark.parametrize("status", [403, 429, 500, 503, 504])
def test_a_server_that_cannot_answer_now_is_asked_again_and_nothing_is_lost(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fluxlab.recorder.watching.RECONNECT_SECONDS", 0.01)
    first = begun(Api(status=status, times=3))
    assert (first.version, first.known, first.forgotten) == (KNOWN, True, False)
