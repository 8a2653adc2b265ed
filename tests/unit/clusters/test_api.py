"""The API client against a real HTTPS server that asks for a certificate and writes down what it was sent."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from typing import Any, cast

import pytest

from fluxlab.clusters.api import ApiError, ApiUnreachableError, KubeApi
from fluxlab.clusters.kubeconfig import Access
from fluxlab.clusters.resources import DEPLOYMENT, SECRET
from fluxlab.pki import Authority


@dataclass
class Server:
    """Answers by method and path; what it was asked is in `requests`."""

    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    requests: list[dict[str, str]] = field(default_factory=list)
    port: int = 0
    busy: int = 0
    """How many requests are first told to come back."""
    excuse: tuple[int, bytes] = 429, b'{"message": "storage is (re)initializing"}'
    """What these are told."""
    silent: bool = False
    """Whether an answer does not end, and nothing more comes of it."""


def handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
            path, _, query = self.path.partition("?")
            peer = dict(entry[0] for entry in cast("Any", self.connection).getpeercert()["subject"])
            server.requests.append(
                {
                    "asked": f"{self.command} {path}",
                    "query": query,
                    "body": body,
                    "type": self.headers.get("content-type", ""),
                    "accept": self.headers.get("accept", ""),
                    "user": peer["commonName"],
                }
            )
            status, content = server.answers.get(f"{self.command} {path}", (404, b'{"message": "not here"}'))
            if server.busy:
                server.busy -= 1
                status, content = server.excuse
            self.send_response(status)
            self.send_header("content-length", str(len(content) + server.silent))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 # the names that http.server asks for

        def log_message(self, *_: object) -> None:
            """Not on standard error."""

    return Handler


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def server(authority: Authority) -> Iterator[Server]:
    made = Server()
    pair = authority.issue("server", user="server")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.certificate_file))
    context.load_cert_chain(pair.certificate, pair.key)
    context.verify_mode = ssl.CERT_REQUIRED
    with ThreadingHTTPServer(("127.0.0.1", 0), handler(made)) as listener:
        listener.daemon_threads = True
        listener.socket = context.wrap_socket(listener.socket, server_side=True)
        made.port = listener.server_address[1]
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        listener.shutdown()
        thread.join()


def access_to(port: int, authority: Authority) -> Access:
    client = authority.issue("admin", user="system:admin")
    return Access(server=f"https://127.0.0.1:{port}", authority=authority.certificate_file, client=client)


@pytest.fixture
def connect(authority: Authority) -> Iterator[Callable[[int], KubeApi]]:
    made: list[KubeApi] = []

    def connect(port: int) -> KubeApi:
        made.append(KubeApi(access_to(port, authority), timeout_seconds=20))
        return made[-1]

    yield connect
    for api in made:
        api.close()


@pytest.fixture
def api(server: Server, connect: Callable[[int], KubeApi]) -> KubeApi:
    return connect(server.port)


def test_a_server_that_is_not_ready_for_a_resource_is_asked_again(server: Server, api: KubeApi) -> None:
    server.answers["GET /api/v1/namespaces/demo/secrets/s"] = 200, b'{"kind": "Secret", "metadata": {"name": "s"}}'
    server.busy = 3
    assert api.get(SECRET, "s", namespace="demo").name == "s"
    assert len(server.requests) == 4


def forbidden(reason: str) -> tuple[int, bytes]:
    """As apimachinery's `NewForbidden` has it."""
    message = f'secrets "s" is forbidden: {reason}'
    return 403, json.dumps({"kind": "Status", "reason": "Forbidden", "message": message}).encode()


@pytest.mark.parametrize("method", ["DELETE", "PATCH"])
def test_a_server_whose_admission_is_not_ready_is_asked_again(server: Server, api: KubeApi, method: str) -> None:
    server.answers[f"{method} /api/v1/namespaces/demo/secrets/s"] = 200, b'{"metadata": {"name": "s"}}'
    server.busy, server.excuse = 3, forbidden("not yet ready to handle request")
    assert api.request(method, "/api/v1/namespaces/demo/secrets/s") == {"metadata": {"name": "s"}}
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    "reason",
    [
        'User "ada" cannot delete resource "secrets" in API group "" in the namespace "demo"',
        'admission webhook "one.example" denied the request: not yet ready to handle request',
    ],
)
def test_who_may_not_is_told_at_once(server: Server, api: KubeApi, reason: str) -> None:
    server.answers["DELETE /api/v1/namespaces/demo/secrets/s"] = forbidden(reason)
    with pytest.raises(ApiError, match="is forbidden"):
        api.delete(SECRET, "s", namespace="demo")
    assert len(server.requests) == 1


