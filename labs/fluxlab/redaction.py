"""Mask secret values in everything that fluxlab writes: by exact value, base64, URL-encoding and JSON's escapes."""

import base64
import json
import re
import threading
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = "[redacted]"
# Shorter values are masked nowhere: they would hit ordinary words and make every line unreadable.
MINIMUM_LENGTH = 6


def spellings(value: str) -> set[str]:
    """The forms in which a value shows up in text: raw, URL-encoded, JSON-escaped, and base64 at each byte offset."""
    found = {value, *_url_encoded(value), *_base64(value.encode())}
    found |= {json.dumps(value, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    return {spelling for spelling in found if len(spelling) >= MINIMUM_LENGTH}


def _url_encoded(value: str) -> set[str]:
    encoded = {quote(value, safe=""), quote(value), quote_plus(value)}
    return encoded | {re.sub("%[0-9A-F]{2}", lambda digits: digits[0].lower(), text) for text in encoded}


def _base64(raw: bytes) -> set[str]:
    found = set()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for offset in range(3):
            encoded = encode(b"\0" * offset + raw).decode().rstrip("=")
            # The first characters still carry bits of what precedes the value, the last one bits of what follows it,
            # if anything does.
            start = (0, 2, 3)[offset]
            whole = (offset + len(raw)) * 8 // 6
            found |= {encoded[start:whole], encoded[start:]}
    return found


class Redactor:
    """A growing set of secret values and the one function that removes them from text. Thread-safe."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._spellings: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        for value in values:
            self.add(value)

    def add(self, value: str) -> None:
        """Mask `value` from now on; values shorter than MINIMUM_LENGTH are ignored."""
        if len(value) < MINIMUM_LENGTH:
            return
        with self._lock:
            self._spellings |= spellings(value)
            longest_first = sorted(self._spellings, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def redact(self, text: str) -> str:
        """`text` with every known value replaced by MASK."""
        pattern = self._pattern
        return pattern.sub(MASK, text) if pattern else text
