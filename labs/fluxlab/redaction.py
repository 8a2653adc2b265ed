"""Mask secrets in everything that fluxlab writes.

Values are masked where they stand as they are, in base64 and URL-encoded; and in what escapes or indents them, however
deep: JSON within JSON, a block of YAML in a field's value. Of addresses, what follows a host at which a path is a
password.
"""

import base64
import re
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

MASK = "[redacted]"
# Shorter values are masked nowhere: they would hit ordinary words and make every line unreadable.
MINIMUM_LENGTH = 6
# Whatever form stands in a text, one of these pieces of its first MINIMUM_LENGTH characters begins at a multiple of
# STRIDE: texts without any, which are nearly all, need not be looked at in each place.
PIECE = 3
STRIDE = MINIMUM_LENGTH - PIECE + 1
_HEX = "[0-9a-fA-F]"
_FAR = 0x10000
# What JSON, Go and YAML write instead of a character, also where that was escaped several times; and a line's end with
# the indentation of the next one. Characters beyond the first plane are two in JSON.
_ESCAPED = re.compile(
    r"(?P<end>(?:\\+(?:[nr]|u000[adAD])|[\r\n])(?:\\+[nrt]|\s)*)"
    rf"|\\+(?:u(?P<u>{_HEX}{{4}})|x(?P<x>{_HEX}{{2}})|U(?P<U>{_HEX}{{8}})|(?P<tab>t)|(?P<sign>[\"'/]))"
    r"|(?P<other>\\+)"
    r"|(?P<quote>'{2,})"
    r"|(?P<far>[\U00010000-\U0010ffff])"
)
# What nobody escapes.
_PLAIN = re.compile(r"[ !#-%(-.0-;=?-\[\]-~]+")
# A line of a value of several lines that is no ordinary word: nobody wants `kind: Config` masked wherever it stands.
_TELLING_LINE = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])\S{20,}")
# Around a host: who logs in there; a port; and all from the path on that may belong to an address, also within JSON or
# another address. A character too many that is masked does no harm.
_LOGIN = r"(?:/|%2F)([^\s\"<>\\/]{1,500}?)(?:@|%40)"
_PORT = r"\.?(?:(?::|%3A)\d+)?"
_BELOW = r"(?:/|\\+/|\?|#|%2F|%3F|%23)((?:\\+(?:u[0-9a-f]{4}|/)|[^\s\"<>\\])+)(?<![:,;.)}'])"
Span = tuple[int, int]


def spellings(value: str) -> set[str]:
    """The forms in which a value shows up in text where nothing escapes it: raw, URL-encoded, and base64 at each byte
    offset.
    """
    found = {value, *_url_encoded(value), *_base64(value.encode())}
    return {spelling for spelling in found if len(spelling) >= MINIMUM_LENGTH}


def _url_encoded(value: str) -> set[str]:
    whole = quote(value, safe="")
    found = set()
    for encoded in (whole, re.sub("%[0-9A-F]{2}", lambda digits: digits[0].lower(), whole)):
        kept = encoded.replace("%2F", "/").replace("%2f", "/")  # as in a path
        found |= {encoded, kept, encoded.replace("%20", "+")}  # as in a form
    return found


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


@dataclass(frozen=True)
class _Reading:
    """A text as who reads it takes it, without escapes and indentation; and where its characters stand in the text."""

    text: str
    units: Sequence[tuple[int, Span, int]]
    """What stands for something else: where it begins here, from where to where it is there, where it ends here."""

    @classmethod
    def of(cls, text: str) -> "_Reading":
        """What somebody reads in a text."""
        pieces: list[str] = []
        units = []
        length = done = 0
        for found in _ESCAPED.finditer(text):
            start, end = found.span()
            meant = _meaning(found)
            pieces += (text[done:start], meant)
            length += start - done
            units.append((length, (start, end), length + len(meant)))
            length, done = length + len(meant), end
        return cls("".join([*pieces, text[done:]]), units)

    def origin(self, span: Span) -> Span:
        """Where a part of what is read stands in the text."""
        (start, _), (_, end) = self._place(span[0]), self._place(span[1] - 1)
        return start, end

    def _place(self, place: int) -> Span:
        """From where to where the text has one character."""
        unit = bisect_right(self.units, place, key=lambda unit: unit[0]) - 1
        if unit < 0:
            return place, place + 1
        _, there, ends = self.units[unit]
        after = place - ends
        return there if after < 0 else (there[1] + after, there[1] + after + 1)


def _meaning(found: re.Match[str]) -> str:
    """What an escape stands for."""
    kind = found.lastgroup or ""
    if kind in {"u", "x", "U"}:
        code = int(found[kind], 16)
        return chr(code) if code < _FAR else _pair(code)
    if kind == "far":
        return _pair(ord(found[0]))
    return found["sign"] or {"end": "\n", "tab": "\t", "other": "\\", "quote": "'"}[kind]


