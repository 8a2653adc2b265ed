"""The API server's audit log as entries: who asked what of which object, and what came of it."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fluxlab.logs import read_together

from .entries import Detail, Entry, Level, ObjectRef, Source, format_time, parse_time

DELETIONS = frozenset({"delete", "deletecollection"})
WRITES = frozenset({"create", "update", "patch"}) | DELETIONS
OWN_USERS = frozenset({"kwok"})
"""Users of programs that belong to every lab."""
OWN_NAMESPACES = frozenset({"kube-system", "flux-system"})
"""Where the service accounts of Kubernetes' and Flux's controllers are."""
OWN_AGENT = "fluxlab"
"""How fluxlab's own client calls itself."""
_TIME = re.compile(r'"stageTimestamp":"([^"]+)"')
_READS = re.compile(r'"verb":"(?:get|list|watch)"')
"""Within a text of somebody else's the quotes would be escaped."""
_SELECTORS = frozenset({"labelSelector", "fieldSelector"})
_SERVICE_ACCOUNT = "system:serviceaccount:"


def audit_files(cluster_folder: Path) -> list[Path]:
    """The log and what was rotated away from it, oldest first."""
    rotated = sorted(cluster_folder.glob("audit-*.log"))  # their names end in the time of the rotation
    return [*rotated, cluster_folder / "audit.log"]


def read_audit(
    cluster_folder: Path,
    *,
    cluster: str,
    since: datetime | None = None,
    until: datetime | None = None,
    writes_only: bool = False,
) -> Iterator[Entry]:
    """The requests that ended between two moments, in the order in which they did, dry runs included.

    With `writes_only` those that only read, which are most, are not even parsed.
    """

    def requests(file: Path) -> Iterator[Entry]:
        with file.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if writes_only and _READS.search(line):
                    continue
                time = _time(line)
                if time and (since is None or time >= since) and (until is None or time <= until):
                    yield _entry(line, time, cluster)

    return read_together(partial(audit_files, cluster_folder), requests)


def _time(line: str) -> datetime | None:
    found = _TIME.search(line)
    try:
        return parse_time(found[1]) if found and line.endswith("\n") else None
    except ValueError:
        return None  # two lines of which the first was cut off


def _entry(line: str, time: datetime, cluster: str) -> Entry:
    try:
        return _parsed(json.loads(line), time, cluster)
    except (ValueError, TypeError, AttributeError, KeyError):
        text = "a line of the audit log cannot be read"
        return Entry(time=time, source=Source.AUDIT, level=Level.WARNING, text=text, cluster=cluster)


def _parsed(raw: Mapping[str, Any], time: datetime, cluster: str) -> Entry:
    target = raw.get("objectRef") or {}
    verb, status = str(raw.get("verb", "")), int((raw.get("responseStatus") or {}).get("code", 0))
    address = urlsplit(str(raw.get("requestURI", "")))
    query = parse_qs(address.query)
    dry = "dryRun" in query
    user = _user(raw)
    subject = _object(target)
    details = {
        Detail.VERB: verb,
        Detail.USER: user,
        Detail.USER_AGENT: str(raw.get("userAgent", "")),
        Detail.MANAGER: next(iter(query.get("fieldManager", ())), ""),
        Detail.AUDIT_ID: str(raw["auditID"]),
        Detail.STATUS: str(status),
        Detail.URI: address.path,
        Detail.SUBRESOURCE: str(target.get("subresource", "")),
        Detail.RESOURCE: str(target.get("resource", "")),
        Detail.NAMESPACE: "" if subject else str(target.get("namespace", "")),
        Detail.SELECTED: "" if query.keys().isdisjoint(_SELECTORS) else "yes",
        Detail.DRY_RUN: "yes" if dry else "",
        Detail.RECEIVED: format_time(parse_time(raw["requestReceivedTimestamp"])),
    }
    return Entry(
        time=time,
        source=Source.AUDIT,
        level=_level(verb, status, user, quiet=dry or details[Detail.USER_AGENT] == OWN_AGENT),
        cluster=cluster,
        object=subject,
        text=f"{verb} {address.path}{' (dry run)' if dry else ''}: {status}",
        actor=short_user(user),
        details={key: value for key, value in details.items() if value},
    )


def _object(target: Mapping[str, object]) -> ObjectRef | None:
    if "resource" not in target or "name" not in target:
        return None
    return ObjectRef(kind=str(target["resource"]), namespace=str(target.get("namespace", "")), name=str(target["name"]))


def _user(raw: Mapping[str, object]) -> str:
    names = []
    for key in ("user", "impersonatedUser"):
        user = raw.get(key)
        if isinstance(user, Mapping) and user.get("username"):
            names.append(str(user["username"]))
    return " as ".join(names)


def is_person(user: str) -> bool:
    """Whether a user of the API is none of the system's own; a program with a service account acts for somebody."""
    if user.startswith(_SERVICE_ACCOUNT):
        return user.removeprefix(_SERVICE_ACCOUNT).partition(":")[0] not in OWN_NAMESPACES
    return bool(user) and not user.startswith("system:") and user not in OWN_USERS


def is_human(user: str) -> bool:
    """Whether a user of the API is a person and not a program that acts for one."""
    return is_person(user) and not user.startswith(_SERVICE_ACCOUNT)


def short_user(user: str) -> str:
    """`kustomize-controller` for its service account, `kube-scheduler` for `system:kube-scheduler`; and as whom."""
    asks, as_, other = user.partition(" as ")
    short = asks.rpartition(":")[2] if asks.startswith(_SERVICE_ACCOUNT) else asks.removeprefix("system:")
    return f"{short}{as_}{other}"


def _level(verb: str, status: int, user: str, *, quiet: bool) -> Level:
    if quiet or verb not in WRITES or not is_person(user):
        return Level.DEBUG
    return Level.WARNING if status >= HTTPStatus.BAD_REQUEST else Level.INFO
