"""The git server with real git clients, raw sockets and hostile ones; what moved is read from the files, not asked."""

import asyncio
import base64
import contextlib
import gzip
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
import psutil
import pytest

from fluxlab.errors import FluxlabError
from fluxlab.servers.git import GitServer
from fluxlab.servers.git_repositories import GitRepositories, GitRepository
from fluxlab.servers.http import bind_loopback, serve
from fluxlab.servers.pushes import Push
from fluxlab.waiting import wait_until

pytestmark = pytest.mark.integration
LAB = "one"

T = TypeVar("T")
Call = Callable[[Awaitable[Any]], Any]
READ, WRITE = "git-upload-pack", "git-receive-pack"


@dataclass
class Served:
    """A running git server, its repositories, and the pushes that it told of."""

    repositories: GitRepositories
    server: GitServer
    port: int
    pushes: list[Push] = field(default_factory=list)
    strangers: frozenset[int] = field(default_factory=lambda: frozenset(one.pid for one in psutil.Process().children()))
    """What this process had started before, such as labs of other tests."""

    def children(self) -> list[psutil.Process]:
        """The server's CGI processes: those of this process that run in sessions of their own."""
        own = [one for one in psutil.Process().children() if one.pid not in self.strangers]
        return [one for child in own for one in _with_descendants(child) if _is_of_a_server(one)]

    def url(self, repository: GitRepository, *, token: str | None = None, user: str = "tester") -> str:
        return f"http://{user}:{token or repository.token}@127.0.0.1:{self.port}/{repository.name}.git"

    def plain_url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def told(self, count: int = 1) -> list[Push]:
        """The pushes, once there are so many; the server tells of one before git's client has ended."""
        wait_until(lambda: len(self.pushes) >= count, what=f"{count} pushes told", timeout_seconds=5)
        return self.pushes


def _with_descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _is_of_a_server(process: psutil.Process) -> bool:
    try:
        return process.is_running() and os.getsid(process.pid) != os.getsid(0)
    except ProcessLookupError:
        return False


@pytest.fixture
def served(tmp_path: Path, call: Call) -> Iterator[Served]:
    repositories = GitRepositories(tmp_path / "state")
    server = GitServer(repositories, lab=LAB)
    listener = call(serve(server, bind_loopback(0)))
    running = Served(repositories, server, listener.port)

    async def remember(push: Push) -> None:
        running.pushes.append(push)

    server.subscribe(remember)
    yield running
    call(listener.stop())
    call(server.stop())
    assert not running.children(), "the server left processes behind"


@pytest.fixture
def fleet(served: Served) -> GitRepository:
    return served.repositories.create("fleet", url="https://github.com/acme/fleet.git")


CLIENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "t",
    "GIT_AUTHOR_EMAIL": "t@example.org",
    "GIT_COMMITTER_NAME": "t",
    "GIT_COMMITTER_EMAIL": "t@example.org",
}


def git(*arguments: str | Path, cwd: Path, ok: bool = True, trace: bool = False) -> str:
    environment = {**CLIENT, **({"GIT_TRACE_PACKET": "1", "GIT_TRACE_CURL": "1"} if trace else {})}
    words = ["git", *map(str, arguments)]
    done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode == 0) is ok, done.stdout + done.stderr
    return done.stdout + done.stderr


def commit(clone: Path, name: str, content: str | bytes = "x") -> str:
    """Write a file, commit it, and say which commit that is."""
    (clone / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    git("add", ".", cwd=clone)
    git("commit", "--quiet", "-m", name, cwd=clone)
    return git("rev-parse", "HEAD", cwd=clone).strip()


def new_clone(served: Served, repository: GitRepository, folder: Path) -> Path:
    git("clone", "--quiet", served.url(repository), folder, cwd=folder.parent)
    return folder


@pytest.fixture
def clone(served: Served, fleet: GitRepository, tmp_path: Path) -> Path:
    """A clone whose first commit is pushed, and whose push is forgotten."""
    folder = new_clone(served, fleet, tmp_path / "clone")
    commit(folder, "first")
    git("push", "--quiet", "origin", "main", cwd=folder)
    served.told()
    served.pushes.clear()
    return folder


def stored_ref(repository: GitRepository, ref: str) -> str | None:
    """What git stored for a ref, read from the file."""
    file = repository.path / ref
    return file.read_text().strip() if file.exists() else None


def basic(token: str, user: str = "anybody") -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()}


