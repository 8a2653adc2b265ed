"""The gateway with real clients (curl, git, httpx, TLS by hand), hostile ones, and many at once."""

import asyncio
import base64
import contextlib
import json
import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
import psutil
import pytest
from starlette.types import Receive, Scope, Send

from fluxlab.errors import FluxlabError
from fluxlab.gateway import Gateway, RequestLog, Routes
from fluxlab.gateway.heads import HEAD_LIMIT_BYTES
from fluxlab.host import socket_address
from fluxlab.host_rules import CertificateProblem, Cut, HostRule, WrongCertificate
from fluxlab.pki import Authority
from fluxlab.processes import ProcessGroup
from fluxlab.redaction import Redactor
from fluxlab.servers.asgi import answer, asked_by, path_below
from fluxlab.servers.git import GitServer
from fluxlab.servers.git_repositories import GitRepositories
from fluxlab.servers.http import HttpServer, bind_loopback, serve
from fluxlab.servers.registry import SOCKET, Registry
from fluxlab.waiting import wait_until

pytestmark = pytest.mark.integration

T = TypeVar("T")
Call = Callable[[Awaitable[Any]], Any]
PASSWORD = "correct-horse-battery"
COMPONENT = "source-controller"


async def on_loop(act: Callable[[], T]) -> T:
    return act()


