"""An HTTP client that goes through the lab's gateway, as a controller does, and tells what it saw."""

import base64
import hashlib
import http.client
import ssl
import time
from contextlib import closing
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

from fluxlab.state import LabFolder
from fluxlab.supervisor.way_out import way_out

HTTPS_PORT = 443
CHUNK_BYTES = 256 * 1024
KEPT_BYTES = 8 * 1024 * 1024


class Failure(StrEnum):
    """Why there was no whole answer."""

    CERTIFICATE = "certificate"
    SILENCE = "silence"
    BROKEN = "broken"


@dataclass(kw_only=True)
class Visit:
    """One GET, and what came of it."""

    url: str
    status: int = 0
    """0: no head of an answer came."""
    headers: dict[str, str] = field(default_factory=dict)
    """By names in lower case."""
    content: bytes = b""
    """What came first, up to 8 MB."""
    size: int = 0
    digest: str = ""
    """SHA-256 of all that came."""
    seconds: float = 0.0
    failure: Failure | None = None
    trouble: str = ""
    """The failure in words."""

    @property
    def good(self) -> bool:
        """Whether it was answered as one wishes."""
        return self.failure is None and self.status == http.client.OK

    def failed(self, failure: Failure, trouble: str) -> None:
        """Note why it is not whole."""
        self.failure, self.trouble = failure, trouble


def visit(folder: LabFolder, url: str, *, token: str = "", patience_seconds: float) -> Visit:
    """GET a public URL through the gateway. Raises FluxlabError before the lab serves."""
    began, seen = time.monotonic(), Visit(url=url)
    parts = urlsplit(url)
    headers = {"Authorization": _basic("git", token)} if token else {}
    with closing(_connection(folder, parts.netloc, patience_seconds)) as connection:
        try:
            connection.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path, headers=headers)
            _read(connection.getresponse(), seen)
        except ssl.SSLCertVerificationError as error:
            seen.failed(Failure.CERTIFICATE, error.verify_message)
        except TimeoutError:
            seen.failed(Failure.SILENCE, f"nothing came within {patience_seconds:g} s")
        except (OSError, http.client.HTTPException) as error:
            seen.failed(Failure.BROKEN, str(error) or type(error).__name__)
    seen.seconds = time.monotonic() - began
    return seen


def _connection(folder: LabFolder, host: str, patience_seconds: float) -> http.client.HTTPSConnection:
    variables = way_out(folder)
    proxy = urlsplit(variables["HTTPS_PROXY"])
    context = ssl.create_default_context(cafile=variables["SSL_CERT_FILE"])
    connection = http.client.HTTPSConnection(
        proxy.hostname or "", proxy.port, timeout=patience_seconds, context=context
    )
    credentials = _basic(proxy.username or "", proxy.password or "")
    connection.set_tunnel(host, HTTPS_PORT, headers={"Proxy-Authorization": credentials})
    return connection


def _basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def _read(response: http.client.HTTPResponse, seen: Visit) -> None:
    seen.status = response.status
    seen.headers = {name.lower(): value for name, value in response.getheaders()}
    digest = hashlib.sha256()
    while chunk := response.read1(CHUNK_BYTES):
        digest.update(chunk)
        seen.size += len(chunk)
        seen.content += chunk[: KEPT_BYTES - len(seen.content)]
    if missing := int(seen.headers.get("content-length", seen.size)) - seen.size:
        seen.failed(Failure.BROKEN, f"{missing} bytes are missing")
    seen.digest = digest.hexdigest()