def pkt(text: bytes) -> bytes:
    return f"{len(text) + 4:04x}".encode() + text


def push_request(clone: Path, ref: str, old: str, new: str) -> bytes:
    """The body of a receive-pack request, made by hand."""
    revisions = f"{new}\n" if set(old) == {"0"} else f"{new}\n^{old}\n"
    pack = subprocess.run(
        ["git", "pack-objects", "--revs", "--stdout", "-q"],
        cwd=clone,
        env=CLIENT,
        input=revisions.encode(),
        capture_output=True,
        check=True,
    ).stdout
    return pkt(f"{old} {new} {ref}\0 report-status".encode()) + b"0000" + pack


def post(served: Served, repository: GitRepository, service: str, body: bytes, **headers: str) -> httpx.Response:
    kind = {"content-type": f"application/x-{service}-request", **basic(repository.token), **headers}
    with httpx.Client(trust_env=False, timeout=20) as client:
        return client.post(served.plain_url(f"/{repository.name}.git/{service}"), content=body, headers=kind)


def get(served: Served, path: str, **headers: str) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=20) as client:
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        return client.get(served.plain_url(path), headers=raw)


class TestReadingAndWriting:
    def test_a_pushed_commit_is_served_and_told_of_exactly(
        self, served: Served, fleet: GitRepository, tmp_path: Path
    ) -> None:
        assert fleet.served_commit() is None
        clone = new_clone(served, fleet, tmp_path / "clone")
        first = commit(clone, "first")
        git("push", "origin", "main", cwd=clone)
        second = commit(clone, "second")
        git("push", "origin", "main", cwd=clone)
        told = [(c.ref, c.old, c.new) for push in served.told(2) for c in push.changes]
        assert told == [("refs/heads/main", "0" * 40, first), ("refs/heads/main", first, second)]
        assert {(push.who, push.repository.name) for push in served.pushes} == {("tester", "fleet")}
        assert fleet.served_commit() == second == stored_ref(fleet, "refs/heads/main")
        other = new_clone(served, fleet, tmp_path / "other")
        assert git("rev-parse", "HEAD", cwd=other).strip() == second

    @pytest.mark.parametrize("name", ["a", "a\u0085b", "a\u2028b", "a\u2029"])  # the last three end lines elsewhere
    def test_several_refs_of_one_push_are_one_push(
        self, served: Served, fleet: GitRepository, clone: Path, name: str
    ) -> None:
        tip = git("rev-parse", "HEAD", cwd=clone).strip()
        git("push", "origin", f"main:refs/heads/{name}", "main:refs/tags/v1", cwd=clone)
        assert stored_ref(fleet, f"refs/heads/{name}") == tip
        git("push", "origin", f":refs/heads/{name}", cwd=clone)
        both, removal = served.told(2)
        assert {(c.ref, c.old, c.new) for c in both.changes} == {
            (f"refs/heads/{name}", "0" * 40, tip),
            ("refs/tags/v1", "0" * 40, tip),
        }
        assert [(c.branch, c.deleted, c.old) for c in removal.changes] == [(name, True, tip)]
        assert stored_ref(fleet, f"refs/heads/{name}") is None

    def test_pushing_what_is_there_already_tells_nothing(self, served: Served, clone: Path) -> None:
        git("push", "origin", "main", cwd=clone)
        git("fetch", cwd=clone)
        tip = commit(clone, "more")
        git("push", "origin", "main", cwd=clone)
        assert [push.changes[0].new for push in served.told()] == [tip]

    def test_shallow_and_partial_clones_hold_only_what_they_asked_for(
        self, served: Served, fleet: GitRepository, clone: Path, tmp_path: Path
    ) -> None:
        blob = "content of a file that a partial clone leaves out"
        commit(clone, "second", blob)
        git("push", "--quiet", "origin", "main", cwd=clone)
        git("clone", "--quiet", "--depth=1", served.url(fleet), tmp_path / "shallow", cwd=tmp_path)
        assert git("rev-list", "--count", "HEAD", cwd=tmp_path / "shallow").strip() == "1"
        git("clone", "--quiet", "--bare", "--filter=blob:none", served.url(fleet), tmp_path / "partial", cwd=tmp_path)
        there = git("rev-list", "--objects", "--all", "--missing=print", cwd=tmp_path / "partial")
        assert len(re.findall(r"^\?", there, re.MULTILINE)) == 2

    def test_any_commit_can_be_fetched_by_its_name(
        self, served: Served, fleet: GitRepository, clone: Path, tmp_path: Path
    ) -> None:
        orphaned = commit(clone, "second")
        git("push", "--quiet", "origin", "main", cwd=clone)
        git("push", "--quiet", "--force", "origin", "main~1:main", cwd=clone)
        git("init", "--quiet", tmp_path / "empty", cwd=tmp_path)
        # Version 2 of the protocol lets every client do this; the older ones only where the server allows it.
        git("-c", "protocol.version=0", "fetch", "--quiet", served.url(fleet), orphaned, cwd=tmp_path / "empty")
        assert git("rev-parse", "FETCH_HEAD", cwd=tmp_path / "empty").strip() == orphaned

    def test_protocol_version_2_is_spoken(self, served: Served, fleet: GitRepository, clone: Path) -> None:
        seen = git("-c", "protocol.version=2", "ls-remote", served.url(fleet), cwd=clone, trace=True)
        assert "< version 2" in seen

    def test_a_request_in_gzip_is_understood(self, served: Served, fleet: GitRepository, clone: Path) -> None:
        old = git("rev-parse", "HEAD", cwd=clone).strip()
        new = commit(clone, "second")
        body = gzip.compress(push_request(clone, "refs/heads/main", old, new))
        response = post(served, fleet, WRITE, body, **{"content-encoding": "gzip"})
        assert b"ok refs/heads/main" in response.content
        assert [(c.old, c.new) for c in served.told()[0].changes] == [(old, new)]

    def test_a_push_in_chunks_is_understood(self, fleet: GitRepository, clone: Path) -> None:
        new = commit(clone, "big", os.urandom(300_000))
        seen = git("-c", "http.postBuffer=65536", "push", "origin", "main", cwd=clone, trace=True)
        assert "Transfer-Encoding: chunked" in seen
        assert stored_ref(fleet, "refs/heads/main") == new

    def test_a_client_that_waits_for_100_continue_gets_it(self, served: Served, fleet: GitRepository) -> None:
        head = (
            f"POST /fleet.git/{READ} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-{READ}-request\r\n"
            f"Authorization: {basic(fleet.token)['authorization']}\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", served.port), timeout=10) as raw:
            raw.sendall(head.encode())
            first, then = b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\n"
            assert raw.recv(len(first), socket.MSG_WAITALL) == first
            raw.sendall(b"0000")
            assert raw.recv(len(then), socket.MSG_WAITALL) == then


