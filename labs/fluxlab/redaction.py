"""Mask secret values in everything that fluxlab writes: by exact value, base64, URL-encoding and JSON's escapes.

And what follows a host at which alerts end: of a webhook's address, all but the host is a password.
"""

import base64
import json
import re
import threading
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = "[redacted]"
# Shorter values are masked nowhere: they would hit ordinary words and make every line unreadable.
MINIMUM_LENGTH = 6
_SLASH = r"(?:/|%2F)"
_REST_OF_ADDRESS = r"[^\s\"'`<>\\(){}\[\],;]+"


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
    """A growing set of secret values and private hosts, and the one function that masks them in text. Thread-safe.

    Its cost grows with the text, not with the number of values: a cluster may hold thousands.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._by_head: dict[str, tuple[str, ...]] = {}
        self._private_hosts: frozenset[str] = frozenset()
        self._addresses: re.Pattern[str] | None = None
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
            self._known.add(value)  # last: whoever finds it here may rely on its being masked

    def hide_below(self, host: str) -> None:
        """Mask from now on whatever follows this host in an address."""
        with self._lock:
            if not self.hides(host):
                hosts = self._private_hosts | {host.lower()}
                names = "|".join(re.escape(one) for one in sorted(hosts, key=len, reverse=True))
                pattern = rf"(?:(?<![\w.-])|(?<=%2F))((?:{names})(?::\d+)?{_SLASH}){_REST_OF_ADDRESS}"
                self._addresses = re.compile(pattern, re.IGNORECASE)
                self._private_hosts = hosts

    def hides(self, host: str) -> bool:
        """Whether what follows a host in an address is masked."""
        return host.lower() in self._private_hosts

    def redact(self, text: str) -> str:
        """`text` with every known value replaced by MASK; where two begin at one place, the longest."""
        if self._addresses:
            text = self._addresses.sub(rf"\g<1>{MASK}", text)
        if not self._by_head:
            return text
        heads = self._by_head
        pieces: list[str] = []
        done = 0
        for place in range(len(text) - MINIMUM_LENGTH + 1):
            if place < done:
                continue
            for spelling in heads.get(text[place : place + MINIMUM_LENGTH], ()):
                if text.startswith(spelling, place):
                    pieces += [text[done:place], MASK]
                    done = place + len(spelling)
                    break
        return "".join([*pieces, text[done:]])