def _pair(code: int) -> str:
    """A character beyond the first plane as JSON's escapes have it."""
    return chr(0xD800 + ((code - _FAR) >> 10) % 0x400) + chr(0xDC00 + (code & 0x3FF))


class _Forms:
    """Words that are looked for in texts, by how they begin."""

    def __init__(self) -> None:
        self._by_head: dict[str, tuple[str, ...]] = {}
        self.pieces: set[str] = set()

    def add(self, form: str) -> None:
        """Look for a word of at least MINIMUM_LENGTH characters."""
        head = form[:MINIMUM_LENGTH]
        others = self._by_head.get(head, ())
        if form not in others:
            place = bisect_left(others, -len(form), key=lambda other: -len(other))
            self._by_head[head] = (*others[:place], form, *others[place:])
        self.pieces.update(_pieces(form))

    def found_in(self, text: str) -> Iterator[Span]:
        """Where they stand; of those that begin at one place the longest."""
        heads, pieces = self._by_head, self.pieces
        for hit in [place for place in range(0, len(text), STRIDE) if text[place : place + PIECE] in pieces]:
            for place in range(max(0, hit - STRIDE + 1), hit + 1):
                for form in heads.get(text[place : place + MINIMUM_LENGTH], ()):
                    if text.startswith(form, place):
                        yield place, place + len(form)
                        break


@lru_cache(maxsize=512)
def _forms_of(value: str) -> tuple[frozenset[str], str]:
    """What of a value stands in texts as it is, and what who reads it takes it for where it may be escaped; kept, since
    a process makes many redactors of the same values.
    """
    lines = [line for line in map(str.strip, value.splitlines()) if _TELLING_LINE.fullmatch(line)]
    read = "" if _PLAIN.fullmatch(value) else _Reading.of(value).text.strip(" \t\n\\")
    return frozenset(spellings(value).union(lines)), read


def _pieces(form: str) -> Iterator[str]:
    return (form[place : place + PIECE] for place in range(STRIDE))


class Redactor:
    """A growing set of secret values, and of hosts below which all is secret, and the one function that removes them
    from text. Thread-safe.

    Its cost grows with the text, not with the number of values: a cluster may hold thousands.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._written = _Forms()
        self._read = _Forms()
        """Of values that may be escaped: as who reads them takes them."""
        self._signs: set[str] = set()
        """Pieces, as in `_Forms`, of which a text holds one wherever it holds one of these values, however escaped."""
        self._always = False
        """Whether there is such a value of which nothing is written as it is."""
        self._below: dict[str, re.Pattern[str]] = {}
        for value in values:
            self.add(value)

    def add(self, value: str) -> None:
        """Mask `value` from now on; values shorter than MINIMUM_LENGTH are ignored."""
        if len(value) < MINIMUM_LENGTH or value in self._known:
            return
        forms, read = _forms_of(value)
        with self._lock:
            for form in forms:
                self._written.add(form)
            if len(read) >= MINIMUM_LENGTH:
                self._expect(read)
            self._known.add(value)  # last: whoever finds it here may rely on its being masked

    def _expect(self, read: str) -> None:
        self._read.add(read)
        plain = max(_PLAIN.findall(read), key=len, default="")
        if len(plain) < MINIMUM_LENGTH:
            self._always = True
        else:
            self._signs.update(_pieces(plain))

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
        """`text` with all that is secret replaced by MASK; values that overlap share one."""
        spans = [*self._values(text), *self._addresses(text)]
        if not spans:
            return text
        pieces: list[str] = []
        done = 0
        for start, end in sorted(spans):
            if start >= done:
                pieces += [text[done:start], MASK]
            done = max(done, end)
        return "".join([*pieces, text[done:]])

    def _values(self, text: str) -> Iterator[Span]:
        held = [text[place : place + PIECE] for place in range(0, len(text), STRIDE)]
        if not self._written.pieces.isdisjoint(held):
            yield from self._written.found_in(text)
        if self._may_hold(held, text):
            reading = _Reading.of(text)
            yield from map(reading.origin, self._read.found_in(reading.text))

    def _may_hold(self, held: Collection[str], text: str) -> bool:
        """Whether a text may hold an escaped value."""
        return (self._always or not self._signs.isdisjoint(held)) and _ESCAPED.search(text) is not None

    def _addresses(self, text: str) -> Iterator[Span]:
        lowered = text.lower() if self._below else ""
        for host, pattern in self._below.items():
            if host in lowered:
                yield from (found.span(group) for found in pattern.finditer(text) for group in (1, 2) if found[group])