@pytest.mark.parametrize("excuse", [Server().excuse, forbidden("not yet ready to handle request")])
def test_people_are_told_of_a_server_that_stays_busy(
    server: Server, authority: Authority, excuse: tuple[int, bytes]
) -> None:
    server.busy, server.excuse = 1000, excuse
    access = access_to(server.port, authority)
    with KubeApi(access, busy_seconds=0.2) as api, pytest.raises(ApiError, match=r"storage is|not yet") as caught:
        api.get(SECRET, "s", namespace="demo")
    assert caught.value.status == excuse[0]
    assert 1 < len(server.requests) < 100


def test_an_object_is_read_with_the_clients_certificate(server: Server, api: KubeApi) -> None:
    server.answers["GET /api/v1/namespaces/demo/secrets/s"] = 200, b'{"kind": "Secret", "metadata": {"name": "s"}}'
    assert api.get(SECRET, "s", namespace="demo").name == "s"
    assert [(request["asked"], request["user"]) for request in server.requests] == [
        ("GET /api/v1/namespaces/demo/secrets/s", "system:admin")
    ]


def test_what_is_not_there_is_none_or_an_error(server: Server, api: KubeApi) -> None:
    assert api.find(SECRET, "s", namespace="demo") is None
    with pytest.raises(ApiError, match="GET /api/v1/namespaces/demo/secrets/s: not here") as caught:
        api.get(SECRET, "s", namespace="demo")
    assert caught.value.status == 404
    assert server.requests


def test_another_error_than_not_found_is_not_taken_for_it(server: Server, api: KubeApi) -> None:
    server.answers["GET /api/v1/secrets/s"] = 403, b'{"message": "secrets is forbidden"}'
    with pytest.raises(ApiError, match="secrets is forbidden"):
        api.find(SECRET, "s")


def test_entries_of_a_list_get_their_kind(server: Server, api: KubeApi) -> None:
    items = {"items": [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}, 7]}
    server.answers["GET /apis/apps/v1/deployments"] = 200, json.dumps(items).encode()
    found = api.list(DEPLOYMENT, query={"labelSelector": "a=b,c"})
    assert [(entry.kind, entry.api_version, entry.name) for entry in found] == [
        ("Deployment", "apps/v1", "a"),
        ("Deployment", "apps/v1", "b"),
    ]
    assert server.requests[0]["query"] in {"labelSelector=a%3Db%2Cc", "labelSelector=a%3Db,c", "labelSelector=a=b,c"}


@pytest.mark.parametrize("items", [b'{"items": null}', b"{}", b'{"items": []}'])
def test_an_empty_list_is_empty(server: Server, api: KubeApi, items: bytes) -> None:
    server.answers["GET /apis/apps/v1/deployments"] = 200, items
    assert api.list(DEPLOYMENT) == []


def test_apply_and_merge_say_what_sort_of_patch_they_are(server: Server, api: KubeApi) -> None:
    path = "/api/v1/namespaces/demo/secrets/s"
    server.answers[f"PATCH {path}"] = server.answers[f"PATCH {path}/status"] = 200, b"{}"
    api.apply(path, {"kind": "Secret"}, field_manager="flux")
    api.merge(SECRET, "s", {"data": None}, namespace="demo", subresource="status")
    applied, merged = server.requests
    assert (applied["type"], applied["query"], json.loads(applied["body"])) == (
        "application/apply-patch+yaml",
        "fieldManager=flux&force=true",
        {"kind": "Secret"},
    )
    assert (merged["asked"], merged["type"], json.loads(merged["body"])) == (
        f"PATCH {path}/status",
        "application/merge-patch+json",
        {"data": None},
    )


def test_create_and_delete(server: Server, api: KubeApi) -> None:
    server.answers["POST /api/v1/namespaces/demo/secrets"] = 201, b'{"metadata": {"name": "s"}}'
    server.answers["DELETE /api/v1/namespaces/demo/secrets/s"] = 200, b"{}"
    assert api.create(SECRET, {"metadata": {"name": "s"}}, namespace="demo").name == "s"
    api.delete(SECRET, "s", namespace="demo")
    assert [request["type"] for request in server.requests] == ["application/json", ""]


@pytest.mark.parametrize("content", [b"<html>not JSON</html>", b"[1]", b"", b"null", b"\xff"])
def test_an_answer_that_is_no_object_is_an_empty_one(server: Server, api: KubeApi, content: bytes) -> None:
    server.answers["GET /x"] = 200, content
    assert api.request("GET", "/x") == {}


