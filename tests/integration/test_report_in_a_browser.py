"""Reports in Chromium: they ask for nothing, run nothing, and fit every screen. Skipped aloud where there is none."""

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.browser import Browser, browsing, find_chromium
from tests.integration.conftest import CommandLine
from tests.unit.drift.test_formats import REPORT
from tests.unit.report.samples import HOSTILE, PASSED, SAMPLES

from fluxlab.drift.formats import report_as_html
from fluxlab.report.page import index, page

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not find_chromium(), reason="NOT TESTED IN A BROWSER: there is no chromium on PATH"),
]
WIDE, NARROW = 1100, 360


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of all samples and their index, as a run writes them."""
    found = tmp_path_factory.mktemp("pages")
    for name, result in SAMPLES.items():
        (found / f"{name}.html").write_text(page(result))
    (found / "index.html").write_text(index({f"{name}.html": result for name, result in SAMPLES.items()}))
    (found / "drift.html").write_text(report_as_html(REPORT, name=HOSTILE, made=PASSED.began))
    return found


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(find_chromium(), tmp_path_factory.mktemp("profile")) as found:
        yield found


def background(picture: bytes) -> tuple[int, ...]:
    """The colour of the first pixel of a PNG, of which no filter can change anything."""
    place, packed = 8, b""
    while place < len(picture):
        [length] = struct.unpack(">I", picture[place : place + 4])
        if picture[place + 4 : place + 8] == b"IDAT":
            packed += picture[place + 8 : place + 8 + length]
        place += length + 12
    return tuple(zlib.decompress(packed)[1:4])


def test_the_browser_tells_of_requests_and_scripts(browser: Browser, tmp_path: Path) -> None:
    """Without this the next test would prove nothing."""
    file = tmp_path / "unescaped.html"
    file.write_text(f"<!doctype html><title>x</title>{HOSTILE}")
    browser.open(file)
    assert "http://evil.example/x.png" in browser.requests
    assert browser.value("document.title") == "owned"


@pytest.mark.parametrize("name", [*SAMPLES, "index", "drift"])
def test_a_page_asks_for_itself_alone_and_runs_nothing(browser: Browser, folder: Path, name: str) -> None:
    file = folder / f"{name}.html"
    browser.open(file)
    assert browser.requests == [file.as_uri()]
    assert browser.complaints == []  # also nothing that the page's own policy had to refuse
    assert browser.value("document.title") != "owned"
    assert browser.value("document.scripts.length") == 0


def test_what_was_said_is_read_as_it_was_said(browser: Browser, folder: Path) -> None:
    browser.open(folder / "hostile.html")
    assert HOSTILE in str(browser.value("document.querySelector('h1').innerText"))
    assert browser.value("document.querySelector('pre.replay').innerText") == HOSTILE


def test_a_person_reads_verdict_hypothesis_and_times(browser: Browser, folder: Path) -> None:
    browser.look(width=WIDE, dark=False)
    browser.open(folder / "pass.html")
    text = str(browser.value("document.body.innerText"))
    for words in ("PASS", PASSED.title, "Hypothesis", "12.4 s", "Kustomizations", "HelmReleases", PASSED.replay):
        assert words in text, words
    assert "Three thousand" not in text


@pytest.mark.verify
def test_a_run_that_has_been_leaves_a_page_that_tells_of_it(browser: Browser, fluxlab: CommandLine) -> None:
    reports = fluxlab.folder / "reports"
    said = fluxlab.ok("rehearse", "controller-paused", "--seed=7", f"--reports={reports}")
    file = reports / "controller-paused-7.html"
    result = json.loads(file.with_suffix(".json").read_text())
    assert said.startswith("pass")
    for width in (WIDE, NARROW):
        browser.look(width=width, dark=False)
        browser.open(file)
        assert browser.requests == [file.as_uri()]
        assert browser.complaints == []
        assert browser.value("document.documentElement.scrollWidth") <= width  # type: ignore[operator]
    text = str(browser.value("document.body.innerText"))
    lanes = ("Git", "Sources", "Kustomizations", "HelmReleases", "Workloads", "Alerts", "Faults")
    for words in ("PASS", result["title"], "Hypothesis", "fluxlab rehearse controller-paused --seed 7"):
        assert words in text, words
    drawn = str(browser.value("document.querySelector('svg.timeline').textContent"))
    assert [lane for lane in lanes if lane not in drawn] == []
    assert int(str(browser.value("document.querySelectorAll('svg.timeline use').length"))) > len(lanes)
    assert browser.picture().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", [*SAMPLES, "index", "drift"])
@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_a_page_fits_the_screen(browser: Browser, folder: Path, name: str, width: int) -> None:
    browser.look(width=width, dark=False)
    browser.open(folder / f"{name}.html")
    assert browser.value("document.documentElement.scrollWidth") <= width  # type: ignore[operator]


def test_it_is_dark_where_people_like_it_dark_and_never_on_paper(browser: Browser, folder: Path) -> None:
    browser.open(folder / "fail.html")
    browser.look(width=WIDE, dark=False)
    light = background(browser.picture())
    browser.look(width=WIDE, dark=True)
    dark = background(browser.picture())
    browser.look(width=WIDE, dark=True, paper=True)
    assert min(light) > 240
    assert max(dark) < 40
    assert background(browser.picture()) == light


@pytest.mark.parametrize("dark", [False, True])
def test_the_drawing_is_drawn(browser: Browser, folder: Path, dark: bool) -> None:
    """Its marks have a size and a place within it, and its text stands beside nothing that hides it."""
    browser.look(width=NARROW, dark=dark)
    browser.open(folder / "fail.html")
    outside = """
        (() => {
            const canvas = document.querySelector('.canvas').getBoundingClientRect();
            const found = [...document.querySelectorAll('svg.timeline use, svg.timeline .title')];
            const boxes = found.map(one => one.getBoundingClientRect());
            const lost = boxes.filter(box => !box.width || box.left < canvas.left || box.right > canvas.right ||
                box.top < canvas.top || box.bottom > canvas.bottom);
            return [boxes.length, lost.length];
        })()
    """
    drawn, lost = map(int, str(browser.value(f"{outside.strip()}.join(' ')")).split())
    assert drawn > 20
    assert lost == 0
    lines = browser.value("document.querySelectorAll('svg.timeline line.moment').length")
    assert lines == 2


def test_a_screen_reader_hears_what_is_drawn(browser: Browser, folder: Path) -> None:
    browser.open(folder / "pass.html")
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    roles = [node.get("role", {}).get("value") for node in nodes]
    [drawing] = [node["name"]["value"] for node in nodes if node.get("role", {}).get("value") in {"image", "img"}]
    assert "Expected signal: the channel hears of it: seen at +12.4 s." in drawing
    assert roles.count("table") >= 2
    assert "rowheader" in roles
