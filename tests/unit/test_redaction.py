"""Secrets are masked in every spelling; the scanner that checks it decodes what it finds and spells nothing itself."""

import base64
import json
import re
import string
from collections.abc import Callable
from urllib.parse import quote, quote_plus, unquote, unquote_plus

import pytest
import yaml
from hypothesis import assume, example, given
from hypothesis import strategies as st

from fluxlab import redaction
from fluxlab.redaction import MASK, MINIMUM_LENGTH, Redactor, spellings

SECRET = "k7?/~ü>gT0ken&x=1"
RUN = re.compile(r"[A-Za-z0-9+/_-]{4,}")
Text = st.text(
    alphabet=string.ascii_letters + string.digits + ' "\\\n%&/+?=~-_ü€', min_size=MINIMUM_LENGTH, max_size=40
)


def scan(text: str, secret: str) -> set[str]:
    """The ways in which `secret` can be read from `text`."""
    found = {"raw"} if secret in text else set()
    if secret in unquote(text) or secret in unquote_plus(text):
        found.add("url")
    if secret in text.replace("\\n", "\n").replace('\\"', '"').replace("\\\\", "\\"):
        found.add("json")
    for run in RUN.findall(text):
        for alphabet, characters in (("base64", "+/"), ("base64url", "-_")):
            for skipped in range(4):
                piece = run[skipped:]
                piece = piece[: len(piece) - 1] if len(piece) % 4 == 1 else piece
                if re.fullmatch(f"[A-Za-z0-9{characters}]*", piece) is None:
                    continue
                if secret.encode() in base64.b64decode(piece + "=" * (-len(piece) % 4), altchars=characters.encode()):
                    found.add(alphabet)
    return found


def spelt() -> dict[str, tuple[str, str]]:
    raw = SECRET.encode()
    cases = {
        "raw": ("raw", f"token is {SECRET}."),
        "url": ("url", f"https://lab:{quote(SECRET, safe='')}@host/"),
        "url, slash kept": ("url", f"https://host/?q={quote(SECRET)}"),
        "url, form": ("url", f"q={quote_plus(SECRET)}&r=1"),
        "url, lower-case hex": ("url", re.sub("%..", lambda found: found[0].lower(), quote(SECRET, safe=""))),
        "json": ("json", json.dumps({"token": 'a"' + SECRET}, ensure_ascii=False)),
    }
    for name, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
        for before in range(4):
            for after in range(4):
                text = encode(b"u" * before + raw + b"v" * after).decode()
                cases[f"{name} {before}+{after}"] = (name, f'"{text}"')
    return cases


@pytest.mark.parametrize(("spelling", "text"), spelt().values(), ids=spelt())
def test_each_spelling_is_found_by_the_scanner_and_masked_by_the_redactor(spelling: str, text: str) -> None:
    assert spelling in scan(text, SECRET)
    redacted = Redactor([SECRET]).redact(text)
    assert MASK in redacted
    assert not scan(redacted, SECRET)


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("length", range(MINIMUM_LENGTH, MINIMUM_LENGTH + 3))
def test_base64_of_a_value_alone_leaves_nothing_but_padding(encode: object, length: int) -> None:
    assert callable(encode)
    value = "Zy?>x~Kq"[:length]
    assert Redactor([value]).redact(encode(value.encode()).decode()).rstrip("=") == MASK


