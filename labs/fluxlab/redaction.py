"""Mask secrets in everything that fluxlab writes.

Values are masked where they stand as they are, in base64 and URL-encoded; and in what escapes or indents them, however
deep: JSON within JSON, a block of YAML in a field's value. Of addresses, what follows a host at which a path is a
password.
"""

import base64
import json
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
# the indentation of the next one. Characters beyond the first plane are two in JSON. How many backslashes there are
# tells nothing once they were escaped: before a character that is escaped elsewhere they read as nothing.
_ESCAPED = re.compile(
    r"(?=[\\\r\n'\U00010000-\U0010ffff])(?:"  # which spares a look at the rest nearly everywhere
    r"(?P<end>(?:\\+(?:[nr]|u000[adAD])|\\*[\r\n])(?:\\+(?:[nrtf]|u000[9a-dA-D])|\\*[ \t-\r])*)"
    rf"|\\+(?:u(?P<u>{_HEX}{{4}})|x(?P<x>{_HEX}{{2}})|U(?P<U>{_HEX}{{8}})|(?P<control>[btf]))"
    r"|\\+(?P<sign>[\"'/&<>\x00-\x1f\x7f-\uffff])"
    r"|(?P<far>\\*[\U00010000-\U0010ffff])"
    r"|(?P<other>\\+)"
    r"|(?P<quote>'{2,}))"
)
# Texts without it hold nothing of the above.
_ANY_ESCAPE = re.compile(r"[\\\r\n\U00010000-\U0010ffff]|''")
_ESCAPED_SLASH = re.compile(r"\\(?:/|u002[fF]|x2[fF])")
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
    """The forms in which a value shows up in text: raw, URL-encoded, in JSON's escapes, and base64 at each byte offset.
    What is escaped otherwise, or deeper, is found by who reads the text.
    """
    found = {value, *_url_encoded(value), *_in_json(value), *_base64(value.encode())}
    return {spelling for spelling in found if len(spelling) >= MINIMUM_LENGTH}


def _url_encoded(value: str) -> set[str]:
    whole = quote(value, safe="")
    found = set()
    for encoded in (whole, re.sub("%[0-9A-F]{2}", lambda digits: digits[0].lower(), whole)):
        kept = encoded.replace("%2F", "/").replace("%2f", "/")  # as in a path
        found |= {encoded, kept, encoded.replace("%20", "+")}  # as in a form
    return found


