"""The gateway's request log as entries: which component asked which host for what."""

import json
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

from fluxlab.logs import read_whole_log

from .entries import Detail, Entry, Level, Source, parse_time

_EXPECTED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND})
"""Answers that clients of registries and git provoke on their way, without a consequence."""


def read_requests(log: Path) -> Iterator[Entry]:
    """The requests in the order in which they ended."""
    return read_whole_log(log, _requests)


def _requests(file: Path) -> Iterator[Entry]:
    with file.open(encoding="utf-8", errors="replace") as lines:
        yield from filter(None, map(_entry, lines))


def _entry(line: str) -> Entry | None:
    try:
        raw = json.loads(line)
        status = int(raw["status"])
        cluster, _, _ = str(raw["asked_by"]).rpartition(".")
        note = f" ({raw['note']})" if raw["note"] else ""
        return Entry(
            time=parse_time(raw["time"]),
            source=Source.REQUEST,
            level=_level(status),
            cluster=cluster,
            actor=str(raw["asked_by"]).rpartition(".")[2],
            text=f"{raw['method']} https://{raw['host']}{raw['path']}: {status or 'no answer'}{note}",
            details={Detail.HOST: str(raw["host"]), Detail.STATUS: str(status)},
        )
    except (ValueError, KeyError, TypeError):
        return None  # it is being written


def _level(status: int) -> Level:
    if status in _EXPECTED or HTTPStatus.OK <= status < HTTPStatus.BAD_REQUEST:
        return Level.DEBUG
    return Level.WARNING
