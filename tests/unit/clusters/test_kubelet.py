"""The kubelet endpoint: real logs of Flux's controllers, and a plain word about pods that have none."""

import asyncio
from collections.abc import MutableMapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from fluxlab.clusters.kubelet import Kubelet

POD = "flux-system/source-controller-6d8f7c9b5-x2x9z"
LINES = [
    '{"level":"info","ts":"2026-01-01T10:00:00.500Z","msg":"one"}\n',
    '{"level":"info","ts":"2026-01-01T10:00:01.000Z","msg":"two"}\n',
    "panic: not JSON at all\n",
    '{"level":"info","ts":"2026-01-01T10:00:02.000Z","msg":"three"}\n',
]


@pytest.fixture
def kubelet(tmp_path: Path) -> Kubelet:
    log = tmp_path / "source-controller.log"
    log.write_text("".join(LINES))
    return Kubelet(logs={"source-controller": log})


def ask(kubelet: Kubelet, path: str, *, method: str = "GET") -> httpx.Response:
    async def request() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=kubelet), base_url="https://node") as client:
            return await client.request(method, path)

    return asyncio.run(request())


def logs(kubelet: Kubelet, query: str = "") -> str:
    answer = ask(kubelet, f"/containerLogs/{POD}/manager?{query}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return answer.text


def test_the_log_of_a_controllers_pod_is_the_controllers(kubelet: Kubelet) -> None:
    assert logs(kubelet) == "".join(LINES)


@pytest.mark.parametrize(("count", "expected"), [(0, []), (1, LINES[3:]), (3, LINES[1:]), (99, LINES)])
def test_the_last_lines_only(kubelet: Kubelet, count: int, expected: list[str]) -> None:
    assert logs(kubelet, f"tailLines={count}") == "".join(expected)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-01-01T10:00:00Z", [LINES[0], LINES[1], LINES[3]]),
        ("2026-01-01T10:00:01Z", [LINES[1], LINES[3]]),
        ("2026-01-01T11:00:01%2B01:00", [LINES[1], LINES[3]]),
        ("2026-01-01T10:00:03Z", []),
    ],
)
def test_lines_since_a_time(kubelet: Kubelet, moment: str, expected: list[str]) -> None:
    assert logs(kubelet, f"sinceTime={moment}") == "".join(expected)


def test_lines_of_the_last_seconds(kubelet: Kubelet, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    old, new = (f'{{"ts":"{(now - timedelta(seconds=age)).isoformat()}"}}\n' for age in (3600, 0))
    (tmp_path / "source-controller.log").write_text(old + new)
    assert logs(kubelet, "sinceSeconds=600") == new


def test_the_last_of_the_lines_since_a_time(kubelet: Kubelet) -> None:
    assert logs(kubelet, "sinceTime=2026-01-01T10:00:01Z&tailLines=1") == LINES[3]


@pytest.mark.parametrize(
    "pod",
    [
        "demo/source-controller-6d8f7c9b5-x2x9z",
        "flux-system/web-6d8f7c9b5-x2x9z",
        "demo/web-0",
        "flux-system/source-controller",
    ],
)
def test_every_other_pod_is_said_to_be_simulated(kubelet: Kubelet, pod: str) -> None:
    answer = ask(kubelet, f"/containerLogs/{pod}/main")
    assert answer.status_code == 200
    assert answer.text.startswith(f"pod {pod} is simulated by KWOK")
    assert answer.text.endswith("\n")


def test_there_is_no_log_of_a_container_before(kubelet: Kubelet) -> None:
    assert "is simulated" in logs(kubelet, "previous=true")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "path",
    [
        f"/exec/{POD}/manager",
        f"/exec/{POD}/uid-1/manager",
        f"/attach/{POD}/manager",
        f"/attach/{POD}/uid-1/manager",
        f"/run/{POD}/manager",
        f"/portForward/{POD}",
    ],
)
def test_nothing_is_ever_executed(kubelet: Kubelet, method: str, path: str, tmp_path: Path) -> None:
    answer = ask(kubelet, f"{path}?command=touch&command={tmp_path}/proof", method=method)
    assert answer.status_code == 501
    assert "nothing to execute in" in answer.text
    assert not (tmp_path / "proof").exists()


@pytest.mark.parametrize("path", ["/", "/pods", "/metrics", "/logs/", "/debug/pprof", f"/cri/exec/{POD}"])
def test_nothing_else_is_answered(kubelet: Kubelet, path: str) -> None:
    assert ask(kubelet, path).status_code == 404


def test_following_goes_on_after_the_log_was_emptied(kubelet: Kubelet, tmp_path: Path) -> None:
    log = tmp_path / "source-controller.log"
    moved = '{"ts":"2026-01-01T10:00:03.000Z","msg":"after"}\n'
    heard = b""

    async def follow() -> None:
        arrived, ended = asyncio.Event(), asyncio.Event()

        async def receive() -> dict[str, str]:
            await ended.wait()
            return {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            nonlocal heard
            heard += message.get("body", b"")
            if heard == "".join(LINES).encode():
                log.write_text(moved)  # as `bound_logs` does it: emptied, and appended to by its program
            if heard.endswith(moved.encode()):
                arrived.set()

        scope = {
            "type": "http",
            "method": "GET",
            "path": f"/containerLogs/{POD}/manager",
            "query_string": b"follow=true",
            "headers": [],
        }
        answering = asyncio.ensure_future(kubelet(scope, receive, send))
        try:
            await asyncio.wait_for(arrived.wait(), timeout=20)
        finally:
            ended.set()
            await answering

    asyncio.run(follow())
    assert heard.decode() == "".join([*LINES, moved])