def _in_json(value: str) -> set[str]:
    return {json.dumps(value, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}


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
        return _pair(ord(found[0][-1]))
    if kind == "control":
        return {"b": "\b", "t": "\t", "f": "\f"}[found[kind]]
    return found["sign"] or {"end": "\n", "other": "\\", "quote": "'"}[kind]


def _pair(code: int) -> str:
    """A character beyond the first plane as JSON's escapes have it."""
    return chr(0xD800 + ((code - _FAR) >> 10) % 0x400) + chr(0xDC00 + (code & 0x3FF))


class _Forms:
    """Words that are looked for in texts, by how they begin; of the many that begin alike, as all keys do, by their
    middle, too.
    """

    def __init__(self) -> None:
        self._words: set[str] = set()
        self._middles: set[tuple[int, str]] = set()
        self._lengths: dict[str, tuple[int, ...]] = {}
        """By how words begin, longest first."""
        self.pieces: set[str] = set()

    def add(self, form: str) -> None:
        """Look for a word of at least MINIMUM_LENGTH characters."""
        head, length = form[:MINIMUM_LENGTH], len(form)
        self._words.add(form)
        self._middles.add((length, _middle(form, 0, length)))
        others = self._lengths.get(head, ())
        place = bisect_left(others, -length, key=lambda other: -other)
        if others[place : place + 1] != (length,):
            self._lengths[head] = (*others[:place], length, *others[place:])
        self.pieces.update(_pieces(form))

    def found_in(self, text: str) -> Iterator[Span]:
        """Where they stand; of those that begin at one place the longest."""
        lengths, pieces = self._lengths, self.pieces
        for hit in [place for place in range(0, len(text), STRIDE) if text[place : place + PIECE] in pieces]:
            for place in range(max(0, hit - STRIDE + 1), hit + 1):
                for length in lengths.get(text[place : place + MINIMUM_LENGTH], ()):
                    if self._stands(text, place, length):
                        yield place, place + length
                        break

    def _stands(self, text: str, place: int, length: int) -> bool:
        """Whether a word of this length does there."""
        return (length, _middle(text, place, length)) in self._middles and text[place : place + length] in self._words


def _middle(text: str, start: int, length: int) -> str:
    middle = start + length // 2
    return text[middle : min(middle + MINIMUM_LENGTH, start + length)]


@dataclass(frozen=True)
class _Shape:
    """How a value shows up in texts."""

    written: frozenset[str]
    """Forms that stand there as they are."""
    read: str
    """What who reads the value takes it for, where it may be escaped; empty where nobody escapes anything of it."""
    plain: str
    """The longest piece of it that stands in a text however the rest is escaped."""
    slashed: bool
    """Whether nothing but slashes may be escaped."""


# Kept, since a process makes many redactors of the same values.
@lru_cache(maxsize=2048)
def _shape_of(value: str) -> _Shape:
    lines = {line for line in map(str.strip, value.splitlines()) if _TELLING_LINE.fullmatch(line)}
    bare = value.strip(" \t\r\n")
    slashed = set(_PLAIN.sub("", bare)) == {"/"}
    if slashed and len(bare) >= MINIMUM_LENGTH:
        lines.add(bare)
    reading = None if _PLAIN.fullmatch(value) else _Reading.of(value)
    read = reading.text.lstrip(" \t\n\v\f\\").rstrip(" \t\n\\") if reading else ""
    if len(read) < MINIMUM_LENGTH <= len(value):  # too short to be looked for
        lines |= {deeper for once in _in_json(value) for deeper in _in_json(once)}
    plain = _plain(value, reading.units) if reading else ""
    return _Shape(frozenset(spellings(value) | lines), read, plain, slashed)


def _plain(value: str, units: Sequence[tuple[int, Span, int]]) -> str:
    # Not of what is read: where the value itself holds what looks like an escape, that stands in the texts, too.
    ends = [0, *(end for _, (_, end), _ in units)]
    starts = [*(start for _, (start, _), _ in units), len(value)]
    kept = (value[end:start] for end, start in zip(ends, starts, strict=True))
    return max((run.strip() for piece in kept for run in _PLAIN.findall(piece)), key=len, default="")


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
        self._short_signs: frozenset[str] = frozenset()
        """The same, each looked for by itself, of the few values that have no longer piece."""
        self._slashed = False
        """Whether there is a value without either that differs in its slashes only."""
        self._always = False
        """Whether there is a value without any of these."""
        self._below: dict[str, re.Pattern[str]] = {}
        for value in values:
            self.add(value)

    def add(self, value: str) -> None:
        """Mask `value` from now on; values shorter than MINIMUM_LENGTH are ignored."""
        if len(value) < MINIMUM_LENGTH or value in self._known:
            return
        shape = _shape_of(value)
        with self._lock:
            for form in shape.written:
                self._written.add(form)
            if len(shape.read) >= MINIMUM_LENGTH:
                self._expect(shape)
            self._known.add(value)  # last: whoever finds it here may rely on its being masked

    def _expect(self, shape: _Shape) -> None:
        self._read.add(shape.read)
        if len(shape.plain) >= MINIMUM_LENGTH:
            self._signs.update(_pieces(shape.plain))
        elif shape.slashed:
            self._slashed = True
        elif len(shape.plain) >= PIECE:
            self._short_signs |= {shape.plain}
        else:
            self._always = True

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
        return _ANY_ESCAPE.search(text) is not None and (
            self._always
            or not self._signs.isdisjoint(held)
            or (self._slashed and _ESCAPED_SLASH.search(text) is not None)
            or any(sign in text for sign in self._short_signs)
        )

    def _addresses(self, text: str) -> Iterator[Span]:
        lowered = text.lower() if self._below else ""
        for host, pattern in self._below.items():
            if host in lowered:
                yield from (found.span(group) for found in pattern.finditer(text) for group in (1, 2) if found[group])
