"""Mask secrets in everything that fluxlab writes.

Values are masked where they stand as they are, in base64, URL-encoded and in JSON's escapes; of addresses, what follows
a host at which a path is a password.
"""

import base64
import json
import re
import threading
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

MASK = "[redacted]"
# Shorter values are masked nowhere: they would hit ordinary words and make every line unreadable.
MINIMUM_LENGTH = 6
# Whatever spelling stands in a text, one of these pieces of its first MINIMUM_LENGTH characters begins at a multiple of
# STRIDE: texts without any, which are nearly all, need not be looked at in each place.
PIECE = 3
STRIDE = MINIMUM_LENGTH - PIECE + 1
# Around a host: who logs in there; a port; and all from the path on that may belong to an address, also within JSON or
# another address. A character too many that is masked does no harm.
_LOGIN = r"(?:/|%2F)([^\s\"<>\\/]{1,500}?)(?:@|%40)"
_PORT = r"\.?(?:(?::|%3A)\d+)?"
_BELOW = r"(?:/|\\+/|\?|#|%2F|%3F|%23)((?:\\+(?:u[0-9a-f]{4}|/)|[^\s\"<>\\])+)(?<![:,;.)}'])"
Span = tuple[int, int]


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
    """A growing set of secret values, and of hosts below which all is secret, and the one function that removes them
    from text. Thread-safe.

    Its cost grows with the text, not with the number of values: a cluster may hold thousands.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._by_head: dict[str, tuple[str, ...]] = {}
        self._pieces: set[str] = set()
        self._below: dict[str, re.Pattern[str]] = {}
        for value in values:
            self.add(value)

    def add(self, value: str) -> None:
        """Mask `value` from now on; values shorter than MINIMUM_LENGTH are ignored."""
        if len(value) < MINIMUM_LENGTH or value in self._known:
            return
        found = spellings(value)
        with self._lock:
            for spelling in found:
                head = spelling[:MINIMUM_LENGTH]
                others = {*self._by_head.get(head, ()), spelling}
                self._by_head[head] = tuple(sorted(others, key=len, reverse=True))
                self._pieces |= {head[place : place + PIECE] for place in range(STRIDE)}
            self._known.add(value)  # last: whoever finds it here may rely on its being masked

    def hide_below(self, host: str) -> None:
        """Mask login, path and query of each address at `host` from now on: that of a webhook is its password."""
        if self.hides_below(host):
            return
        name = re.escape(host)
        pattern = re.compile(rf"(?:{_LOGIN}|(?<![a-z0-9.-])|(?<=%2f)){name}{_PORT}(?:{_BELOW})?", re.IGNORECASE)
        with self._lock:
            self._below = {**self._below, host: pattern}

    def hides_below(self, host: str) -> bool:
        """Whether path and query at `host` are masked."""
        return host in self._below

    def redact(self, text: str) -> str:
        """`text` with all that is secret replaced by MASK; where two values begin at one place, the longest."""
        pieces: list[str] = []
        done = 0
        for start, end in sorted([*self._values(text), *self._addresses(text)]):
            if start >= done:
                pieces += [text[done:start], MASK]
            done = max(done, end)
        return "".join([*pieces, text[done:]])

    def _values(self, text: str) -> Iterator[Span]:
        heads, done = self._by_head, 0
        if self._pieces.isdisjoint([text[place : place + PIECE] for place in range(0, len(text), STRIDE)]):
            return
        for place in range(len(text) - MINIMUM_LENGTH + 1):
            if place < done:
                continue
            for spelling in heads.get(text[place : place + MINIMUM_LENGTH], ()):
                if text.startswith(spelling, place):
                    done = place + len(spelling)
                    yield place, done
                    break

    def _addresses(self, text: str) -> Iterator[Span]:
        lowered = text.lower() if self._below else ""
        for host, pattern in self._below.items():
            if host in lowered:
                yield from (found.span(group) for found in pattern.finditer(text) for group in (1, 2) if found[group])
