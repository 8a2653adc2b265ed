"""A Helm repository over HTTP: the ASGI application in front of a folder of charts."""

import asyncio
import os
from pathlib import Path

from starlette.types import Receive, Scope, Send

from .asgi import Header, answer, header, path_below
from .charts import ChartRepository, Index

CHUNK_BYTES = 64 * 1024


class ChartServer:
    """Serves a chart repository: `/index.yaml` and `/<name>-<version>.tgz`."""

    def __init__(self, repository: ChartRepository) -> None:
        self.repository = repository

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Answer GET and HEAD."""
        name = path_below(scope).removeprefix("/")
        if scope["method"] not in {"GET", "HEAD"}:
            await answer(send, 405, "a chart repository is only read here", headers=[(b"allow", b"GET, HEAD")])
        elif name == "index.yaml":
            await _send_index(await asyncio.to_thread(self.repository.index), scope, send)
        elif archive_digest := await asyncio.to_thread(self.repository.digest_of, name):
            await _send_archive(self.repository.folder / name, archive_digest, scope, send)
        else:
            await answer(send, 404, f"no chart archive {name!r}; /index.yaml lists what there is")


def _unchanged(scope: Scope, etag: str) -> bool:
    known = {value.strip() for value in header(scope, b"if-none-match").split(",")}
    return bool(known & {etag, f"W/{etag}", "*"})


async def _send_not_modified(send: Send, etag: str) -> None:
    await send({"type": "http.response.start", "status": 304, "headers": [(b"etag", etag.encode())]})
    await send({"type": "http.response.body", "body": b""})


async def _send_index(index: Index, scope: Scope, send: Send) -> None:
    if _unchanged(scope, index.etag):
        await _send_not_modified(send, index.etag)
        return
    etag = (b"etag", index.etag.encode())
    await answer(send, 200, index.content.decode(), headers=[etag], content_type="application/yaml")


async def _send_archive(path: Path, archive_digest: str, scope: Scope, send: Send) -> None:
    etag = f'"{archive_digest}"'
    if _unchanged(scope, etag):
        await _send_not_modified(send, etag)
        return
    try:
        file = path.open("rb")
    except FileNotFoundError:
        await answer(send, 404, f"{path.name} was removed just now")
        return
    with file:
        size = os.fstat(file.fileno()).st_size
        headers: list[Header] = [
            (b"content-type", b"application/gzip"),
            (b"content-length", str(size).encode()),
            (b"etag", etag.encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while scope["method"] == "GET" and (chunk := file.read(CHUNK_BYTES)):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
