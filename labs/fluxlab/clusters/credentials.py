"""How a client says who it is in a header: a token, one in a file that is renewed, or one that a program gives."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from fluxlab.documents import JsonObject
from fluxlab.errors import UnknownError
from fluxlab.timeline.entries import parse_time

from .kubeconfig import Access

Headers = Callable[[], Mapping[str, str]]
RENEWAL_SECONDS = 60.0
"""How long before its end a token is not used any more, and how long a file's content is taken for new."""


class CredentialsError(UnknownError):
    """The program or file that a kubeconfig names gives no credentials."""


def headers_of(access: Access) -> Headers:
    """What goes into each request. The function raises CredentialsError."""
    if access.plugin is not None:
        return _Renewed(lambda: _from_program(access.plugin or {}, access.server))
    if file := access.token_file:
        return _Renewed(lambda: _from_file(file))
    fixed = {"Authorization": f"Bearer {access.token}"} if access.token else {}
    return lambda: fixed


class _Renewed:
    """A token, asked for again when its time is up."""

    def __init__(self, ask: Callable[[], tuple[str, float]]) -> None:
        self._ask = ask
        self._token, self._until = "", 0.0

    def __call__(self) -> Mapping[str, str]:
        if time.time() >= self._until:
            self._token, self._until = self._ask()
        return {"Authorization": f"Bearer {self._token}"}


def _from_file(file: Path) -> tuple[str, float]:
    try:
        return file.read_text().strip(), time.time() + RENEWAL_SECONDS
    except OSError as error:
        raise CredentialsError(f"{file}: no token can be read", facts=[str(error)]) from None


def _from_program(plugin: JsonObject, server: str) -> tuple[str, float]:
    """Run a credential plugin, as the official client does. Source: client.authentication.k8s.io/v1."""
    try:
        from kubernetes.config.config_exception import ConfigException  # noqa: PLC0415 # 0.4 s, for few
        from kubernetes.config.exec_provider import ExecProvider  # noqa: PLC0415
        from kubernetes.config.kube_config import ConfigNode  # noqa: PLC0415
    except ImportError:
        hint = "pip install 'fluxlab[existing]'"
        raise CredentialsError(f"{server}: its kubeconfig names a program for credentials", hint=hint) from None
    try:
        given = ExecProvider(ConfigNode("exec", plugin), None).run()  # type: ignore[no-untyped-call] # it has no types
    except (ConfigException, OSError) as error:
        raise CredentialsError(f"{server}: {plugin.get('command')} gives no credentials", facts=[str(error)]) from None
    token, ends = given.get("token"), given.get("expirationTimestamp")
    if not token:
        facts = ["client certificates from a program are not supported"]
        raise CredentialsError(f"{server}: {plugin.get('command')} gives no token", facts=facts)
    until = parse_time(str(ends)) if ends else datetime.max.replace(tzinfo=UTC)
    return str(token), until.timestamp() - RENEWAL_SECONDS
