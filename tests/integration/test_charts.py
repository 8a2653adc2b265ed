"""Charts over HTTP, packaged and read back by other programs than fluxlab's own code."""

import hashlib
import os
import socket
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import yaml

from fluxlab.servers.chart_packaging import package_chart
from fluxlab.servers.chart_server import ChartServer
from fluxlab.servers.charts import ChartRepository
from fluxlab.servers.http import HttpServer, bind_loopback, serve

pytestmark = pytest.mark.integration

T = TypeVar("T")
Call = Callable[[Awaitable[Any]], Any]


@pytest.fixture
def repository(tmp_path: Path) -> ChartRepository:
    return ChartRepository(tmp_path / "charts")


@pytest.fixture
def served(repository: ChartRepository, call: Call) -> Iterator[httpx.Client]:
    server: HttpServer = call(serve(ChartServer(repository), bind_loopback(0)))
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as client:
        yield client
    call(server.stop())


def chart(folder: Path, version: str, *, name: str = "demo", more: str = "") -> Path:
    """An archive made by tar, not by fluxlab."""
    source = folder / f"{name}-{version}-source" / name
    (source / "templates").mkdir(parents=True)
    (source / "Chart.yaml").write_text(f"apiVersion: v2\nname: {name}\nversion: {version}\n{more}")
    (source / "templates" / "config.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n")
    archive = folder / f"any-name-{version}.tgz"
    subprocess.run(["tar", "-czf", archive, "-C", source.parent, name], check=True)
    return archive


def index_of(served: httpx.Client) -> Any:
    return yaml.safe_load(served.get("/index.yaml").content)


def test_the_index_says_what_helm_needs_newest_first(
    repository: ChartRepository, served: httpx.Client, tmp_path: Path
) -> None:
    versions = ["0.9.0", "0.10.0", "1.0.0-rc.2", "1.0.0-rc.10", "1.0.0", "1.0.0-alpha"]
    for version in versions:
        repository.add(chart(tmp_path, version, more="appVersion: 1.10\ndescription: for a test\ndeprecated: true\n"))
    index = index_of(served)
    assert index["apiVersion"] == "v1"
    entries = index["entries"]["demo"]
    assert [entry["version"] for entry in entries] == [
        "1.0.0", "1.0.0-rc.10", "1.0.0-rc.2", "1.0.0-alpha", "0.10.0", "0.9.0",
    ]  # fmt: skip
    newest = entries[0]
    assert (newest["appVersion"], newest["description"], newest["deprecated"]) == ("1.10", "for a test", True)
    archive = served.get(f"/{newest['urls'][0]}").content
    assert hashlib.sha256(archive).hexdigest() == newest["digest"]
    assert archive == (tmp_path / "any-name-1.0.0.tgz").read_bytes()


