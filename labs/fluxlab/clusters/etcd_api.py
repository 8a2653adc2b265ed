"""etcd's own API, asked over HTTP with the certificates that etcd itself was started with."""

import base64
import json
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Self

import urllib3
from urllib3.exceptions import HTTPError

from fluxlab.documents import Json, JsonObject
from fluxlab.errors import FluxlabError, UnknownError
from fluxlab.files import KeyPairFiles

from .objects import dig, items_at, text_at

TIMEOUT_SECONDS = 10
FULL = "NOSPACE"
"""The alarm with which etcd refuses to grow; it is kept with the data until somebody disarms it."""
_ALARMS = "/v3/maintenance/alarm"
_COMPACTED = "required revision has been compacted"
"""What etcd says when there is nothing (more) to be forgotten (api/v3rpc/rpctypes/error.go, ErrGRPCCompacted)."""


class EtcdUnreachableError(UnknownError):
    """etcd did not answer."""


@dataclass(frozen=True, kw_only=True)
class EtcdApi:
    """One etcd and the way in: every call raises EtcdUnreachableError, or FluxlabError with what etcd refused."""

    url: str
    peer_url: str
    """What other members would reach it by: a part of its data."""
    authority: Path
    client: KeyPairFiles

    @classmethod
    def started_by(cls, argv: Sequence[str]) -> Self:
        """The etcd that runs with these arguments, which tell everything. Raises KeyError for what is no etcd."""
        flags = dict(word.split("=", maxsplit=1) for word in argv if "=" in word)
        return cls(
            url=flags["--listen-client-urls"],
            peer_url=flags["--listen-peer-urls"],
            authority=Path(flags["--trusted-ca-file"]),
            client=KeyPairFiles(certificate=Path(flags["--cert-file"]), key=Path(flags["--key-file"])),
        )

    def revision(self) -> int:
        """The revision that it is at."""
        return int(text_at(self._ask("/v3/maintenance/status", {}), "header", "revision"))

    def alarms(self) -> Sequence[str]:
        """What it is alarmed by."""
        return [text_at(alarm, "alarm") for alarm in self._alarms()]

    def alarm(self) -> None:
        """Have it refuse to grow, as it does when its quota is used up."""
        self._ask(_ALARMS, {"action": "ACTIVATE", "alarm": FULL})

    def make_room(self) -> None:
        """What a person does about an etcd that is full: forget its history, give back the space, disarm the alarm.

        The alarm ends also when the rest fails: if it was right, etcd raises it again.
        """
        try:
            self._forget_history()
            self._ask("/v3/maintenance/defragment", {})
        finally:
            self.disarm()

    def _forget_history(self) -> None:
        """Compact up to now. While etcd is alarmed its revision stays: a call that was cut off may have done it."""
        try:
            self._ask("/v3/kv/compaction", {"revision": str(self.revision()), "physical": True})
        except FluxlabError as error:
            if not any(_COMPACTED in fact for fact in error.facts):
                raise

    def disarm(self) -> None:
        """Take back all alarms."""
        for alarm in self._alarms():
            member = {"memberID": found} if (found := text_at(alarm, "memberID")) else {}
            self._ask(_ALARMS, {"action": "DEACTIVATE", "alarm": text_at(alarm, "alarm"), **member})

    def _alarms(self) -> Sequence[Json]:
        return items_at(self._ask(_ALARMS, {"action": "GET"}), "alarms")

    def save(self, target: Path) -> None:
        """Write all that it holds now into a file."""
        try:
            with self._pool() as pool, target.open("wb") as file:
                answer = pool.request("POST", "/v3/maintenance/snapshot", body=b"{}", preload_content=False)
                file.writelines(map(blob, answer))
        except (HTTPError, ValueError, KeyError) as error:
            raise EtcdUnreachableError(f"etcd at {self.url} gives no snapshot", facts=[str(error)]) from error

    def _ask(self, path: str, content: Mapping[str, Json]) -> JsonObject:
        try:
            with self._pool() as pool:
                answer = pool.request("POST", path, body=json.dumps(content))
            said: Json = json.loads(answer.data)
        except (HTTPError, ValueError) as error:
            raise EtcdUnreachableError(f"etcd at {self.url} does not answer", facts=[f"{path}: {error}"]) from error
        if answer.status != HTTPStatus.OK or not isinstance(said, Mapping):
            raise FluxlabError(f"etcd at {self.url} refuses {path}", facts=[str(dig(said, "message") or said)])
        return said

    def _pool(self) -> urllib3.HTTPSConnectionPool:
        context = ssl.create_default_context(cafile=str(self.authority))
        context.load_cert_chain(self.client.certificate, self.client.key)
        address = urllib3.util.parse_url(self.url)
        return urllib3.HTTPSConnectionPool(
            address.host or "",
            address.port,
            ssl_context=context,
            retries=False,
            timeout=urllib3.Timeout(TIMEOUT_SECONDS),
        )


def blob(line: bytes) -> bytes:
    """The piece of a snapshot in one line of etcd's answer."""
    return base64.b64decode(json.loads(line)["result"].get("blob", ""))