@dataclass(frozen=True)
class Door:
    """A running gateway, and how clients get to it."""

    gateway: Gateway
    routes: Routes
    authority: Authority
    log: RequestLog

    @property
    def port(self) -> int:
        return self.gateway.port

    @property
    def proxy(self) -> str:
        return f"http://{COMPONENT}:{PASSWORD}@127.0.0.1:{self.port}"

    @property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority.certificate_file))

    def client(self, proxy: str | None = None) -> httpx.Client:
        return httpx.Client(proxy=proxy or self.proxy, verify=self.trust, trust_env=False, timeout=20)

    def get(self, url: str, **headers: str) -> httpx.Response:
        with self.client() as client:
            return client.get(url, headers=headers)

    def raw(self, data: bytes = b"") -> socket.socket:
        """A connection to the gateway's port, `data` sent."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        connection.sendall(data)
        return connection

    def ask(self, data: bytes) -> bytes:
        """Everything that the gateway answers to `data`."""
        with self.raw(data) as connection:
            return read_all(connection)

    def lines(self, count: int = 1) -> list[dict[str, Any]]:
        """The request log, once it has so many lines: a line is written when its request is over."""

        def enough() -> list[dict[str, Any]] | None:
            text = self.log.path.read_text() if self.log.path.exists() else ""
            lines = [json.loads(line) for line in text.splitlines()]
            return lines if len(lines) >= count else None

        return wait_until(enough, what=f"{count} lines in the request log", timeout_seconds=5)


def read_all(connection: socket.socket) -> bytes:
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    return received


def read_until_reset(connection: socket.socket) -> bytes:
    received = b""
    while True:
        try:
            chunk = connection.recv(65536)
        except ConnectionResetError:
            return received
        assert chunk, "it was closed, not reset"
        received += chunk


def connect_to(target: str, *, user: str = COMPONENT, password: str = PASSWORD) -> bytes:
    credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
    return f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: Basic {credentials}\r\n\r\n".encode()


def get_request(url: str) -> bytes:
    """A GET of a plain URL, as a client of a proxy says it."""
    credentials = base64.b64encode(f"{COMPONENT}:{PASSWORD}".encode()).decode()
    return f"GET {url} HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic {credentials}\r\n\r\n".encode()


def established(connection: socket.socket) -> bool:
    return connection.recv(65536) == b"HTTP/1.1 200 Connection established\r\n\r\n"


@pytest.fixture
def door(tmp_path: Path, call: Call) -> Iterator[Door]:
    routes, authority = Routes(), Authority(tmp_path / "pki")
    log = RequestLog(tmp_path / "gateway.log", Redactor())
    gateway = Gateway(authority=authority, routes=routes, clients={COMPONENT: PASSWORD, "other": "o" * 20}, log=log)
    call(gateway.start())
    yield Door(gateway, routes, authority, log)
    call(gateway.stop())


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Says what an application gets to see."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    names = sorted(name.decode() for name, _ in scope["headers"])
    facts = [asked_by(scope), scope["root_path"], path_below(scope), scope["query_string"].decode(), body.decode()]
    await answer(send, 200, json.dumps([*facts, names]))


@pytest.fixture
def origin(call: Call) -> Iterator[HttpServer]:
    """A real host, as far as the gateway can tell: an HTTP server that the lab did not map."""
    server = call(serve(hello, bind_loopback(0)))
    yield server
    call(server.stop())


class TestMappedHosts:
    def test_a_public_url_is_answered_with_a_certificate_of_the_lab(self, door: Door) -> None:
        door.routes.mount("https://github.com/acme/fleet.git", hello)
        response = door.get("https://github.com/acme/fleet.git/info/refs?service=x")
        who, root_path, below, query, _, names = response.json()
        assert (who, root_path, below, query) == (COMPONENT, "/acme/fleet.git", "/info/refs", "service=x")
        assert "proxy-authorization" not in names

    def test_the_longest_prefix_wins_and_ends_at_a_slash(self, door: Door) -> None:
        for url in ("https://h.example/a", "https://h.example/a/b", "https://h.example/a/b/c.git"):
            door.routes.mount(url, hello)
        with door.client() as client:
            found = [client.get(f"https://h.example{path}").json()[1:3] for path in ("/a/b/c.git", "/a/b/cd", "/a/bc")]
        assert found == [["/a/b/c.git", ""], ["/a/b", "/cd"], ["/a", "/bc"]]

    def test_an_unmatched_path_names_what_is_mapped(self, door: Door) -> None:
        door.routes.mount("https://github.com/acme/fleet.git", hello)
        response = door.get("https://github.com/acme/other.git/info/refs")
        assert response.status_code == 404
        assert "https://github.com/acme/other.git" in response.text
        assert "mapped here: https://github.com/acme/fleet.git" in response.text

    def test_curl_and_git_work_with_the_public_url(self, door: Door, tmp_path: Path) -> None:
        repositories = GitRepositories(tmp_path / "git")
        fleet = repositories.create("fleet", url="https://github.com/acme/fleet.git")
        for url in fleet.urls:
            door.routes.mount(url, GitServer(repositories, lab="one").application("fleet"))
        environment = {
            "PATH": os.environ["PATH"],
            "HTTPS_PROXY": door.proxy,
            "GIT_SSL_CAINFO": str(door.authority.certificate_file),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_AUTHOR_NAME": "t",
            "GIT_AUTHOR_EMAIL": "t",
            "GIT_COMMITTER_NAME": "t",
            "GIT_COMMITTER_EMAIL": "t",
        }

        def run(*words: str, cwd: Path = tmp_path) -> str:
            done = subprocess.run(
                words, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

        url = f"https://x:{fleet.token}@github.com/acme/fleet"
        run("git", "clone", url, "clone")
        run("git", "commit", "--allow-empty", "-m", "first", cwd=tmp_path / "clone")
        run("git", "push", "origin", "main", cwd=tmp_path / "clone")
        tip = run("git", "rev-parse", "HEAD", cwd=tmp_path / "clone").strip()
        assert tip in run("git", "ls-remote", f"{url}.git")
        refs = f"{url}.git/info/refs?service=git-upload-pack"
        assert tip in run("curl", "-sS", "--cacert", environment["GIT_SSL_CAINFO"], refs)
        assert {line["asked_by"] for line in door.lines() if line["status"] == 200} == {COMPONENT}

    def test_plain_http_to_a_mapped_host_is_answered_as_well(self, door: Door) -> None:
        door.routes.mount("https://charts.example/stable", hello)
        with door.client() as client:
            posted = client.post("http://charts.example/stable/x?y=1", content=b"body")
            again = client.get("http://charts.example/stable/z")
        assert posted.json()[:5] == [COMPONENT, "/stable", "/x", "y=1", "body"]
        assert again.json()[2] == "/z"
        assert not {"proxy-authorization", "proxy-connection"} & set(posted.json()[5])

    def test_connect_to_port_80_is_plain_http(self, door: Door) -> None:
        door.routes.mount("https://charts.example", hello)
        with door.raw(connect_to("charts.example:80")) as tunnel:
            assert established(tunnel)
            tunnel.sendall(b"GET /x HTTP/1.1\r\nHost: charts.example\r\nConnection: close\r\n\r\n")
            assert read_all(tunnel).startswith(b"HTTP/1.1 200")

    def test_another_port_is_refused_by_name_unless_it_is_mapped(self, door: Door) -> None:
        door.routes.mount("https://git.example/x", hello)
        refused = door.ask(connect_to("git.example:8443"))
        assert refused.startswith(b"HTTP/1.1 403 git.example is mapped in this lab on ports 80 and 443")
        door.routes.mount("https://git.example:8443/y", hello)
        assert door.get("https://git.example:8443/y").status_code == 200

    def test_host_names_are_compared_as_names(self, door: Door) -> None:
        door.routes.mount("https://GitHub.com/", hello)
        with door.raw(connect_to("GITHUB.com.:443")) as tunnel:
            assert established(tunnel)

    def test_a_request_for_another_host_inside_a_tunnel_is_misdirected(self, door: Door) -> None:
        door.routes.mount("https://a.example", hello)
        door.routes.mount("https://b.example", hello)
        assert door.get("https://a.example/", host="b.example").status_code == 421

    def test_routes_change_while_connections_are_open(self, door: Door) -> None:
        door.routes.mount("https://a.example/one", hello)
        with door.client() as client:
            assert client.get("https://a.example/two").status_code == 404
            door.routes.mount("https://a.example/two", hello)
            assert client.get("https://a.example/two").status_code == 200

    def test_middleware_goes_around_a_host_and_comes_off_again(self, door: Door) -> None:
        async def broken(_scope: Scope, _receive: Receive, send: Send) -> None:
            await answer(send, 503, "a fault")

        def fault(_: Any) -> Any:
            return broken

        for host in ("a.example", "b.example"):
            door.routes.mount(f"https://{host}/", hello)
        door.routes.wrap("a.example", fault)
        assert [door.get(f"https://{host}.example/").status_code for host in "ab"] == [503, 200]
        door.routes.unwrap("a.example", fault)
        assert door.get("https://a.example/").status_code == 200

    def test_a_cut_is_a_reset_in_the_middle_of_the_answer(self, door: Door, call: Call) -> None:
        door.routes.mount("https://a.example/", hello)
        rule = HostRule(id="cut", host="a.example", effect=Cut())
        call(on_loop(lambda: door.gateway.put_rule(rule)))
        with door.raw(get_request("http://a.example/")) as connection:
            received = read_until_reset(connection)
        head, _, body = received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        call(on_loop(lambda: door.gateway.lift_rules("cut")))
        whole = door.get("https://a.example/").content
        assert whole.startswith(body)
        assert 0 < len(body) < len(whole)

    @pytest.mark.parametrize("problem", CertificateProblem)
    def test_a_wrong_certificate_is_shown_to_those_who_had_seen_the_right_one(
        self, door: Door, call: Call, problem: CertificateProblem
    ) -> None:
        door.routes.mount("https://a.example/", hello)
        door.routes.mount("https://b.example/", hello)
        rule = HostRule(id="certificate", host="a.example", effect=WrongCertificate(problem=problem))
        with door.client() as client:
            assert client.get("https://a.example/").status_code == 200
            call(on_loop(lambda: door.gateway.put_rule(rule)))
            with pytest.raises(httpx.ConnectError, match="certificate verify failed") as caught:
                client.get("https://a.example/")
            assert ("mismatch" in str(caught.value)) is (problem is CertificateProblem.OTHER_NAME)
            assert client.get("https://b.example/").status_code == 200
            call(on_loop(lambda: door.gateway.lift_rules("certificate")))
            assert client.get("https://a.example/").status_code == 200
        assert any("wrong on purpose" in line["note"] for line in door.lines(4))

    def test_who_was_about_to_connect_when_the_certificate_became_wrong_does_not_keep_the_right_one(
        self, door: Door, call: Call
    ) -> None:
        door.routes.mount("https://a.example/", hello)
        rule = HostRule(id="late", host="a.example", effect=WrongCertificate(problem=CertificateProblem.OTHER_NAME))
        with door.raw(connect_to("a.example:443")) as connection:
            assert established(connection)
            call(on_loop(lambda: door.gateway.put_rule(rule)))
            with door.trust.wrap_socket(connection, server_hostname="a.example") as secure:
                secure.sendall(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
                answer = b""
                with contextlib.suppress(ConnectionResetError):
                    answer = secure.recv(65536)
                assert answer == b""
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            door.get("https://a.example/")

    def test_a_client_that_does_not_trust_the_lab_is_in_the_log(self, door: Door) -> None:
        door.routes.mount("https://a.example", hello)
        with httpx.Client(proxy=door.proxy, trust_env=False) as client, pytest.raises(httpx.ConnectError):
            client.get("https://a.example/")
        (line,) = door.lines()
        assert (line["status"], line["asked_by"], line["host"]) == (0, COMPONENT, "a.example:443")
        assert "trust" in line["note"]


class TestTheDoor:
    @pytest.mark.parametrize(
        ("user", "password"), [(COMPONENT, "wrong"), ("nobody", PASSWORD), ("other", PASSWORD), ("", "")]
    )
    def test_a_wrong_password_opens_nothing(self, door: Door, user: str, password: str) -> None:
        door.routes.mount("https://a.example", hello)
        for target in ("a.example:443", "unmapped.example:443"):
            said = door.ask(connect_to(target, user=user, password=password))
            assert said.startswith(b"HTTP/1.1 407 ")
            assert b"Proxy-Authenticate: Basic" in said
        assert {line["status"] for line in door.lines(2)} == {407}
        assert {line["asked_by"] for line in door.lines(2)} == {""}

    @pytest.mark.parametrize("request_line", ["CONNECT a.example:443", "GET http://a.example/"])
    def test_no_password_opens_nothing(self, door: Door, request_line: str) -> None:
        door.routes.mount("https://a.example", hello)
        assert door.ask(f"{request_line} HTTP/1.1\r\nHost: a.example\r\n\r\n".encode()).startswith(b"HTTP/1.1 407 ")

    @pytest.mark.parametrize("value", [b"Basic", b"Basic !!!", b"Basic /w==", b"Basic \xe9\xe9", b"Bearer x"])
    def test_rubbish_for_a_password_is_a_wrong_one(self, door: Door, value: bytes) -> None:
        door.routes.mount("https://a.example", hello)
        for request_line in (b"CONNECT a.example:443", b"GET http://a.example/"):
            head = request_line + b" HTTP/1.1\r\nHost: a.example\r\nProxy-Authorization: " + value
            said = door.ask(head + b"\r\n\r\n")
            assert said.startswith(b"HTTP/1.1 407 ")
        assert [line["status"] for line in door.lines(2)] == [407, 407]

    def test_an_unmapped_host_is_refused_with_what_to_do(self, door: Door) -> None:
        said = door.ask(connect_to("api.example.org:443")).decode()
        reason, body = said.split("\r\n", 1)[0], said.split("\r\n\r\n", 1)[1]
        for text in (reason, body):
            assert "api.example.org is not mapped in this lab" in text
            assert COMPONENT in text
            assert "alerts:" in text
            assert "charts:" in text
            assert "gateway: {allow: [api.example.org]}" in text
        (line,) = door.lines()
        assert (line["host"], line["status"], line["asked_by"]) == ("api.example.org:443", 403, COMPONENT)

    def test_an_unmapped_host_is_refused_over_plain_http(self, door: Door) -> None:
        response = door.get("http://api.example.org/x")
        assert response.status_code == 403
        assert "gateway: {allow: [api.example.org]}" in response.text

    def test_there_is_no_other_port(self, door: Door) -> None:
        before = listening()
        door.routes.mount("https://a.example", hello)
        assert door.get("https://a.example/").status_code == 200
        assert listening() == before
        assert door.port in before

    def test_a_taken_port_is_named(self, door: Door, call: Call) -> None:
        second = Gateway(authority=door.authority, routes=door.routes, clients={}, log=door.log)
        with pytest.raises(FluxlabError, match=str(door.port)):
            call(second.start(port=door.port))


def listening() -> set[int]:
    return {c.laddr.port for c in psutil.Process().net_connections() if c.status == psutil.CONN_LISTEN}


class TestAllowedHosts:
    def test_bytes_pass_both_ways_untouched(self, door: Door) -> None:
        door.routes.allow("127.0.0.1")
        with Echo() as echo, door.raw(connect_to(f"127.0.0.1:{echo.port}")) as tunnel:
            assert established(tunnel)
            sent = os.urandom(3_000_000)

            def send_all() -> None:
                tunnel.sendall(sent)
                tunnel.shutdown(socket.SHUT_WR)

            sender = threading.Thread(target=send_all)
            sender.start()
            assert read_all(tunnel) == sent
            sender.join()
        (line,) = door.lines()
        assert (line["status"], line["bytes"], line["asked_by"]) == (200, len(sent), COMPONENT)

    def test_plain_http_is_passed_on(self, door: Door, origin: HttpServer) -> None:
        door.routes.allow("127.0.0.1")
        with door.client() as client:
            for body in (b"x" * 10, iter([b"y" * 5, b"z" * 5])):
                response = client.post(f"http://127.0.0.1:{origin.port}/a/b?c=d", content=body, headers={"x-mine": "1"})
                _, _, path, query, got, names = response.json()
                assert (path, query, len(got)) == ("/a/b", "c=d", 10)
                assert "x-mine" in names
                assert not {"proxy-authorization", "proxy-connection"} & set(names)

    def test_a_host_that_cannot_be_reached_is_said_to_be(self, door: Door) -> None:
        door.routes.allow("127.0.0.1")
        with bind_loopback(0) as closed:
            port = closed.getsockname()[1]
        assert door.ask(connect_to(f"127.0.0.1:{port}")).startswith(b"HTTP/1.1 502 127.0.0.1:")
        response = door.get(f"http://127.0.0.1:{port}/")
        assert response.status_code == 502
        assert "127.0.0.1" in response.text

    def test_a_host_that_never_answers_takes_nothing_from_the_others(self, door: Door, origin: HttpServer) -> None:
        door.routes.allow("127.0.0.1")
        with contextlib.ExitStack() as closing:
            silent = closing.enter_context(bind_loopback(0))
            silent.settimeout(20)
            asked = get_request(f"http://127.0.0.1:{silent.getsockname()[1]}/")
            waiting = [closing.enter_context(door.raw(asked)) for _ in range(120)]
            assert door.get(f"http://127.0.0.1:{origin.port}/").status_code == 200
            taken = [closing.enter_context(silent.accept()[0]) for _ in waiting]
            for client in waiting:
                client.close()
            for connection in taken:  # nobody waits for this host any more, and it is told
                connection.settimeout(20)
                assert read_all(connection).startswith(b"GET / HTTP/1.1\r\n")
        unanswered = [line for line in door.lines(121) if line["status"] == 0]
        assert [(line["host"], line["note"]) for line in unanswered] == [("127.0.0.1", "no answer")] * 120

    def test_an_upload_that_a_host_does_not_take_is_given_up(self, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("fluxlab.servers.forward.WRITE_SECONDS", 0.5)
        door.routes.allow("127.0.0.1")
        with bind_loopback(0) as silent, door.client() as client:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
            response = client.post(url, content=(b"x" * 1_000_000 for _ in range(50)))
        assert response.status_code == 502

    def test_an_end_that_vanishes_ends_the_other(self, door: Door) -> None:
        door.routes.allow("127.0.0.1")
        with Echo() as echo:
            tunnel = door.raw(connect_to(f"127.0.0.1:{echo.port}"))
            assert established(tunnel)
            tunnel.sendall(b"x")
            assert tunnel.recv(1) == b"x"
            tunnel.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            tunnel.close()  # a reset
            wait_until(lambda: echo.over, what="the far end to be told", timeout_seconds=5)
        assert "broken off" in door.lines()[0]["note"]


class Echo:
    """A TCP server that sends back what it gets, until the client has said everything."""

    def __enter__(self) -> Self:
        self._listener = bind_loopback(0)
        self._listener.settimeout(20)
        self.port = self._listener.getsockname()[1]
        self.over = False
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            connection.settimeout(20)
            try:
                while chunk := connection.recv(65536):
                    connection.sendall(chunk)
            except ConnectionResetError:
                pass  # an end, too: it is told the same way
        self.over = True

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._listener.close()


class TestHostileClients:
    @pytest.mark.parametrize(
        "data",
        [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200,
            b"rubbish\r\n\r\n",
            b"\0" * 1000,
            b"CONNECT a.example:443 HTTP/1.1\r\nHost a.example\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
            b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        ],
    )
    def test_rubbish_costs_only_its_own_connection(self, door: Door, data: bytes) -> None:
        door.routes.mount("https://a.example", hello)
        connection = door.raw()
        try:
            connection.sendall(data)
            assert read_all(connection).startswith(b"HTTP/1.1 4")
        except (BrokenPipeError, ConnectionResetError):
            pass  # cut off while it still talked
        finally:
            connection.close()
        assert door.get("https://a.example/").status_code == 200

    @pytest.mark.parametrize(
        "target",
        ["a.example", "a.example:", "a.example:0", "a.example:65536", "a.example:x", ":443", "a b:443",
         "a.example:443:1", "user@a.example:443", "../etc:443", "a..b:443", "[::1:443", "\u0661:443",
         f"a.example:{'9' * 5000}"],
    )  # fmt: skip
    def test_a_target_that_is_none_is_refused(self, door: Door, target: str) -> None:
        assert door.ask(connect_to(target)).startswith(b"HTTP/1.1 400 ")

    @pytest.mark.parametrize(
        "request_line", ["GET /x HTTP/1.1", "GET https://a.example/ HTTP/1.1", "GET http:///x HTTP/1.1",
                         "GET http://a.example:99999/ HTTP/1.1", "GET http://[::1/ HTTP/1.1", "OPTIONS * HTTP/1.1",
                         "GET ftp://a.example/ HTTP/1.1", "GET http://a.example:443/ HTTP/1.1"],
    )  # fmt: skip
    def test_what_is_no_request_to_a_proxy_is_refused(self, door: Door, request_line: str) -> None:
        door.routes.mount("https://a.example", hello)
        credentials = connect_to("x:1").split(b"\r\n")[2]
        said = door.ask(request_line.encode() + b"\r\nHost: x\r\nConnection: close\r\n" + credentials + b"\r\n\r\n")
        assert said.startswith(b"HTTP/1.1 400 ")

    def test_bytes_before_the_proxys_answer_are_refused(self, door: Door) -> None:
        door.routes.mount("https://a.example", hello)
        assert door.ask(connect_to("a.example:443") + b"early").startswith(b"HTTP/1.1 400 ")

    def test_clients_that_stop_halfway_are_forgotten(self, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("fluxlab.gateway.heads.HEAD_SECONDS", 2.0)
        door.routes.mount("https://a.example", hello)
        halves = [b"", b"C", connect_to("a.example:443")[:-2]]
        silent = [door.raw(half) for half in halves for _ in range(20)]
        assert door.get("https://a.example/").status_code == 200
        assert all(read_all(connection).startswith(b"HTTP/1.1 408 ") for connection in silent)
        for connection in silent:
            connection.close()

    @pytest.mark.parametrize(
        "half",
        [b"GET http://a.example/ HTT", b"POST http://a.example/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx"],
    )
    def test_clients_that_stop_halfway_after_a_whole_request_are_forgotten(
        self, door: Door, monkeypatch: pytest.MonkeyPatch, half: bytes
    ) -> None:
        monkeypatch.setattr("fluxlab.servers.http.HEAD_SECONDS", 2.0)
        monkeypatch.setattr("fluxlab.servers.http.PIECE_SECONDS", 2.0)
        door.routes.mount("https://a.example", hello)
        before = open_files()
        clients = [door.raw(get_request("http://a.example/")) for _ in range(20)]
        for client in clients:
            while not client.recv(65536).endswith(b"]\n"):  # the end of what hello says
                pass
            client.sendall(half)
        assert door.get("https://a.example/").status_code == 200
        assert all(ended(client) for client in clients)
        for client in clients:
            client.close()
        wait_until(lambda: open_files() <= before, what="sockets closed", timeout_seconds=5)

    def test_a_head_that_drips_in_is_given_up(self, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("fluxlab.gateway.heads.HEAD_SECONDS", 0.5)
        with door.raw(b"CONNECT ") as connection:
            connection.settimeout(0.02)
            for _ in range(HEAD_LIMIT_BYTES // 2):
                connection.sendall(b"x")
                with contextlib.suppress(TimeoutError):
                    assert connection.recv(100).startswith(b"HTTP/1.1 408 ")
                    return
        pytest.fail("the head dripped in for minutes")

    def test_clients_that_go_away_at_any_moment_leave_nothing(self, door: Door) -> None:
        door.routes.mount("https://a.example", hello)
        before = open_files()
        whole = connect_to("a.example:443")
        for length in (0, 1, len(whole) // 2, len(whole) - 1, len(whole)):
            door.raw(whole[:length]).close()
        with door.raw(whole) as tunnel:
            assert established(tunnel)
            tunnel.sendall(b"\x16\x03\x01\x02")  # the start of a handshake
        with door.raw(whole) as tunnel:
            assert established(tunnel)
            tunnel.sendall(b"no TLS at all, but enough bytes to see that")
            read_all(tunnel)
        wait_until(lambda: open_files() <= before, what="sockets closed", timeout_seconds=5)

    def test_a_stop_ends_every_kind_of_connection_at_once(self, tmp_path: Path, call: Call) -> None:
        routes, authority = Routes(), Authority(tmp_path / "pki2")
        log = RequestLog(tmp_path / "log", Redactor())
        gateway = Gateway(authority=authority, routes=routes, clients={COMPONENT: PASSWORD}, log=log)
        before = open_files()
        call(gateway.start())
        door = Door(gateway, routes, authority, log)
        routes.mount("https://a.example", hello)
        routes.allow("127.0.0.1")
        with Echo() as echo, door.client() as idle, door.raw(b"CONN") as half:
            assert idle.get("https://a.example/").status_code == 200
            with (
                door.raw(connect_to(f"127.0.0.1:{echo.port}")) as tunnel,
                door.raw(connect_to("a.example:443")) as mute,
            ):
                assert established(tunnel)
                assert established(mute)
                began = time.monotonic()
                call(gateway.stop(grace_seconds=60))
                assert time.monotonic() - began < 30
                for connection in (half, tunnel, mute):
                    assert ended(connection)
        with pytest.raises(FluxlabError, match="not running"):
            _ = gateway.port
        wait_until(lambda: open_files() <= before, what="files closed", timeout_seconds=5)


def ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def open_files() -> int:
    return psutil.Process().num_fds()


class TestMuchAtOnce:
    def test_200_connections_at_once(self, door: Door) -> None:
        gate = asyncio.Event()
        waiting = 0

        async def patient(_scope: Scope, _receive: Receive, send: Send) -> None:
            nonlocal waiting
            waiting += 1
            if waiting == 200:
                gate.set()
            await gate.wait()
            await answer(send, 200, "ok")

        door.routes.mount("https://a.example", patient)
        trust = door.trust

        async def everybody() -> list[int]:
            limits = httpx.Limits(max_connections=200)
            async with httpx.AsyncClient(
                proxy=door.proxy, verify=trust, trust_env=False, timeout=50, limits=limits
            ) as client:
                answers = await asyncio.gather(*(client.get("https://a.example/") for _ in range(200)))
            return [response.status_code for response in answers]

        assert asyncio.run(everybody()) == [200] * 200

    def test_200_blobs_of_the_registry_at_once(self, door: Door, tmp_path: Path, call: Call) -> None:
        gate = asyncio.Event()
        under_way = 0

        async def slow_blob(_scope: Scope, _receive: Receive, send: Send) -> None:
            nonlocal under_way
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"8")]})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
            under_way += 1
            if under_way == 200:
                gate.set()
            await gate.wait()
            await send({"type": "http.response.body", "body": b"half"})

        registry = Registry(tmp_path, program=tmp_path, processes=ProcessGroup(changed=print), log=tmp_path / "log")
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        bound.settimeout(0)
        with socket_address(tmp_path / SOCKET) as address:
            bound.bind(address)
        server = call(serve(slow_blob, bound))
        door.routes.mount("https://r.example/v2", call(on_loop(lambda: registry.application("r.example"))))

        async def everybody() -> list[bytes]:
            limits = httpx.Limits(max_connections=200)
            async with httpx.AsyncClient(proxy=door.proxy, trust_env=False, timeout=50, limits=limits) as client:
                answers = (client.get("http://r.example/v2/x/blobs/sha256:1") for _ in range(200))
                return [response.content for response in await asyncio.gather(*answers)]

        try:
            assert asyncio.run(everybody()) == [b"halfhalf"] * 200
        finally:
            call(server.stop())
            call(registry.close())
            registry.release()

    def test_big_streams_both_ways_are_never_held(self, door: Door) -> None:
        size, chunk = 150_000_000, b"x" * 100_000

        async def echo_size(_scope: Scope, receive: Receive, send: Send) -> None:
            got, more = 0, True
            while more:
                message = await receive()
                got += len(message.get("body", b""))
                more = message.get("more_body", False)
            headers = [(b"content-length", str(size).encode()), (b"x-got", str(got).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            for _ in range(size // len(chunk)):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

        door.routes.mount("https://a.example", echo_size)
        before = most = psutil.Process().memory_info().rss
        with (
            door.client() as client,
            client.stream("POST", "https://a.example/", content=(chunk for _ in range(size // len(chunk)))) as response,
        ):
            received = 0
            for piece in response.iter_raw():
                received += len(piece)
                most = max(most, psutil.Process().memory_info().rss)
        assert (received, response.headers["x-got"]) == (size, str(size))
        assert most - before < 20_000_000

    def test_a_reader_that_is_slow_holds_up_the_writer(self, door: Door) -> None:
        sent = 0

        async def endless(_scope: Scope, _receive: Receive, send: Send) -> None:
            nonlocal sent
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while sent < 500_000_000:
                await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
                sent += 65536

        door.routes.mount("https://a.example", endless)
        with door.raw(connect_to("a.example:80")) as tunnel:
            assert established(tunnel)
            tunnel.sendall(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
            wait_until(lambda: sent > 0, what="the first chunk", timeout_seconds=5)
            levels = [-1]

            def level() -> bool:
                levels.append(sent)
                return len(levels) > 20 and len(set(levels[-20:])) == 1

            wait_until(level, what="the writer to be held up", timeout_seconds=10)
            assert sent < 20_000_000


class TestTheRequestLog:
    def test_one_line_says_who_asked_for_what(self, door: Door) -> None:
        door.routes.mount("https://a.example/x", hello)
        response = door.get("https://a.example/x/y?token=abcdef")
        (line,) = door.lines()
        said = {name: line[name] for name in ("asked_by", "host", "method", "path", "status", "bytes")}
        assert said == {
            "asked_by": COMPONENT,
            "host": "a.example",
            "method": "GET",
            "path": "/x/y",
            "status": 200,
            "bytes": len(response.content),
        }
        assert 0 <= line["duration_ms"] < 5000
        assert line["time"].endswith("Z")

    def test_secrets_do_not_reach_it(self, door: Door) -> None:
        door.log.redactor.add("canary-in-a-path")
        door.routes.mount("https://hooks.example", hello)
        with door.client() as client:
            client.get("https://hooks.example/services/canary-in-a-path/x?q=canary-in-a-path")
            client.get(f"https://hooks.example/{PASSWORD}")
        door.ask(connect_to("canary-in-a-path.example:443"))
        text = json.dumps(door.lines(3))
        assert "canary" not in text
        assert PASSWORD not in text
        assert text.count("[redacted]") == 5

    def test_an_answer_broken_off_is_said_to_be(self, door: Door) -> None:
        async def half(_scope: Scope, _receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
            raise ConnectionError("the application broke")

        door.routes.mount("https://a.example", half)
        with pytest.raises(httpx.RemoteProtocolError):
            door.get("https://a.example/")
        (line,) = door.lines()
        assert (line["status"], line["bytes"], line["note"]) == (200, 4, "broken off")