def test_an_error_that_is_no_json_is_quoted(server: Server, api: KubeApi) -> None:
    server.answers["GET /x"] = 500, b"etcdserver: request timed out"
    with pytest.raises(ApiError, match="etcdserver: request timed out"):
        api.request("GET", "/x")


def test_health_is_a_200_and_nothing_else(server: Server, api: KubeApi) -> None:
    server.answers["GET /readyz"] = 200, b"ok"
    server.answers["GET /livez"] = 500, b"[-]etcd failed"
    assert api.healthy()
    assert not api.healthy("/livez")


def test_collections_are_discovered(server: Server, api: KubeApi) -> None:
    groups = [
        {
            "metadata": {"name": "apps"},
            "versions": [{"version": "v1", "resources": [{"resource": "deployments"}, {"resource": "daemonsets"}]}],
        },
        {"metadata": {"name": "empty.io"}, "versions": [{"version": "v1"}]},
    ]
    server.answers["GET /apis"] = 200, json.dumps({"items": groups}).encode()
    assert api.discover() == {"/apis/apps/v1/deployments", "/apis/apps/v1/daemonsets"}
    assert "g=apidiscovery.k8s.io" in server.requests[0]["accept"]


def test_a_watch_yields_each_change(server: Server, api: KubeApi) -> None:
    events = [
        {"type": kind, "object": {"metadata": {"name": name}}} for kind, name in (("ADDED", "a"), ("DELETED", "b"))
    ]
    body = "".join(f"{json.dumps(event)}\n" for event in events).encode()
    server.answers["GET /apis/apps/v1/namespaces/demo/deployments"] = 200, body
    seen = list(api.watch(DEPLOYMENT, namespace="demo", resource_version="7", timeout_seconds=9))
    assert [(kind, found.name) for kind, found in seen] == [("ADDED", "a"), ("DELETED", "b")]
    assert set(server.requests[0]["query"].split("&")) == {
        "watch=true",
        "timeoutSeconds=9",
        "allowWatchBookmarks=true",
        "resourceVersion=7",
    }


def test_a_watch_that_breaks_in_the_middle_of_a_line_is_unreachable(server: Server, api: KubeApi) -> None:
    server.answers["GET /apis/apps/v1/deployments"] = 200, b'{"type": "ADDED", "object": {}}\n{"type": "AD'
    watch = api.watch(DEPLOYMENT)
    assert next(watch)[0] == "ADDED"
    with pytest.raises(ApiUnreachableError, match="watch of deployments broke"):
        next(watch)


def test_a_watch_whose_connection_is_silently_dead_breaks_when_it_should_have_ended(
    server: Server, api: KubeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fluxlab.clusters.api.OVERDUE_SECONDS", 0.5)
    server.answers["GET /apis/apps/v1/deployments"] = 200, b""
    server.silent = True
    told: SimpleQueue[str] = SimpleQueue()

    def listen() -> None:
        try:
            list(api.watch(DEPLOYMENT, timeout_seconds=1))
        except ApiUnreachableError as error:
            told.put(error.what)

    threading.Thread(target=listen, daemon=True).start()  # one that is deaf for ever must not hang the test
    assert "watch of deployments broke" in told.get(timeout=20)


def test_a_watch_that_is_refused_is_an_error_with_its_status(server: Server, api: KubeApi) -> None:
    server.answers["GET /apis/apps/v1/deployments"] = 403, b'{"kind": "Status", "message": "forbidden"}'
    with pytest.raises(ApiError, match="forbidden"):
        next(api.watch(DEPLOYMENT))


def test_a_server_that_is_gone_is_unreachable(connect: Callable[[int], KubeApi]) -> None:
    api = connect(1)  # nobody listens there
    assert not api.healthy()
    with pytest.raises(ApiUnreachableError, match=r"https://127\.0\.0\.1:1 does not answer") as caught:
        api.get(SECRET, "s")
    assert caught.value.facts[0].startswith("GET /api/v1/secrets/s: ")


def test_a_server_of_another_authority_is_not_spoken_to(server: Server, tmp_path: Path) -> None:
    stranger = Authority(tmp_path)
    client = stranger.issue("admin", user="admin")
    access = Access(server=f"https://127.0.0.1:{server.port}", authority=stranger.certificate_file, client=client)
    with KubeApi(access) as api, pytest.raises(ApiUnreachableError, match=r"(?i)certificate verify failed"):
        api.get(SECRET, "s")
    assert server.requests == []


def test_the_users_proxy_is_not_used(server: Server, api: KubeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    server.answers["GET /x"] = 200, b"{}"
    assert api.request("GET", "/x") == {}
