"""How people name objects: NAMESPACE/NAME, and a key in one."""

import re

from .errors import UsageError

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")


def parse_place(text: str, *, kind: str = "object") -> tuple[str, str]:
    """Namespace and name from `NAMESPACE/NAME`. Raises UsageError."""
    namespace, slash, name = text.partition("/")
    if not slash or not _NAME.fullmatch(namespace) or not _NAME.fullmatch(name):
        raise UsageError(f"{text!r} names no {kind}", hint="NAMESPACE/NAME, such as causely/causely-secrets")
    return namespace, name


def check_key(key: str) -> None:
    """Raise UsageError for what cannot be a key of a Secret."""
    if not _KEY.fullmatch(key):
        raise UsageError(f"{key!r} is no key of a Secret", hint="letters, digits, dashes, dots and underscores")