class TestWhoMayDoWhat:
    @pytest.mark.usefixtures("fleet")
    def test_without_a_token_known_and_unknown_names_look_alike(self, served: Served) -> None:
        known, unknown = (
            get(served, f"/{name}.git/info/refs?service={READ}", **headers)
            for name, headers in (("fleet", {}), ("nothing", basic("wrong")))
        )
        assert known.status_code == unknown.status_code == 401
        assert known.headers["www-authenticate"].startswith("Basic ")
        assert known.headers.keys() == unknown.headers.keys()
        assert known.text.replace("fleet", "nothing") == unknown.text  # it was asked for, and is not told

    @pytest.mark.usefixtures("fleet")
    @pytest.mark.parametrize("name", ["fleet", "nothing"])
    def test_a_refusal_says_what_was_asked_for_where_and_what_to_type(self, served: Served, name: str) -> None:
        other = served.repositories.create("other", url="https://github.com/acme/other.git")
        for headers in ({}, basic("wrong"), basic(other.token)):
            said = get(served, f"/{name}.git/info/refs?service={WRITE}", **headers).text
            assert f"'{name}'" in said
            assert f"lab {LAB}" in said
            assert f"fluxlab clone --lab {LAB}" in said

    def test_what_a_refusal_quotes_steers_no_terminal_and_is_short(self, served: Served) -> None:
        said = get(served, f"/%1b[31m%0a{'x' * 5000}.git/info/refs?service={READ}").text
        assert "\x1b" not in said
        assert len(said) < 500

    @pytest.mark.parametrize(
        "value",
        ["Basic", "Basic !!!", "Bearer x", "Basic " + base64.b64encode(b"no colon").decode(), "Basic /w==",
         "Basic \xe9\xe9"],
    )  # fmt: skip
    def test_rubbish_for_a_token_is_a_wrong_one(self, served: Served, fleet: GitRepository, value: str) -> None:
        assert get(served, f"/{fleet.name}.git/info/refs?service={READ}", authorization=value).status_code == 401

    @pytest.mark.usefixtures("fleet")
    @pytest.mark.parametrize("service", [READ, WRITE])
    def test_the_token_of_another_repository_finds_nothing(self, served: Served, service: str) -> None:
        other = served.repositories.create("other", url="https://github.com/acme/other.git")
        found = [
            get(served, f"/{name}.git/info/refs?service={service}", **basic(other.token)).status_code
            for name in ("other", "fleet", "nothing")
        ]
        assert found == [200, 404, 404]

    def test_git_says_that_a_wrong_token_is_wrong(self, served: Served, fleet: GitRepository, clone: Path) -> None:
        for verb in ("push", "fetch"):
            said = git(verb, served.url(fleet, token="not-the-token"), "main", cwd=clone, ok=False)
            assert "Authentication failed" in said
            assert f"remote: repository '{fleet.name}' of lab {LAB}: a token of this lab is needed" in said
            assert f"remote: next: fluxlab clone --lab {LAB}" in said

    def test_git_says_which_repository_a_token_does_not_open(
        self, served: Served, fleet: GitRepository, clone: Path
    ) -> None:
        other = served.repositories.create("other", url="https://github.com/acme/other.git")
        said = git("push", served.url(fleet, token=other.token), "main", cwd=clone, ok=False)
        assert f"remote: this token opens no repository 'fleet' of lab {LAB}" in said

    @pytest.mark.parametrize(
        "path",
        [
            "/fleet.git/../other.git/info/refs?service=git-upload-pack",
            "/fleet.git/%2e%2e/other.git/info/refs?service=git-upload-pack",
            "/fleet.git/..%2fother.git/info/refs?service=git-upload-pack",
            "/../state/fleet.git/info/refs?service=git-upload-pack",
            "/fleet.git//info/refs?service=git-upload-pack",
            "/fleet.git/config",
            "/fleet.git/HEAD",
            "/fleet.git/objects/info/packs",
            "/fleet.token",
            "/hooks/post-receive",
            "/fleet.git/info/refs",
            "/fleet.git/info/refs?service=git-upload-archive",
            "/fleet.git/info/refs?service=../../bin/sh",
            "/",
        ],
    )
    def test_only_gits_smart_protocol_is_there(self, served: Served, fleet: GitRepository, path: str) -> None:
        served.repositories.create("other", url="https://github.com/acme/other.git")
        request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {basic(fleet.token)['authorization']}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", served.port), timeout=10) as raw:
            raw.sendall(request.encode())
            assert raw.recv(1000).startswith(b"HTTP/1.1 404 ")