def test_the_index_is_the_same_until_the_folder_changes(
    repository: ChartRepository, served: httpx.Client, tmp_path: Path
) -> None:
    repository.add(chart(tmp_path, "1.0.0"))
    first = served.get("/index.yaml")
    again = served.get("/index.yaml", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    repository.charts()
    assert served.get("/index.yaml").content == first.content
    repository.add(chart(tmp_path, "1.1.0"))
    repository.charts()  # another reader of the folder must not make the index think that nothing changed
    changed = served.get("/index.yaml", headers={"if-none-match": first.headers["etag"]})
    assert changed.status_code == 200
    assert [entry["version"] for entry in index_of(served)["entries"]["demo"]] == ["1.1.0", "1.0.0"]
    repository.yank("demo", "1.1.0")
    assert served.get("/index.yaml").content == first.content
    assert served.get("/demo-1.1.0.tgz").status_code == 404


def test_an_archive_put_there_by_hand_is_served_and_a_broken_one_is_not(
    repository: ChartRepository, served: httpx.Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (repository.folder / "demo-1.0.0.tgz").write_bytes(chart(tmp_path, "1.0.0").read_bytes())
    (repository.folder / "misnamed-1.0.0.tgz").write_bytes(chart(tmp_path, "2.0.0").read_bytes())
    (repository.folder / "broken-1.0.0.tgz").write_bytes(b"no archive")
    os.utime(repository.folder / "demo-1.0.0.tgz", (1_700_000_000, 1_700_000_000))
    (entry,) = index_of(served)["entries"].pop("demo")
    assert (entry["version"], entry["created"]) == ("1.0.0", "2023-11-14T22:13:20Z")
    assert list(index_of(served)["entries"]) == ["demo"]
    assert served.get("/broken-1.0.0.tgz").status_code == 404
    assert "broken-1.0.0.tgz" in caplog.text
    assert "misnamed-1.0.0.tgz" in caplog.text


def test_a_version_with_build_metadata_is_found_by_its_url(
    repository: ChartRepository, served: httpx.Client, tmp_path: Path
) -> None:
    repository.add(chart(tmp_path, "1.0.0+build.5"))
    (entry,) = index_of(served)["entries"]["demo"]
    assert served.get(f"/{entry['urls'][0]}").status_code == 200
    assert served.get("/demo-1.0.0+build.5.tgz").status_code == 200


def test_head_has_the_length_and_no_body(repository: ChartRepository, served: httpx.Client, tmp_path: Path) -> None:
    archive = chart(tmp_path, "1.0.0")
    repository.add(archive)
    for path in ("/demo-1.0.0.tgz", "/index.yaml"):
        asked, got = served.head(path), served.get(path)
        assert asked.content == b""
        assert asked.headers["content-length"] == str(len(got.content))
    assert served.get("/demo-1.0.0.tgz", headers={"if-none-match": '"another"'}).status_code == 200
    etag = served.head("/demo-1.0.0.tgz").headers["etag"]
    assert served.get("/demo-1.0.0.tgz", headers={"if-none-match": etag}).status_code == 304


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_is_written_over_http(served: httpx.Client, method: str) -> None:
    assert served.request(method, "/demo-1.0.0.tgz", content=b"x").status_code == 405


@pytest.mark.parametrize(
    "path",
    ["/../secret.tgz", "/%2e%2e/secret.tgz", "/..%2fsecret.tgz", "//secret.tgz", "/./../secret.tgz", "/secret.tgz%00",
     "/.adding-x.tgz", "/", "/demo-1.0.0.tgz/", "/charts/demo-1.0.0.tgz", "/..\\secret.tgz", "/" + "a" * 5000 + ".tgz"],
)  # fmt: skip
def test_nothing_but_the_charts_is_reached(
    repository: ChartRepository, served: httpx.Client, tmp_path: Path, path: str
) -> None:
    (tmp_path / "secret.tgz").write_bytes(chart(tmp_path, "1.0.0").read_bytes())
    (repository.folder / ".adding-x.tgz").write_bytes(b"x")
    with socket.create_connection(("127.0.0.1", served.base_url.port or 0), timeout=10) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert raw.recv(1000).startswith(b"HTTP/1.1 404 ")


def test_tar_reads_what_was_packaged_and_nothing_depends_on_the_moment(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "templates").mkdir(parents=True)
    (source / "Chart.yaml").write_text("apiVersion: v2\nname: demo\nversion: 1.0.0\n")
    (source / "templates" / "a.yaml").write_text("a: 1\n")
    (source / "values.yaml").write_text("{}\n")
    first = package_chart(source, tmp_path).read_bytes()
    for path in source.rglob("*"):
        path.chmod(0o700)
        os.utime(path, (1, 1))
    assert package_chart(source, tmp_path).read_bytes() == first
    listed = subprocess.run(
        ["tar", "-tvzf", tmp_path / "demo-1.0.0.tgz"], capture_output=True, text=True, check=True, env={"TZ": "UTC"}
    ).stdout.splitlines()
    assert [line.split()[-1] for line in listed] == ["demo/Chart.yaml", "demo/templates/a.yaml", "demo/values.yaml"]
    assert all(line.startswith("-rw-r--r-- 0/0") and "1970-01-01" in line for line in listed)
    assert not list(tmp_path.glob(".*"))
    assert first[4:8] == b"\0\0\0\0", "gzip's own header carries a time"
