"""Options, settings and markers are checked before any lab starts, and all of them are documented."""

import re
from contextlib import nullcontext
from pathlib import Path

import pytest

from fluxlab import doctor
from fluxlab.clusters.root import Root
from fluxlab.errors import UsageError
from fluxlab.pool import LabRequest
from fluxlab.spec import ClusterSpec, LabSpec
from pytest_fluxlab.marks import asked_for, check_marks, on_backend
from pytest_fluxlab.needs import skip_where_lacking
from pytest_fluxlab.settings import ARGUMENTS, MARKER, NEEDS, SETTINGS, Settings

DOCUMENT = Path(__file__).parents[3] / "docs" / "pytest.md"
FIXTURES = (
    "lab",
    "module_lab",
    "session_lab",
    "fluxlab_spec",
    "fluxlab_snapshot",
    "fluxlab_make_snapshot",
    "fluxlab_toolchain",
)


def settings(pytester: pytest.Pytester, *options: str) -> Settings:
    return Settings.of(pytester.parseconfig(*options))


def test_the_command_line_wins_over_the_ini_file(pytester: pytest.Pytester) -> None:
    assert settings(pytester) == Settings(
        backend="",
        keep=False,
        keep_on_failure=False,
        artifacts=None,
        timeout_factor=1.0,
        spares=None,
        seed=0,
        control=False,
    )
    pytester.makeini(
        "[pytest]\nfluxlab_keep_on_failure = true\nfluxlab_timeout_factor = 3\nfluxlab_spares = 2\n"
        "fluxlab_artifacts = evidence\nfluxlab_backend = local\nfluxlab_keep = true\n"
        "fluxlab_seed = 7\nfluxlab_control = true\n"
    )
    assert settings(pytester) == Settings(
        backend="local",
        keep=True,
        keep_on_failure=True,
        artifacts=pytester.path / "evidence",
        timeout_factor=3.0,
        spares=2,
        seed=7,
        control=True,
    )
    given = settings(pytester, "--fluxlab-timeout-factor=0.5", "--fluxlab-spares=0", "--fluxlab-artifacts=/elsewhere")
    assert (given.timeout_factor, given.spares, given.artifacts) == (0.5, 0, Path("/elsewhere"))


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--fluxlab-backend=kindd", "there is no backend 'kindd'"),
        ("--fluxlab-timeout-factor=0", "'0' is no factor"),
        ("--fluxlab-timeout-factor=much", "'much' is no factor"),
        ("--fluxlab-timeout-factor=inf", "'inf' is no factor"),
        ("--fluxlab-timeout-factor=nan", "'nan' is no factor"),
        ("--fluxlab-spares=-1", "'-1' is no number of labs"),
        ("--fluxlab-spares=some", "'some' is no number of labs"),
    ],
)
def test_a_value_that_cannot_be_is_refused_before_anything_runs(
    pytester: pytest.Pytester, option: str, told: str
) -> None:
    pytester.makepyfile("def test_never(): raise AssertionError")
    result = pytester.runpytest_inprocess(option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{told}*"])


def test_the_options_of_pytest_kind_stay_its_own(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(pytestconfig): assert pytestconfig.getoption('kubeconfig') == 'mine'")
    pytester.runpytest_inprocess("--kubeconfig=mine", "--cluster-name=x").assert_outcomes(passed=1)


def asked(pytester: pytest.Pytester, marker: str, *, base: LabRequest | None = None) -> LabRequest:
    """What a test with a marker asks for."""
    item = pytester.getitem(f"import pytest\n@pytest.mark.fluxlab({marker})\ndef test_it(): pass\n", "test_it")
    return asked_for(item, base or LabRequest(spec=LabSpec()))


def test_a_marker_changes_what_the_spec_says(pytester: pytest.Pytester) -> None:
    found = asked(pytester, "nodes=3, scenario='otel-demo', links=True").spec
    assert [cluster.nodes for cluster in found.clusters] == [3]
    assert (found.scenarios, found.links) == (["otel-demo"], True)


def test_what_a_cluster_says_for_another_backend_is_left_out(pytester: pytest.Pytester) -> None:
    there = LabSpec(clusters=[ClusterSpec(name="a", backend="existing", context="team", path="deploy")])
    assert on_backend(LabRequest(spec=there), "local").spec.clusters == [ClusterSpec(name="a", path="deploy")]
    assert on_backend(LabRequest(spec=there), "").spec == there
    assert asked(pytester, "backend='local'", base=LabRequest(spec=there)).spec.clusters[0].context == ""


@pytest.mark.parametrize(
    ("marker", "told"),
    [
        ("fluxlab_needs('container')", "no capability 'container'\n  there are: bootstrap, mapped-hosts, containers"),
        ("fluxlab_needs()", "names nothing"),
    ],
)
def test_a_need_that_no_cluster_has_is_refused(pytester: pytest.Pytester, marker: str, told: str) -> None:
    item = pytester.getitem(f"import pytest\n@pytest.mark.{marker}\ndef test_it(): pass\n", "test_it")
    with pytest.raises(UsageError, match=rf"::test_it(.|\n)*{told}"):
        skip_where_lacking(item, [])


def test_a_test_is_skipped_where_a_cluster_lacks_what_it_needs(pytester: pytest.Pytester) -> None:
    code = "import pytest\n@pytest.mark.fluxlab_needs('audit', 'containers')\ndef test_it(): pass\n"
    item = pytester.getitem(code, "test_it")
    with pytest.raises(pytest.skip.Exception, match=r"cluster b \(local\) has no containers: pods are simulated"):
        skip_where_lacking(item, [("b", Root())])
    skip_where_lacking(item, [])


def test_a_marker_names_a_folder_from_pytests_root_on(pytester: pytest.Pytester) -> None:
    folder = pytester.mkdir("mine")
    (folder / "scenario.yaml").write_text("description: mine\n")
    [found] = asked(pytester, "scenario='./mine'").spec.scenarios
    assert Path(found).is_absolute()
    assert Path(found).samefile(folder)


def test_a_marker_names_several_scenarios(pytester: pytest.Pytester) -> None:
    found = asked(pytester, "scenario=['otel-demo', 'observability-agent']").spec
    assert found.scenarios == ["otel-demo", "observability-agent"]


def test_a_marker_names_a_lab_file_of_fluxlab(pytester: pytest.Pytester) -> None:
    found = asked(pytester, "file='staging-production'").spec
    assert [cluster.name for cluster in found.clusters] == ["staging", "production"]


def test_a_marker_names_a_lab_file_beside_the_tests(pytester: pytest.Pytester) -> None:
    (pytester.path / "labs").mkdir()
    (pytester.path / "labs" / "mine.yaml").write_text("clusters: [{name: one}, {name: two}]\n")
    mine = asked(pytester, "file='labs/mine.yaml', nodes=2")
    assert [(cluster.name, cluster.nodes) for cluster in mine.spec.clusters] == [("one", 2), ("two", 2)]
    assert mine.base == pytester.path / "labs"


def test_a_test_runs_on_several_backends_by_its_parameters(pytester: pytest.Pytester) -> None:
    items = pytester.getitems(
        """
        import pytest
        on = [pytest.param(name, marks=pytest.mark.fluxlab(backend=name), id=name) for name in ("local", "kind")]
        @pytest.mark.parametrize("backend", on)
        def test_it(lab, backend): pass
        """
    )
    found = {item.name: asked_for(item, LabRequest(spec=LabSpec())).spec.clusters[0].backend for item in items}
    assert found == {"test_it[local]": "local", "test_it[kind]": "kind"}


def test_without_a_marker_nothing_changes(pytester: pytest.Pytester) -> None:
    item = pytester.getitem("def test_it(): pass\n", "test_it")
    request = LabRequest(spec=LabSpec(links=True), base=Path("/x"), snapshot=Path("/y"))
    assert asked_for(item, request) is request


@pytest.mark.parametrize(
    ("marker", "told"),
    [
        ("node=3", "unknown argument 'node'\n  there are: file, nodes, scenario, backend, links"),
        ("'otel-demo'", "its arguments have names\n  there are: file, nodes"),
        ("scenario='nope'", "there is no scenario 'nope'\n  there are: observability-agent"),
        ("scenario=[]", r"scenario=\[\] names none"),
        ("backend='docker'", "there is no backend 'docker'\n  there are: local"),
        ("nodes=0", "no such lab can be\n  clusters.0.nodes: "),
        ("nodes='many'", "no such lab can be"),
        ("links='maybe'", "no such lab can be\n  links: "),
        ("file='nope'", "no lab file 'nope' comes with fluxlab\n  there are: playground"),
        ("file='nope.yaml'", "nope.yaml: cannot be read"),
    ],
)
def test_a_wrong_marker_names_the_test_and_what_is_allowed(pytester: pytest.Pytester, marker: str, told: str) -> None:
    with pytest.raises(UsageError, match=rf"::test_it: @pytest\.mark\.fluxlab: (.|\n)*{told}"):
        asked(pytester, marker)


@pytest.mark.parametrize(
    ("module", "marker", "fixture", "told"),
    [
        ("", "fluxlab(node=3)", "", "@pytest.mark.fluxlab: unknown argument 'node'"),
        ("fluxlab(bogus=1)", "fluxlab(nodes=3)", "", "@pytest.mark.fluxlab: unknown argument 'bogus'"),
        ("fluxlab(bogus=1)", "", "session_lab", "@pytest.mark.fluxlab: unknown argument 'bogus'"),
        ("fluxlab(3)", "fluxlab(nodes=3)", "lab", "@pytest.mark.fluxlab: its arguments have names"),
        ("", "fluxlab_needs('nonsense')", "", "@pytest.mark.fluxlab_needs: no capability 'nonsense'"),
        ("", "fluxlab_needs()", "", "@pytest.mark.fluxlab_needs names nothing"),
    ],
)
def test_a_wrong_marker_is_refused_wherever_it_stands_and_before_any_lab(
    pytester: pytest.Pytester, module: str, marker: str, fixture: str, told: str
) -> None:
    pytester.makepyfile(
        f"""
        import pytest
        pytestmark = [{f"pytest.mark.{module}" if module else ""}]
        {f"@pytest.mark.{marker}" if marker else ""}
        def test_it({fixture}): pass
        """
    )
    pytester.makeconftest("import pytest\n@pytest.fixture(scope='session')\ndef fluxlab_toolchain(): raise KeyError")
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*::test_it: {told}*"])
    result.stdout.no_fnmatch_line("*KeyError*")


@pytest.mark.parametrize(
    ("module", "marker", "nodes", "links"),
    [
        ("nodes=3", "links=True", 3, True),
        ("nodes=3, links=True", "nodes=2", 2, True),
        ("nodes=3", "", 3, False),
        ("links=True", "file='mine.yaml'", 4, True),  # a farther marker changes what a file says, too
        ("file='mine.yaml'", "nodes=2", 2, False),
    ],
)
def test_of_several_markers_the_closest_has_the_say_for_each_argument(
    pytester: pytest.Pytester, module: str, marker: str, nodes: int, links: bool
) -> None:
    (pytester.path / "mine.yaml").write_text("clusters: [{name: one, nodes: 4}]\n")
    item = pytester.getitem(
        f"""
        import pytest
        pytestmark = pytest.mark.fluxlab({module})
        class TestIt:
            @pytest.mark.fluxlab({marker})
            def test_it(self, lab): pass
        """,
        "test_it",
    )
    found = asked_for(item, LabRequest(spec=LabSpec())).spec
    assert ([cluster.nodes for cluster in found.clusters], found.links) == ([nodes], links)


def test_a_marker_cannot_change_a_snapshot(pytester: pytest.Pytester) -> None:
    with pytest.raises(UsageError, match=r"::test_it: (.|\n)*begins with a snapshot"):
        asked(pytester, "nodes=2", base=LabRequest(spec=LabSpec(), snapshot=Path("/demo.snapshot")))


@pytest.mark.parametrize(
    ("fixtures", "where", "refused"),
    [
        ("module_lab", "test", True),
        ("session_lab", "class", True),
        ("lab, module_lab", "test", False),  # it speaks for the first
        ("module_lab", "module", False),
        ("lab", "class", False),
        ("tmp_path", "test", False),
    ],
)
def test_a_marker_that_would_change_nothing_is_refused(
    pytester: pytest.Pytester, fixtures: str, where: str, *, refused: bool
) -> None:
    marks = {"module": "", "class": "", "test": "", where: "pytest.mark.fluxlab(nodes=2)"}
    item = pytester.getitem(
        f"""
        import pytest
        pytestmark = [{marks["module"]}]
        class TestIt:
            pytestmark = [{marks["class"]}]
            {"@" if marks["test"] else ""}{marks["test"]}
            def test_it(self, {fixtures}): pass
        """,
        "test_it",
    )
    with pytest.raises(UsageError, match="shared with tests that are not marked") if refused else nullcontext():
        check_marks(item)


# -- the doctor --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("state_dir", "refused")
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize(
    ("ini", "options", "verdict", "code"),
    [
        ("", (), "absent", 0),
        ("", ("--fluxlab-backend=local",), "absent", 0),
        ("", ("--fluxlab-backend=kind",), "bad", 1),
        ("fluxlab_backend = kind", (), "bad", 1),
        ("fluxlab_backend = kind", ("--fluxlab-backend=local",), "absent", 0),
    ],
)
def test_the_doctor_wants_the_backend_that_was_chosen(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    *,
    ini: str,
    options: tuple[str, ...],
    verdict: str,
    code: int,
) -> None:
    monkeypatch.setattr(doctor, "_toolchain", lambda: doctor.Finding(subject="toolchain", verdict="ok", detail=""))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{pytester.path / 'nobody'}")
    pytester.makeini(f"[pytest]\n{ini}\n")
    result = pytester.runpytest_inprocess("--fluxlab-doctor", *options)
    assert result.ret == code
    result.stdout.re_match_lines([rf"{verdict} +backend kind: .*no Docker daemon answers"])


@pytest.mark.usefixtures("state_dir", "refused")
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_the_doctor_fails_where_there_is_no_toolchain(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FLUXLAB_TOOLCHAIN", "FLUXLAB_TOOLCHAIN_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FLUXLAB_CACHE_DIR", str(pytester.mkdir("empty")))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{pytester.path / 'nobody'}")
    result = pytester.runpytest_inprocess("--fluxlab-doctor")
    assert result.ret == 1
    result.stdout.re_match_lines([r"bad +toolchain: .*\(next: .*toolchain"])


def test_the_doctor_refuses_a_backend_that_there_is_not(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess("--fluxlab-doctor", "--fluxlab-backend=kindd")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*there is no backend 'kindd'*"])


# -- the documentation -------------------------------------------------------------------------------------------------


def documented(heading: str) -> set[str]:
    """The first column of the table below a heading of the documentation."""
    section = DOCUMENT.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return {match[1] for match in re.finditer(r"^\| `([^`=( ]+)", section, re.MULTILINE)}


def test_every_option_is_documented_and_every_documented_one_is_there(pytester: pytest.Pytester) -> None:
    parser = pytester.parseconfig()._parser
    group = next(group for group in parser._groups if group.name == "fluxlab")
    registered = {name for option in group.options for name in option.names()}
    assert documented("Options") == registered
    assert {setting.option for setting in SETTINGS} < registered
    told = pytester.runpytest_inprocess("--help").stdout.str()
    for setting in SETTINGS:
        assert f"{setting.name} (" in told


def test_every_argument_of_the_marker_is_documented(pytester: pytest.Pytester) -> None:
    assert documented("The marker") == set(ARGUMENTS)
    told = pytester.runpytest_inprocess("--markers").stdout.str()
    for name, meaning in ARGUMENTS.items():
        assert f"{name}: {meaning}" in told


def test_every_marker_is_documented_and_every_documented_one_is_there(pytester: pytest.Pytester) -> None:
    told = pytester.runpytest_inprocess("--markers").stdout.str()
    registered = set(re.findall(r"^@pytest\.mark\.(fluxlab\w*)", told, re.MULTILINE))
    assert set(re.findall(r"@pytest\.mark\.(fluxlab\w*)", DOCUMENT.read_text())) == registered
    assert registered == {MARKER, NEEDS}


def test_every_fixture_is_documented(pytester: pytest.Pytester) -> None:
    assert documented("Fixtures") == set(FIXTURES)
    told = pytester.runpytest_inprocess("--fixtures", "-v").stdout.str()
    section = told.partition("fixtures defined from pytest_fluxlab.fixtures")[2].partition("fixtures defined from")[0]
    listed = set(re.findall(r"^(\w+)(?: \[\w+ scope\])? -- ", section, re.MULTILINE))
    assert listed == set(FIXTURES)
    assert "no docstring available" not in section