class TestWhatIsRejectedMovesNothing:
    def test_a_rejected_ref_is_not_told_of_but_the_others_are(
        self, served: Served, fleet: GitRepository, clone: Path
    ) -> None:
        tip = git("rev-parse", "HEAD", cwd=clone).strip()
        said = git("push", "origin", ":refs/heads/main", cwd=clone, ok=False)
        assert "remote rejected" in said
        git("push", "origin", ":refs/heads/main", "main:refs/heads/good", cwd=clone, ok=False)
        assert [[c.ref for c in push.changes] for push in served.told()] == [["refs/heads/good"]]
        assert stored_ref(fleet, "refs/heads/main") == tip

    def test_a_corrupt_pack_moves_nothing(self, served: Served, fleet: GitRepository, clone: Path) -> None:
        old = git("rev-parse", "HEAD", cwd=clone).strip()
        new = commit(clone, "second", os.urandom(5000))
        body = bytearray(push_request(clone, "refs/heads/main", old, new))
        body[-100] ^= 0xFF
        response = post(served, fleet, WRITE, bytes(body))
        assert b"unpack ok" not in response.content
        assert stored_ref(fleet, "refs/heads/main") == old
        git("push", "origin", "main", cwd=clone)
        assert [push.changes[0].new for push in served.told()] == [new]

    @pytest.mark.parametrize("body", [b"", b"0000", b"rubbish" * 1000, b"ffff", b"0003", bytes(range(256)) * 12])
    def test_rubbish_moves_nothing_and_the_server_goes_on(
        self, served: Served, fleet: GitRepository, clone: Path, body: bytes
    ) -> None:
        for service in (READ, WRITE):
            assert post(served, fleet, service, body).status_code in {200, 500}
        assert post(served, fleet, WRITE, body, **{"content-encoding": "gzip"}).status_code in {200, 500}
        assert post(served, fleet, WRITE, body, **{"content-type": "text/plain"}).status_code == 415
        assert not served.pushes
        git("fetch", cwd=clone)

    def test_a_missing_object_moves_nothing(self, served: Served, fleet: GitRepository, clone: Path) -> None:
        old = git("rev-parse", "HEAD", cwd=clone).strip()
        middle = commit(clone, "second")
        new = commit(clone, "third")
        request = push_request(clone, "refs/heads/main", old, new)
        head, pack = request.split(b"PACK", 1)[0], push_request(clone, "refs/heads/main", middle, new)
        response = post(served, fleet, WRITE, head + b"PACK" + pack.split(b"PACK", 1)[1])
        assert b"ng refs/heads/main" in response.content
        assert stored_ref(fleet, "refs/heads/main") == old
        assert not served.pushes


