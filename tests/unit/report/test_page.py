"""A page shows what is known of a run, needs nothing else, and takes no text for markup."""

import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from tests.unit.report.samples import (
    CONTROL,
    CROWDED,
    FAILED,
    HOSTILE,
    INCONCLUSIVE,
    PASSED,
    SAMPLES,
    hostile,
)

from fluxlab import pages
from fluxlab.rehearsals.results import Finding, Outcome, Part, RunResult
from fluxlab.report.page import index, page

STYLE = (Path(pages.__file__).parent / "templates" / "style.css").read_text()
READABLE = 4.5
"""The contrast that WCAG asks for."""


class Parsed(HTMLParser):
    """A page as a browser reads it: its elements in order, and the text between them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self._inside: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "style" not in self._inside and data.strip():
            self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))

    @property
    def structure(self) -> list[tuple[str, list[str]]]:
        return [(tag, sorted(attributes)) for tag, attributes in self.elements]


def index_of_all() -> str:
    return index({f"{name}.html": result for name, result in SAMPLES.items()})


@pytest.mark.parametrize("text", [*map(page, SAMPLES.values()), index_of_all()], ids=[*SAMPLES, "index"])
def test_a_page_asks_for_nothing_and_runs_nothing(text: str) -> None:
    parsed = Parsed(text)
    assert not {tag for tag, _ in parsed.elements} & {"script", "img", "iframe", "object", "embed", "form", "base"}
    for tag, attributes in parsed.elements:
        assert not [name for name in attributes if name.startswith("on") or name in {"src", "srcset", "action"}]
        target = attributes.get("href", attributes.get("xlink:href", "#"))
        assert tag == "a" or target.startswith("#") or (tag, target) == ("link", "data:,"), (tag, target)
    style = text[text.index("<style>") : text.index("</style>")]
    assert not re.search(r"url\(|@import|@font-face", style)
    policy = next(one["content"] for tag, one in parsed.elements if one.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_the_links_of_an_index_are_the_pages_beside_it() -> None:
    links = [attributes["href"] for tag, attributes in Parsed(index_of_all()).elements if tag == "a"]
    assert sorted(links) == sorted(f"{name}.html" for name in SAMPLES)


def test_whatever_a_text_says_the_page_has_the_same_elements() -> None:
    tame, wild = Parsed(page(hostile("tame"))), Parsed(page(hostile()))
    assert wild.structure == tame.structure
    assert sum(HOSTILE in text for text in wild.texts) > 100
    assert Parsed(index({"x.html": hostile()})).structure == Parsed(index({"x.html": hostile("tame")})).structure


def test_a_text_that_nobody_can_read_is_cut_and_says_so() -> None:
    replay, *others = sorted(Parsed(page(hostile("y" * 10_240))).texts, key=len, reverse=True)
    assert replay == "y" * 10_240
    assert max(map(len, others)) < 3000
    assert any("9640 more characters are in the JSON" in text for text in others)
    assert "y" * 10_240 in hostile("y" * 10_240).as_json()


def test_what_no_page_may_hold_is_left_out() -> None:
    text = page(hostile("a\x1b[31mb\x00c\ud800d"))
    assert "a[31mbcd" in text
    text.encode()


def test_a_failure_begins_with_its_reasons() -> None:
    text = Parsed(page(FAILED)).text
    order = ["fail", "Git hangs while a change is pushed", "never came; it has 20 s", "Hypothesis", "What happened"]
    places = [text.index(words) for words in order]
    assert all(one < other for one, other in pairwise(places)), dict(zip(order, places, strict=True))


def test_a_verdict_comes_with_what_was_not_real() -> None:
    simulated = "pods are simulated by KWOK"
    for text in (Parsed(page(PASSED)).text, Parsed(index({"one.html": PASSED})).text):
        assert simulated in text
    head, _, rest = Parsed(page(PASSED)).text.partition("What has to hold")
    assert simulated in head
    assert simulated in rest.partition("Evidence")[2]
    real = PASSED.model_copy(update={"unreal": ()})
    assert "Not real" not in page(real) + index({"one.html": real})


def test_a_page_has_all_that_is_known_of_a_run() -> None:
    text = Parsed(page(PASSED)).text
    for words in (
        "tolerated not for 0.6 s of 5 s",
        "First signal 10.6 s",
        "Detected in full 12.4 s",
        "First alert 12.4 s",
        "Recovered 3.2 s has 30 s after healing",
        "a fetch of https://github.com/acme/fleet.git hangs for 3 s",
        "10.6 s of 20 s",
        "Cause the git server does not answer",
        "Not the cause the commit; the controllers",
        "Deployment shop/frontend",
        "Nothing was left.",
        "pods are simulated by KWOK",
        "kube-apiserver 1.36.3",
        "fluxlab rehearse git-hang --seed 7",
        "changed .spec.replicas: 1 -> 3 by alice with kubectl",
        "Expected signal: the channel hears of it: seen at +12.4 s.",
    ):
        assert words in text, words


def test_what_never_held_is_told_as_neither_held_nor_tolerated() -> None:
    never = tuple(one.model_copy(update={"ever_held": False}) if one.for_seconds else one for one in PASSED.checks)
    text = Parsed(page(PASSED.model_copy(update={"checks": never}))).text
    assert "never held for 0.6 s" in text
    assert "tolerated" not in text


def test_what_is_not_known_is_not_told_as_nothing() -> None:
    text = Parsed(page(INCONCLUSIVE)).text
    assert "Residue not known" in text
    assert "Blast radius not known" in text
    for claim in ("Nothing was left", "Nothing went wrong", "No object said", "✓"):
        assert claim not in text


def test_a_clock_that_was_set_is_told_as_why_nothing_is_proven() -> None:
    why = "it was set by +30.0 s"
    doubt = Finding(part=Part.CLOCK, what="nobody sets the clock", outcome=Outcome.INCONCLUSIVE, why=why)
    text = Parsed(page(PASSED.with_finding(doubt))).text
    assert f"The run has proven nothing: nobody sets the clock {why}" in text
    assert f"clock nobody sets the clock {why} " in text, "it is among what was judged, too"


def test_a_control_run_says_that_nothing_was_broken() -> None:
    text = Parsed(page(CONTROL)).text
    assert "Control run: nothing was broken on purpose" in text
    assert "may not come without a fault" in text
    assert "Recovered" not in text


def test_a_crowded_timeline_stays_small_and_tells_what_was_left_out() -> None:
    text = page(CROWDED)
    assert "All that happened (3000, and 1234 that mattered least are left out)" in text
    assert text.count("<use ") < 1000
    assert len(text) < 2_000_000


@pytest.mark.parametrize("result", SAMPLES.values(), ids=SAMPLES)
def test_a_page_can_be_read_without_seeing_it(result: RunResult) -> None:
    elements = Parsed(page(result)).elements
    levels = [int(tag[1]) for tag, _ in elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(deeper <= level + 1 for level, deeper in pairwise(levels))
    assert all(attributes.get("scope") for tag, attributes in elements if tag == "th")
    drawing = next(attributes for tag, attributes in elements if attributes.get("role") == "img")
    named = {attributes["id"] for _, attributes in elements if "id" in attributes}
    assert set(drawing["aria-labelledby"].split()) <= named
    shapes = {attributes["href"].removeprefix("#") for tag, attributes in elements if tag == "use"}
    assert shapes <= named


@pytest.mark.parametrize("block", re.findall(r":root \{[^}]*\}", STYLE), ids=["light", "dark", "print"])
def test_text_stands_out_from_what_is_behind_it(block: str) -> None:
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", block))
    for text in ("ink", "soft", "pass", "fail", "unsure", "accent"):
        for behind in ("paper", "wash"):
            light, dark = sorted(map(luminance, (colours[text], colours[behind])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= READABLE, (text, behind)


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.03928 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
