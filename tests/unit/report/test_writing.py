"""What a folder of reports holds, at any time."""

import json
import stat
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

from tests.unit.report.samples import CONTROL, FAILED, INCONCLUSIVE, PASSED, hostile

from fluxlab.rehearsals.results import RunResult
from fluxlab.report.cases import runs_as_junit
from fluxlab.report.writing import Reports, name_of


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def cases(text: str) -> list[Element]:
    [suite] = fromstring(text)  # noqa: S314 # it was made a line before
    return list(suite)


def test_each_run_is_there_as_soon_as_it_has_ended(tmp_path: Path) -> None:
    reports = Reports(tmp_path / "deep" / "reports")
    page = reports.add(PASSED)
    assert page == reports.folder / "git-hang-7.html"
    assert names(reports.folder) == {"git-hang-7.html", "git-hang-7.json", "junit.xml", "index.html"}
    assert len(cases((reports.folder / "junit.xml").read_text())) == 1
    reports.add(CONTROL)
    reports.add(FAILED)
    added = {"git-hang-7-control.html", "git-hang-7-control.json", "git-hang-8.html", "git-hang-8.json"}
    assert names(reports.folder) == added | {"git-hang-7.html", "git-hang-7.json", "junit.xml", "index.html"}
    index = (reports.folder / "index.html").read_text()
    assert all(f'href="{name}"' in index for name in ("git-hang-7.html", "git-hang-7-control.html", "git-hang-8.html"))
    assert len(cases((reports.folder / "junit.xml").read_text())) == 3


def test_files_of_one_name_do_not_take_each_others_place(tmp_path: Path) -> None:
    reports = Reports(tmp_path)
    other = PASSED.model_copy(update={"title": "another file of that name"})
    assert [reports.add(one).name for one in (PASSED, other)] == ["git-hang-7.html", "git-hang-7-2.html"]
    assert json.loads((tmp_path / "git-hang-7.json").read_text())["title"] == PASSED.title
    assert json.loads((tmp_path / "git-hang-7-2.json").read_text())["title"] == other.title


def test_reports_are_for_their_owner_only(tmp_path: Path) -> None:
    folder = Reports(tmp_path / "reports").add(PASSED).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_json_holds_all_of_a_result() -> None:
    for result in (PASSED, FAILED, INCONCLUSIVE, CONTROL):
        assert RunResult.model_validate_json(result.as_json()) == result
    assert json.loads(PASSED.as_json())["truth"]["not"] == ["the commit", "the controllers"]


def test_a_failure_is_a_failure_and_what_proves_nothing_an_error() -> None:
    found = cases(runs_as_junit([PASSED, FAILED, INCONCLUSIVE]))
    endings = [[child.tag for child in case if child.tag in {"failure", "error", "skipped"}] for case in found]
    assert endings == [[], ["failure"], ["error"]]
    assert found[1].attrib["classname"] == "rehearsals.git-hang"
    assert "never came; it has 20 s" in found[1].find("failure").attrib["message"]  # type: ignore[union-attr]
    assert float(found[2].attrib["time"]) == 61


def test_a_case_says_how_to_do_the_same_once_more_and_what_was_measured() -> None:
    [case] = cases(runs_as_junit([PASSED]))
    told = {one.attrib["name"]: one.attrib["value"] for one in case.iter("property")}
    assert told["verdict"] == "pass"
    assert told["seed"] == "7"
    assert told["replay"] == PASSED.replay
    assert (told["first_signal_seconds"], told["recovery_seconds"]) == ("10.600", "3.200")


def test_xml_takes_any_text() -> None:
    text = "</failure>\x00\x1b[31m\ud800 ]]> &"
    [case] = cases(runs_as_junit([hostile(text)]))
    assert "</failure>[31m ]]> &" in str(case.findtext("failure"))


def test_a_file_in_any_folder_names_its_reports() -> None:
    assert name_of(PASSED.model_copy(update={"file": "a/b/etcd.quota.yaml", "seed": 3})) == "etcd.quota-3"