class TestClientsThatGoAway:
    def test_a_push_broken_off_leaves_no_process_and_no_file(
        self, served: Served, fleet: GitRepository, clone: Path
    ) -> None:
        old = git("rev-parse", "HEAD", cwd=clone).strip()
        body = push_request(clone, "refs/heads/main", old, commit(clone, "big", os.urandom(400_000)))
        head = (
            f"POST /fleet.git/{WRITE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-{WRITE}-request\r\n"
            f"Authorization: {basic(fleet.token)['authorization']}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", served.port), timeout=10) as raw:
            raw.sendall(head.encode() + body[:200_000])
            wait_until(lambda: list(fleet.path.glob("objects/tmp_objdir*")), what="a pack arriving", timeout_seconds=5)
        wait_until(lambda: not served.children(), what="no process", timeout_seconds=8)
        assert not list(fleet.path.glob("objects/tmp_objdir*"))
        assert stored_ref(fleet, "refs/heads/main") == old
        assert not served.pushes

    def test_a_push_that_stops_halfway_gives_its_place_to_others(
        self, served: Served, fleet: GitRepository, clone: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("fluxlab.servers.http.PIECE_SECONDS", 2.0)
        monkeypatch.setattr(served.server, "_places", asyncio.Semaphore(2))
        head = (
            f"POST /fleet.git/{WRITE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-{WRITE}-request\r\n"
            f"Authorization: {basic(fleet.token)['authorization']}\r\nContent-Length: 1000\r\n\r\n0"
        )
        with contextlib.ExitStack() as closing:
            for _ in range(2):
                raw = closing.enter_context(socket.create_connection(("127.0.0.1", served.port), timeout=10))
                raw.sendall(head.encode())
            wait_until(served.server._places.locked, what="both places taken", timeout_seconds=5)
            git("fetch", cwd=clone)
        assert not served.pushes

    def test_a_fetch_broken_off_leaves_no_process(self, served: Served, fleet: GitRepository, clone: Path) -> None:
        tip = commit(clone, "big", os.urandom(8_000_000))
        git("push", "--quiet", "origin", "main", cwd=clone)
        body = pkt(f"want {tip} side-band-64k\n".encode()) + b"0000" + pkt(b"done\n")
        head = (
            f"POST /fleet.git/{READ} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-{READ}-request\r\n"
            f"Authorization: {basic(fleet.token)['authorization']}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", served.port), timeout=10) as raw:
            raw.sendall(head.encode() + body)
            assert raw.recv(100).startswith(b"HTTP/1.1 200 ")
            assert served.children()
        wait_until(lambda: not served.children(), what="no process", timeout_seconds=5)

    def test_a_server_that_stops_ends_what_is_under_way(self, served: Served, tmp_path: Path, call: Call) -> None:
        repositories = GitRepositories(tmp_path / "more")
        fleet = repositories.create("fleet", url="https://github.com/acme/fleet.git")
        listener = call(serve(GitServer(repositories, lab=LAB), bind_loopback(0)))
        head = (
            f"POST /fleet.git/{WRITE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-{WRITE}-request\r\n"
            f"Authorization: {basic(fleet.token)['authorization']}\r\nContent-Length: 1000\r\n\r\n0"
        )
        with socket.create_connection(("127.0.0.1", listener.port), timeout=10) as raw:
            raw.sendall(head.encode())
            wait_until(served.children, what="a process", timeout_seconds=5)
            began = time.monotonic()
            call(listener.stop(grace_seconds=0.2))
            assert time.monotonic() - began < 30
        wait_until(lambda: not served.children(), what="no process", timeout_seconds=8)