@given(secret=Text, before=st.binary(max_size=9), after=st.binary(max_size=9))
@example(secret="s3cret", before=b"", after=b"")
@example(secret="s3cret", before=b"lab:", after=b"")
@example(secret="s3cret", before=b"ab", after=b"c")
def test_in_longer_base64_at_most_the_two_shared_characters_stay(secret: str, before: bytes, after: bytes) -> None:
    raw = secret.encode()
    text = base64.b64encode(before + raw + after).decode()
    # By hand: of the value's bits, those that fill characters alone must go.
    first, end = -(-len(before) * 8 // 6), (len(before) + len(raw)) * 8 // 6
    redacted = Redactor([secret]).redact(text)
    assume(text.count(text[first:end]) == 1)
    assert redacted.startswith(text[:first] + MASK)
    assert len(redacted.rstrip("=")) <= len((text[:first] + MASK + text[end:]).rstrip("="))


@given(secret=Text, words=st.lists(Text, max_size=3), plan=st.integers(0, 5))
def test_no_secret_survives_in_any_text(secret: str, words: list[str], plan: int) -> None:
    assume(secret not in MASK)
    body = " ".join([*words, secret, *words])
    text = (
        body,
        json.dumps({"body": body}, ensure_ascii=False),
        quote(body),
        quote(body, safe=""),
        base64.b64encode(body.encode()).decode(),
        base64.urlsafe_b64encode(body.encode()).decode().rstrip("="),
    )[plan]
    redacted = Redactor([secret]).redact(text)
    assert MASK in redacted
    assert secret not in redacted
    assert not {"base64", "base64url"} & scan(redacted, secret)


@given(st.text(max_size=60))
def test_text_without_secrets_is_left_alone(text: str) -> None:
    assume("hunter2!" not in text)
    assert Redactor().redact(text) == text
    assert Redactor(["hunter2!"]).redact(text) == text


AB = st.text("ab", max_size=30)


@given(st.lists(st.text("ab", min_size=MINIMUM_LENGTH, max_size=9), min_size=1, max_size=3), AB)
@example(["aaaaab", "abbbbb"], "aaaaabbbbb")
def test_wherever_a_value_stands_it_is_masked_and_nothing_else_is(values: list[str], text: str) -> None:
    found = {form for value in values for form in spellings(value)}
    secret = {
        place + offset
        for form in found
        for place in range(len(text))
        if text.startswith(form, place)
        for offset in range(len(form))
    }
    left = "".join("|" if place in secret else character for place, character in enumerate(text))
    # Of two values that touch each other each may have its mask, or both one.
    assert re.sub(r"\|+", "|", Redactor(values).redact(text).replace(MASK, "|")) == re.sub(r"\|+", "|", left)


def test_of_two_values_that_overlap_nothing_is_left() -> None:
    values = ["https://host.example/abc", "abc/T000-secret-path"]
    assert Redactor(values).redact("at https://host.example/abc/T000-secret-path.") == f"at {MASK}."


@given(st.text(alphabet=string.printable, max_size=MINIMUM_LENGTH - 1))
def test_short_values_are_ignored(value: str) -> None:
    text = f"level=info {value} {base64.b64encode(value.encode()).decode()}"
    assert Redactor([value]).redact(text) == text


def test_of_two_values_the_longer_is_masked_whole() -> None:
    redactor = Redactor(["abcdef", "abcdefghij"])
    assert redactor.redact("abcdefghij abcdef") == f"{MASK} {MASK}"


def test_a_value_is_masked_from_the_moment_it_is_added() -> None:
    redactor = Redactor()
    assert redactor.redact("a-s3cret-b") == "a-s3cret-b"
    redactor.add("s3cret")
    redactor.add("an0ther")
    assert redactor.redact("a-s3cret-b an0ther") == f"a-{MASK}-b {MASK}"


KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2
OF/2NxApJCzGCEDdfSp6VQO30hyhRANCAAQRWz+jn65BtOMvdyHKcvjBeBSDZH2r
1RTwjmYSi9R/zpBnuQ4EiMnCqfMPWiZqB4QdbAd0E7oH50VpuZ1P087G
-----END PRIVATE KEY-----
"""
SEVERAL_LINES = {
    "a key": KEY,
    "a file of settings": "user: ada\npassword: correct horse\n\nretries: 3\n",
    "a quote": 'se"cret value',
    "signs of HTML": "pa&ss<word>'s",
    "backslashes": "C:\\new\\users\\ada",
    "no ASCII": "pässwörd 😀",
    "a tabulator": "ada\thunter2",
    "a line that goes on": "curl -u ada:hunter2 \\\n  https://host.example\n",
    "a line that is a backslash": "hunter2\n\\\nhunter3",
    "a backslash before a line end": "abcdefg\\\nhij",
    "a backslash before a tabulator": "tok\\\ten-123456",
    "a backslash before no ASCII": "CORP\\ünter-77-pw",
    "a backslash before what is far from ASCII": "CORP\\😀nter-77-pw",
    "a backslash before a sign of HTML": "CORP\\&nter-77-pw",
    "a form feed": "hunter2\fpass",
    "a backspace": "hunter2\bpass",
    "what looks like an escape": "C:\\x41pw-12345",
    "a path": "/var/lib",
    "pieces of few characters": '{"ab":"cd"}',
}
"""Values that others write otherwise than they are."""


def go_json(content: object) -> str:
    """As Go's encoding/json writes it, which minds HTML."""
    signs = {"&": "\\u0026", "<": "\\u003c", ">": "\\u003e"}
    return re.sub("[&<>]", lambda found: signs[found[0]], json.dumps(content, ensure_ascii=False))


def in_a_block(value: str) -> str:
    """A document of YAML in which a value is a block."""
    lines = value.removesuffix("\n").split("\n")
    return "tls:\n  key: |\n" + "".join(f"    {line}\n" if line else "\n" for line in lines) + "  more: 1\n"


HOLDERS: dict[str, Callable[[str], str]] = {
    "JSON": lambda value: json.dumps({"key": value}),
    "JSON that keeps what is not ASCII": lambda value: json.dumps({"key": value}, ensure_ascii=False),
    "Go's JSON": lambda value: go_json({"key": value}),
    "JSON in JSON": lambda value: json.dumps(json.dumps({"key": value})),
    "Go's JSON in Go's JSON in Go's JSON": lambda value: go_json(go_json(go_json({"key": value}))),
    "JSON that minds its slashes": lambda value: json.dumps({"key": value}).replace("/", "\\/"),
    "YAML": in_a_block,
    "YAML in a field's value": lambda value: json.dumps(in_a_block(value)),
    "YAML in an annotation of kubectl's": lambda value: json.dumps(go_json({"data": {"values": in_a_block(value)}})),
    "YAML in YAML": lambda value: in_a_block(in_a_block(value)),
    "YAML in quotes": lambda value: yaml.dump({"key": value}, default_style="'", width=10_000, allow_unicode=True),
    "YAML in double quotes": lambda value: yaml.dump({"key": value}, default_style='"', width=10_000),
}


ESCAPE = re.compile(r'\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}|[bfnrt/"\\])')


def read_from(text: str) -> str:
    """What somebody reads who takes away all escapes, as deep as they are, and all indentation."""
    before = ""
    while text != before:
        before, text = text, ESCAPE.sub(_unescaped, text)
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return re.sub(r"\s*\n\s*", "\n", text.replace("''", "'"))


def _unescaped(found: re.Match[str]) -> str:
    code = found[1]
    return (
        {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}.get(code, code)
        if len(code) == 1
        else chr(int(code[1:], 16))
    )


@pytest.mark.parametrize("value", SEVERAL_LINES.values(), ids=SEVERAL_LINES)
@pytest.mark.parametrize("hold", HOLDERS.values(), ids=HOLDERS)
def test_a_value_is_masked_however_deep_it_stands_in_what_escapes_or_indents_it(
    value: str, hold: Callable[[str], str]
) -> None:
    text = f"before\n{hold(value)}\nafter"
    wanted = read_from(value.strip())
    assert wanted in read_from(text), "the scanner reads it"
    redacted = Redactor([value]).redact(text)
    assert MASK in redacted
    assert wanted not in read_from(redacted)
    assert redacted.startswith("before\n")
    assert redacted.endswith("\nafter")


@pytest.mark.parametrize("value", ["/var/lib", "/var/lib\n", "org/app"])
def test_a_path_that_is_a_value_has_no_text_read_that_escapes_no_slash(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    redactor = Redactor([value])
    read: list[str] = []
    actual = redaction._Reading.of

    def of(text: str) -> redaction._Reading:
        read.append(text)
        return actual(text)

    monkeypatch.setattr(redaction._Reading, "of", of)
    path = value.strip()
    assert redactor.redact(f'"said \\"{path}\\" in a/b"') == f'"said \\"{MASK}\\" in a/b"'
    assert not read
    escaped = path.replace("/", "\\/")
    assert redactor.redact(f'"said \\"{escaped}\\" in a/b"') == f'"said \\"{MASK}\\" in a/b"'


def test_of_many_keys_that_begin_and_end_alike_each_is_masked_and_no_other_key_is() -> None:
    def key(number: int) -> str:
        return KEY.replace("MIGH", f"{number:04}").replace("1RTw", "x" * (number % 4) + "1RTw")

    known, unknown = [key(number) for number in range(300)], KEY.translate(str.maketrans("ghijKLMN", "hgjiLKNM"))
    redactor = Redactor([*known, *(value.strip() for value in known)])
    for value in known:
        assert redactor.redact(f"a {value}b {json.dumps(value)}") == f'a {MASK}b "{MASK}"'
        encoded = base64.b64encode(value.encode()).decode()
        assert redactor.redact(f"a {encoded} b").replace("=", "") == f"a {MASK} b"
    assert redactor.redact(f"a {unknown} b") == f"a {unknown} b"


def test_of_a_key_no_line_is_left_where_lines_are_printed_one_by_one() -> None:
    redactor = Redactor([KEY])
    shown = [redactor.redact(f"kube-system  | {line}") for line in KEY.splitlines()]
    assert shown == [
        "kube-system  | -----BEGIN PRIVATE KEY-----",  # of no use to anybody, and in every other key
        *[f"kube-system  | {MASK}"] * 3,
        "kube-system  | -----END PRIVATE KEY-----",
    ]


def test_ordinary_words_in_a_secret_of_several_lines_are_left_alone_elsewhere() -> None:
    settings = "apiVersion: v1\nkind: Config\ncurrent-context: somebody\nclusters: []\ntoken: hunter2hunter2\n"
    text = "apiVersion: v1\nkind: ConfigMap\ndata:\n  current-context: somebody\n"
    redactor = Redactor([settings])
    assert redactor.redact(text) == text
    assert redactor.redact(json.dumps(text)) == json.dumps(text)


@given(st.text(alphabet="ab\n\\\"nut0'& ", max_size=60), Text)
def test_of_a_text_with_escapes_that_holds_no_secret_all_is_left(text: str, secret: str) -> None:
    assert Redactor([f"{secret}~{secret}"]).redact(text) == text


HOST = "hooks.chat.example"
ADDRESS = f"https://{HOST}/services/T0/canary?to='canary,canary'&key=canary"


@pytest.mark.parametrize(
    "text",
    [
        f"address: {ADDRESS}",
        f"address: '{ADDRESS}' # canary is not in this comment".replace("canary is", "nothing is"),
        f"{{address: {ADDRESS}, type: slack}}",
        json.dumps({"msg": f'Post "{ADDRESS}": refused'}),
        json.dumps(json.dumps({"address": ADDRESS})),
        json.dumps({"address": ADDRESS}).replace("&", "\\u0026"),
        json.dumps(json.dumps({"address": ADDRESS}).replace("&", "\\u0026")),
        json.dumps({"address": ADDRESS}).replace("/", "\\/"),
        f"https://elsewhere.example/?next={quote(ADDRESS, safe='')}",
        ADDRESS.replace(HOST, HOST.upper()),
        ADDRESS.replace(HOST, f"{HOST}:8443"),
        ADDRESS.replace(HOST, f"{HOST}."),
        f"https://{HOST}?canary",
        f"https://{HOST}#canary",
        f"{HOST}/canary",
        f"https://me:pass@{HOST}/canary",
        f"https://me:canary@{HOST}/hook",
        f"https://canary@{HOST}",
        json.dumps({"address": f"https://me:canary@{HOST}:8443/canary"}).replace("/", "\\/"),
        f"?next={quote(f'https://me:canary@{HOST}/canary', safe='')}",
        f"http://{HOST}/a http://{HOST}/canary\thttp://{HOST}/canary",
    ],
)
def test_below_a_host_that_is_hidden_nothing_of_an_address_is_left(text: str) -> None:
    redactor = Redactor()
    redactor.hide_below(HOST)
    redacted = redactor.redact(text)
    assert "canary" in text
    assert "canary" not in redacted
    assert MASK in redacted
    assert HOST in redacted.lower()
    assert redactor.redact(redacted) == redacted


def test_of_a_text_around_a_hidden_address_all_is_left() -> None:
    redactor = Redactor()
    redactor.hide_below(HOST)
    assert redactor.redact(f'Post "https://{HOST}/x": refused') == f'Post "https://{HOST}/{MASK}": refused'
    assert redactor.redact(f"POST https://{HOST}/x: 200") == f"POST https://{HOST}/{MASK}: 200"
    for text in (f"https://{HOST}/", f"https://{HOST} is up", f"https://not-{HOST}/x", f"https://{HOST}.org/x"):
        assert redactor.redact(text) == text


@pytest.mark.parametrize("value", [HOST, f"https://{HOST}", "services", f"see https://{HOST}/services/T0/x for canary"])
def test_a_value_that_overlaps_with_a_hidden_address_hides_no_less(value: str) -> None:
    redactor = Redactor([value])
    redactor.hide_below(HOST)
    redacted = redactor.redact(f"see https://{HOST}/services/T0/x for canary" if "see" in value else ADDRESS)
    assert "canary" not in redacted
