"""A context of somebody's kubeconfig, copied into a lab's private folder: from then on nothing else is read of it."""

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path

import yaml

from fluxlab.commands import CommandError, run
from fluxlab.documents import Json, JsonObject
from fluxlab.errors import UsageError
from fluxlab.files import absolute_paths, write_private

from .objects import dig, items_at, text_at

_FILES: Mapping[str, str] = {
    "certificate-authority": "ca.crt",
    "client-certificate": "client.crt",
    "client-key": "client.key",
}
_UNSUPPORTED = ("proxy-url", "auth-provider", "username", "as")
"""Ways to reach a cluster that the client here does not know; kubectl may."""


def import_context(context: str, *, kubeconfig: str, folder: Path, kubectl: Path) -> Path:
    """Copy one context (default: the current one) of a kubeconfig (default: kubectl's) into `folder`/kubeconfig, 0600.

    It is there after a power cut, too: what a lab made in the cluster is removed with it.

    kubectl resolves it, as it does for its own use: several files in KUBECONFIG, relative paths, inlined data.
    Raises UsageError for one that is not there, or is beyond what the client here can do.
    """
    source = {"KUBECONFIG": absolute_paths(kubeconfig)} if kubeconfig else {}
    chosen = [f"--context={context}"] if context else []
    argv: list[str | Path] = [kubectl, "config", "view", "--raw", "--flatten", "--minify", *chosen]
    try:
        text = run(argv, environment=source, timeout_seconds=10).stdout
    except CommandError as error:
        facts = [*error.facts, f"there are: {', '.join(_names(kubectl, source)) or 'none'}"]
        what = f"no context {context or '(current)'} in {kubeconfig or 'the kubeconfig'}"
        raise UsageError(what, facts=facts) from None
    content: Json = yaml.load(text, Loader=yaml.CSafeLoader)
    name = text_at(content, "current-context")
    cluster = dig(next(iter(items_at(content, "clusters")), None), "cluster")
    user = dig(next(iter(items_at(content, "users")), None), "user")
    if not text_at(cluster, "server").startswith("https://"):
        raise UsageError(f"context {name}: its server is {text_at(cluster, 'server') or 'not told'}, not https://...")
    for part in (cluster, user):
        for key in _UNSUPPORTED:
            if dig(part, key) is not None:
                raise UsageError(f"context {name} needs {key}, which fluxlab cannot do")
    own = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": _with_files(cluster, folder)}],
        "users": [{"name": name, "user": _with_files(user, folder)}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }
    told = yaml.dump(own, Dumper=yaml.CSafeDumper, sort_keys=False)
    return write_private(folder / "kubeconfig", told, durable=True)


def _names(kubectl: Path, environment: Mapping[str, str]) -> list[str]:
    try:
        return run([kubectl, "config", "get-contexts", "-o", "name"], environment=environment).stdout.split()
    except CommandError:
        return []


def _with_files(part: Json, folder: Path) -> JsonObject:
    """With what is inlined in files of its own: that is how TLS wants it."""
    entries = dict(part) if isinstance(part, Mapping) else {}
    for key, name in _FILES.items():
        if data := entries.pop(f"{key}-data", None):
            try:
                content = base64.b64decode(str(data), validate=True)
            except binascii.Error as error:
                raise UsageError(f"the kubeconfig's {key}-data is no base64", facts=[str(error)]) from None
            entries[key] = str(write_private(folder / "access" / name, content, durable=True))
    return entries
