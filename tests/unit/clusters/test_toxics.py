"""Orders to toxiproxy over a private socket, answered by one that the test plays."""

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fluxlab.clusters.links import proxy_socket
from fluxlab.clusters.toxics import LinkProxy, Stream, Toxic
from fluxlab.errors import FluxlabError
from fluxlab.host import socket_address
from fluxlab.servers.http import serve

TOXIC = Toxic(name="link-hang-1-upstream", type="timeout", stream=Stream.UPSTREAM, attributes={"timeout": 0})


class Toxiproxy:
    """Its API, as far as it is used: names are unique in a link, unknown ones are errors."""

    def __init__(self) -> None:
        self.links: dict[str, dict[str, Any]] = {"api-to-etcd": {}, "kwok-to-api": {}}

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/proxies", self.all),
                Route("/proxies/{link}/toxics", self.add, methods=["POST"]),
                Route("/proxies/{link}/toxics/{name}", self.remove, methods=["DELETE"]),
            ]
        )

    async def all(self, _: Request) -> Response:
        return JSONResponse({name: {"toxics": list(toxics.values())} for name, toxics in self.links.items()})

    async def add(self, request: Request) -> Response:
        toxics, given = self.links.get(request.path_params["link"]), await request.json()
        if toxics is None:
            return JSONResponse({"error": "proxy not found"}, 404)
        if given["name"] in toxics:
            return JSONResponse({"error": "toxic already exists"}, 409)
        toxics[given["name"]] = given
        return JSONResponse(given)

    async def remove(self, request: Request) -> Response:
        found = self.links[request.path_params["link"]].pop(request.path_params["name"], None)
        return Response(status_code=204) if found else JSONResponse({"error": "toxic not found"}, 404)


@pytest.fixture
def toxiproxy(tmp_path: Path, call: Callable[[Any], Any]) -> Iterator[Toxiproxy]:
    made, place = Toxiproxy(), proxy_socket(tmp_path)
    place.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as bound, socket_address(place) as address:
        bound.bind(address)
        bound.setblocking(False)
        server = call(serve(made.app, bound))
        yield made
        call(server.stop(grace_seconds=0.2))


def test_a_toxic_arrives_with_all_that_it_is(toxiproxy: Toxiproxy, tmp_path: Path) -> None:
    LinkProxy(tmp_path).add("api-to-etcd", TOXIC)
    expected = {
        "name": "link-hang-1-upstream",
        "type": "timeout",
        "stream": "upstream",
        "attributes": {"timeout": 0},
    }
    assert toxiproxy.links == {"api-to-etcd": {"link-hang-1-upstream": expected}, "kwok-to-api": {}}


def test_twice_is_once_in_and_out(toxiproxy: Toxiproxy, tmp_path: Path) -> None:
    proxy = LinkProxy(tmp_path)
    for _ in range(2):
        proxy.add("kwok-to-api", TOXIC)
    assert list(proxy.toxics()) == [("kwok-to-api", TOXIC.name)]
    for _ in range(2):
        proxy.remove("kwok-to-api", TOXIC.name)
    assert not toxiproxy.links["kwok-to-api"]
    assert list(proxy.toxics()) == []


@pytest.mark.usefixtures("toxiproxy")
def test_an_unknown_link_is_an_error_with_toxiproxys_words(tmp_path: Path) -> None:
    with pytest.raises(FluxlabError, match="link nowhere cannot be broken") as caught:
        LinkProxy(tmp_path).add("nowhere", TOXIC)
    assert "proxy not found" in json.dumps(caught.value.facts)


def test_where_nobody_listens_nothing_is_in_and_nothing_can_be_put_in(tmp_path: Path) -> None:
    proxy = LinkProxy(tmp_path)
    proxy.remove("kwok-to-api", TOXIC.name)
    assert list(proxy.toxics()) == []
    with pytest.raises(FluxlabError, match="does not run"):
        proxy.add("kwok-to-api", TOXIC)
