"""Scenarios: found by name or folder, and what is said of those that are none."""

from pathlib import Path

import pytest
import yaml

from fluxlab.errors import UsageError
from fluxlab.scenarios import load_scenario, scenario_names

SHIPPED = Path(__file__).parents[2] / "scenarios"
TEXT = """\
description: Two charts.
charts:
- path: charts/one
  repository: https://charts.example.com/stable
  stand-in: true
- path: charts/two
  repository: oci://registry.example.com/charts
"""


def make(folder: Path, text: str = TEXT) -> Path:
    (folder / "repository" / "apps" / "deep").mkdir(parents=True)
    (folder / "repository" / "apps" / "a.yaml").write_bytes(b"a: \xff\n")
    (folder / "repository" / "apps" / "deep" / ".hidden").write_bytes(b"")
    (folder / "scenario.yaml").write_text(text)
    return folder


def test_the_shipped_scenarios_are_the_folders_of_the_repository() -> None:
    assert scenario_names() == sorted(path.parent.name for path in SHIPPED.glob("*/scenario.yaml"))
    assert "otel-demo" in scenario_names()


@pytest.mark.parametrize("name", sorted(path.parent.name for path in SHIPPED.glob("*/scenario.yaml")))
def test_every_shipped_scenario_is_complete(name: str) -> None:
    scenario = load_scenario(name)
    assert scenario.name == name
    assert scenario.content.description
    assert scenario.files()
    for chart in scenario.content.charts:
        assert (scenario.folder / chart.path).exists()
        assert chart.repository.startswith(("https://", "oci://"))


def test_the_agents_kustomization_can_read_its_token_and_tries_again_soon() -> None:
    scenario = load_scenario("observability-agent")
    documents = yaml.safe_load_all(scenario.files()["clusters/flux-playground/causely.yaml"])
    (found,) = [one for one in documents if one["kind"] == "Kustomization"]
    assert found["metadata"]["namespace"] == "causely"  # substituteFrom reads no other namespace
    assert found["spec"]["retryInterval"] == "5s"
    assert found["spec"]["postBuild"]["substituteFrom"] == [{"kind": "Secret", "name": "causely-secrets"}]
    path = found["spec"]["path"].removeprefix("./")
    assert not path.startswith("clusters/flux-playground")  # the root would apply ${CAUSELY_TOKEN} as it stands
    tokens = [name for name, text in scenario.files().items() if b'gateway:\n      token: "${CAUSELY_TOKEN}"' in text]
    assert tokens == [f"{path}/helmrelease.yaml"]


def test_a_scenario_is_loaded_from_a_folder(tmp_path: Path) -> None:
    scenario = load_scenario(str(make(tmp_path / "mine")))
    assert (scenario.name, scenario.content.description) == ("mine", "Two charts.")
    assert [(chart.path, chart.repository, chart.stand_in) for chart in scenario.content.charts] == [
        ("charts/one", "https://charts.example.com/stable", True),
        ("charts/two", "oci://registry.example.com/charts", False),
    ]


@pytest.mark.parametrize(
    ("allowed", "served"),
    [
        ([], ["charts/one", "charts/two"]),
        (["charts.example.com"], ["charts/two"]),
        # Its own chart stands in for nothing: that host cannot be both, and the gateway says so.
        (["charts.example.com", "registry.example.com"], ["charts/two"]),
        (["example.com", "other.example.com"], ["charts/one", "charts/two"]),
    ],
)
def test_a_stand_in_gives_way_to_a_host_that_is_reached_for_real(
    tmp_path: Path, allowed: list[str], served: list[str]
) -> None:
    scenario = load_scenario(str(make(tmp_path / "mine")))
    assert [chart.path for chart in scenario.served(allowed)] == served


def test_a_stand_in_in_a_registry_gives_way_as_well() -> None:
    agent = load_scenario("observability-agent")
    assert list(agent.served(["us-docker.pkg.dev"])) == []


def test_its_files_are_named_by_their_path_in_the_repository(tmp_path: Path) -> None:
    files = load_scenario(str(make(tmp_path / "mine"))).files()
    assert files == {"apps/a.yaml": b"a: \xff\n", "apps/deep/.hidden": b""}


def test_a_relative_folder_is_meant_from_where_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    assert load_scenario("./mine").name == "mine"


def test_a_folder_is_meant_from_the_lab_file_on_that_names_it(tmp_path: Path) -> None:
    folder = make(tmp_path / "labs" / "mine")
    assert load_scenario("./mine", base=tmp_path / "labs").folder.samefile(folder)
    assert load_scenario("otel-demo", base=tmp_path).folder.parent == load_scenario("shop").folder.parent


def test_a_folder_without_its_slash_is_no_name_but_it_is_told_how_to_name_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        load_scenario("mine")
    assert caught.value.hint == "./mine is the folder here"


@pytest.mark.parametrize("name", ["", ".", "..", "nope", "./nope", "/nope", "../scenarios"])
def test_an_unknown_scenario_is_told_with_those_there_are(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="otel-demo") as caught:
        load_scenario(name)
    assert caught.value.what == f"there is no scenario {name!r}"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"charts: []\n",
        b"description: x\nchart: []\n",
        b"description: x\ncharts:\n- host: a.example.com\n",
        b"description: [\n",
        b"description: \xff\n",
        b"description: 2024-99-99\n",
    ],
)
def test_a_file_that_is_no_scenario_is_named(tmp_path: Path, content: bytes) -> None:
    folder = make(tmp_path / "mine")
    (folder / "scenario.yaml").write_bytes(content)
    with pytest.raises(UsageError, match="scenario") as caught:
        load_scenario(str(folder))
    assert str(folder / "scenario.yaml") in caught.value.what
    assert caught.value.facts[0]


def test_the_hosts_of_its_alerts_are_not_those_of_its_charts(tmp_path: Path) -> None:
    folder = make(tmp_path / "mine")
    text = "description: x\ncharts:\n- {path: c, repository: https://a.example.com/stable}\nalerts:\n"
    (folder / "scenario.yaml").write_text(f"{text}- {{kind: slack, host: a.example.com}}\n")
    with pytest.raises(UsageError) as caught:
        load_scenario(str(folder))
    assert caught.value.facts[0].startswith(f"{folder / 'scenario.yaml'}:5: alerts.0.host: ")