class TestManyAtOnce:
    @pytest.mark.usefixtures("clone")
    def test_pushes_to_different_branches_at_once_are_told_apart(
        self, served: Served, fleet: GitRepository, tmp_path: Path
    ) -> None:
        clones = [new_clone(served, fleet, tmp_path / f"c{number}") for number in range(8)]
        tips = {f"refs/heads/b{n}": commit(folder, f"f{n}") for n, folder in enumerate(clones)}

        def push(numbered: tuple[int, Path]) -> None:
            git("push", "--quiet", "origin", f"HEAD:refs/heads/b{numbered[0]}", cwd=numbered[1])

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(push, enumerate(clones)))
        told = served.told(8)
        assert [len(push.changes) for push in told] == [1] * 8
        assert {push.changes[0].ref: push.changes[0].new for push in told} == tips

    def test_of_pushes_to_one_branch_at_once_one_wins_and_is_told(
        self, served: Served, fleet: GitRepository, clone: Path, tmp_path: Path
    ) -> None:
        base = git("rev-parse", "HEAD", cwd=clone).strip()
        clones = [new_clone(served, fleet, tmp_path / f"c{number}") for number in range(6)]
        tips = [commit(folder, f"f{number}") for number, folder in enumerate(clones)]
        words = ["git", "push", "--quiet", "origin", "main"]
        running = [
            subprocess.Popen(words, cwd=folder, env=CLIENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for folder in clones
        ]
        won = [tip for tip, process in zip(tips, running, strict=True) if process.wait(30) == 0]
        assert len(won) == 1
        assert [(c.old, c.new) for push in served.told() for c in push.changes] == [(base, won[0])]
        assert stored_ref(fleet, "refs/heads/main") == won[0]

    def test_large_packs_go_through_without_being_held(
        self, served: Served, fleet: GitRepository, clone: Path, tmp_path: Path
    ) -> None:
        git("config", "core.compression", "0", cwd=clone)
        git("config", "pack.window", "0", cwd=clone)
        for part in range(5):
            (clone / f"part{part}").write_bytes(os.urandom(10_000_000))
        tip = commit(clone, "large")
        fleet_config = fleet.path / "config"
        fleet_config.write_text(fleet_config.read_text() + "[core]\n\tcompression = 0\n[pack]\n\twindow = 0\n")
        with Watched() as memory:
            git("-c", "http.postBuffer=1048576", "push", "--quiet", "origin", "main", cwd=clone)
            assert stored_ref(fleet, "refs/heads/main") == tip
            git("clone", "--quiet", "--bare", served.url(fleet), tmp_path / "large", cwd=tmp_path)
        assert sum(file.stat().st_size for file in (tmp_path / "large").rglob("*.pack")) > 45_000_000
        assert memory.growth < 24_000_000


class Watched:
    """The growth of this process's memory, sampled while it works."""

    def __enter__(self) -> Self:
        self._process = psutil.Process()
        self._before = self._most = self._process.memory_info().rss
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._over.wait(0.01):
            self._most = max(self._most, self._process.memory_info().rss)

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def growth(self) -> int:
        return self._most - self._before


class TestSubscribers:
    def test_an_error_in_one_is_logged_and_concerns_nobody_else(
        self, served: Served, clone: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def fail(push: Push) -> None:
            raise ValueError(f"no use for {push.repository.name}")

        async def slow(_: Push) -> None:
            await asyncio.Event().wait()

        later: list[Push] = []

        async def remember(push: Push) -> None:
            later.append(push)

        for subscriber in (fail, slow, remember):
            served.server.subscribe(subscriber)
        tip = commit(clone, "second")
        git("push", "origin", "main", cwd=clone)
        wait_until(lambda: later, what="the last subscriber told", timeout_seconds=5)
        assert later[0].changes[0].new == tip
        assert "a subscriber failed on the push to fleet" in caplog.text
        assert "no use for fleet" in caplog.text


class TestWhatIsOnDisk:
    def test_a_users_git_config_and_environment_change_nothing(
        self, served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        home, hooks = tmp_path / "home", tmp_path / "template" / "hooks"
        home.mkdir()
        hooks.mkdir(parents=True)
        refuse = hooks / "pre-receive"
        refuse.write_text("#!/bin/sh\nexit 1\n")
        refuse.chmod(0o755)
        config = home / ".gitconfig"
        config.write_text(
            f"[core]\n\thooksPath = {hooks}\n[init]\n\ttemplateDir = {hooks.parent}\n\tdefaultBranch = odd\n"
            "[http]\n\treceivepack = false\n[uploadpack]\n\tallowFilter = false\n"
        )
        for name, value in {
            "HOME": str(home),
            "GIT_CONFIG_GLOBAL": str(config),
            "GIT_DIR": str(tmp_path / "elsewhere"),
            "GIT_TEMPLATE_DIR": str(hooks.parent),
            "GIT_OBJECT_DIRECTORY": str(tmp_path / "other-objects"),
        }.items():
            monkeypatch.setenv(name, value)
        fresh = served.repositories.create("fresh", url="https://github.com/acme/fresh.git", branch="trunk")
        folder = new_clone(served, fresh, tmp_path / "fresh")
        tip = commit(folder, "first")
        git("push", "origin", "trunk", cwd=folder)
        assert stored_ref(fresh, "refs/heads/trunk") == tip == fresh.served_commit()
        assert not list(fresh.path.glob("hooks/*"))

    def test_a_resumed_lab_keeps_commits_and_tokens(self, served: Served, fleet: GitRepository, clone: Path) -> None:
        tip = git("rev-parse", "HEAD", cwd=clone).strip()
        resumed = GitRepositories(served.repositories.folder).create("fleet", url=fleet.url)
        assert (resumed.token, resumed.served_commit()) == (fleet.token, tip)

    def test_a_token_is_random_and_only_its_owners_to_read(self, served: Served, fleet: GitRepository) -> None:
        other = served.repositories.create("other", url="https://github.com/acme/other.git")
        file = fleet.path.with_name("fleet.token")
        assert file.read_text() == fleet.token != other.token
        assert file.stat().st_mode & 0o777 == 0o600
        assert len(fleet.token) >= 32

    def test_git_does_not_collect_garbage_after_a_push(self, fleet: GitRepository, clone: Path) -> None:
        with (fleet.path / "config").open("a") as config:
            config.write("[receive]\n\tunpackLimit = 1\n[gc]\n\tauto = 1\n\tautoPackLimit = 1\n\tautoDetach = false\n")
        for number in range(4):
            commit(clone, f"file{number}")
            git("push", "--quiet", "origin", "main", cwd=clone)
        assert len(list(fleet.path.glob("objects/pack/*.pack"))) == 4


def test_a_taken_port_is_named(served: Served) -> None:
    with pytest.raises(FluxlabError, match=str(served.port)):
        bind_loopback(served.port)
