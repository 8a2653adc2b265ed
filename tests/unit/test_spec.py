"""Lab files: what they mean, and what is said about those that make no sense."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fluxlab.errors import UsageError
from fluxlab.spec import ChartRepositorySpec, ClusterSpec, LabSpec, RepositorySpec, load_spec

Tmp = Path
FULL = """\
name: two
clusters:
- name: staging
  backend: local
  nodes: 3
  path: deploy/staging
- name: production
repository:
  name: fleet
  url: https://git.example.com/group/sub/fleet.git
  branch: release/1.2
charts:
- url: https://open-telemetry.github.io/opentelemetry-helm-charts
  charts:
  - charts/demo
  - ../other.tgz
- url: https://charts.jetstack.io
- url: oci://ghcr.io/acme/charts
registries: [docker.io]
alerts:
- {kind: slack, host: hooks.slack.com}
- {kind: github, host: api.github.com, secret: flux-system/github-token}
gateway:
  allow: [ghcr.io]
scenarios: [otel-demo]
links: true
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "lab.yaml"
    file.write_text(text)
    return file


def complaints(folder: Path, text: str) -> list[str]:
    """The facts of the error, without the file's name."""
    file = write(folder, text)
    with pytest.raises(UsageError) as caught:
        load_spec(file)
    assert caught.value.exit_code == 64
    assert str(file) in caught.value.what
    assert all(fact.startswith(f"{file}:") for fact in caught.value.facts)
    return [fact.removeprefix(f"{file}:") for fact in caught.value.facts]


# -- what is understood ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "# only a comment\n", "{}", "---\n", "null"])
def test_a_lab_without_a_word_is_the_playground(tmp_path: Path, text: str) -> None:
    spec = load_spec(write(tmp_path, text))
    assert spec == LabSpec()
    assert spec.name == "playground"
    assert [(cluster.name, cluster.path, cluster.nodes, cluster.backend) for cluster in spec.clusters] == [
        ("flux-playground", "clusters/flux-playground", 1, "local")
    ]
    assert (spec.repository.name, spec.repository.url, spec.repository.branch) == (
        "fleet",
        "https://github.com/acme/fleet.git",
        "main",
    )
    assert (spec.charts, spec.scenarios, spec.gateway.allow) == ([], [], [])


OF_A_CLUSTER = "address, backend, context, image, kubeconfig, name, nodes, path"
ELSEWHERE = {"image": "", "context": "", "kubeconfig": "", "address": ""}


def test_every_field_is_understood(tmp_path: Path) -> None:
    spec = load_spec(write(tmp_path, FULL))
    assert spec.model_dump() == {
        "name": "two",
        "clusters": [
            {"name": "staging", "backend": "local", "nodes": 3, "path": "deploy/staging", **ELSEWHERE},
            {"name": "production", "backend": "local", "nodes": 1, "path": "clusters/production", **ELSEWHERE},
        ],
        "repository": {
            "name": "fleet",
            "url": "https://git.example.com/group/sub/fleet.git",
            "branch": "release/1.2",
        },
        "charts": [
            {
                "url": "https://open-telemetry.github.io/opentelemetry-helm-charts",
                "charts": ["charts/demo", "../other.tgz"],
            },
            {"url": "https://charts.jetstack.io", "charts": []},
            {"url": "oci://ghcr.io/acme/charts", "charts": []},
        ],
        "registries": ["docker.io"],
        "alerts": [
            {"kind": "slack", "host": "hooks.slack.com", "secret": ""},
            {"kind": "github", "host": "api.github.com", "secret": "flux-system/github-token"},
        ],
        "gateway": {"allow": ["ghcr.io"]},
        "links": True,
        "scenarios": ["otel-demo"],
    }


def test_a_cluster_of_somebody_else_is_named_by_its_context(tmp_path: Path) -> None:
    text = "clusters:\n- {name: a, backend: existing, context: team, kubeconfig: ~/team, address: 172.18.0.1}\n"
    (cluster,) = load_spec(write(tmp_path, text)).clusters
    assert (cluster.context, cluster.kubeconfig, cluster.address) == ("team", "~/team", "172.18.0.1")


@pytest.mark.parametrize(
    ("field", "backend"),
    [
        ("context: x", "existing"),
        ("kubeconfig: x", "existing"),
        ("address: 10.0.0.1", "existing"),
        ("image: x", "kind"),
    ],
)
def test_a_field_of_another_backend_is_refused(tmp_path: Path, field: str, backend: str) -> None:
    (told,) = complaints(tmp_path, f"clusters:\n- {{name: a, {field}}}\n")
    assert f"{field.partition(':')[0]} is for backend {backend}, and a is on backend local" in told


@pytest.mark.parametrize("address", ["0.0.0.0", "example.org", "::1", "1.2.3"])  # noqa: S104 # nothing is bound
def test_the_address_for_somebodys_cluster_is_one_of_this_machine(tmp_path: Path, address: str) -> None:
    (told,) = complaints(tmp_path, f"clusters:\n- {{name: a, backend: existing, address: '{address}'}}\n")
    assert "must be one IPv4 address of this machine" in told


def test_links_are_for_clusters_of_fluxlabs_own(tmp_path: Path) -> None:
    (told,) = complaints(tmp_path, "links: true\nclusters:\n- {name: a, backend: existing}\n")
    assert "a is not on backend local" in told


def test_a_spec_survives_the_json_in_which_a_lab_keeps_it(tmp_path: Path) -> None:
    spec = load_spec(write(tmp_path, FULL))
    assert LabSpec.model_validate_json(spec.model_dump_json()) == spec


def test_the_playground_of_this_repository_is_a_lab(tmp_path: Path) -> None:
    file = Path(__file__).parents[2] / "labs" / "playground.yaml"
    assert load_spec(file).scenarios == ["otel-demo", "observability-agent"]
    assert tmp_path != file


def test_anchors_are_understood(tmp_path: Path) -> None:
    text = "clusters:\n- &first\n  name: a\n  nodes: 2\n- <<: *first\n  name: b\n"
    assert [(cluster.name, cluster.nodes) for cluster in load_spec(write(tmp_path, text)).clusters] == [
        ("a", 2),
        ("b", 2),
    ]


def test_a_cluster_is_found_by_name_or_because_it_is_the_only_one() -> None:
    one = LabSpec()
    assert one.cluster() is one.cluster("flux-playground") is one.clusters[0]
    two = LabSpec(clusters=[ClusterSpec(name="a"), ClusterSpec(name="b")])
    assert two.cluster("b") is two.clusters[1]
    with pytest.raises(UsageError, match=r"several clusters\n  a, b\nnext: add --cluster NAME"):
        two.cluster()
    with pytest.raises(UsageError, match=r"no cluster 'c'\n  it has a, b"):
        two.cluster("c")


# -- what is not: each complaint names line, path and what is allowed ------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "nme: x\n",
            f"1: nme: unknown field; allowed here: {', '.join(sorted(LabSpec.model_fields))}",
        ),
        (
            "name: a\nclusters:\n- name: b\n\n  node: 3\n",
            f"5: clusters.0.node: unknown field; allowed here: {OF_A_CLUSTER}",
        ),
        (
            "clusters:\n- name: a\n- {name: b, pth: x}\n",
            f"3: clusters.1.pth: unknown field; allowed here: {OF_A_CLUSTER}",
        ),
        ("repository:\n  uri: x\n", "2: repository.uri: unknown field; allowed here: branch, name, url"),
        (
            "charts:\n- url: https://a.example.com/x\n  chart: []\n",
            "3: charts.0.chart: unknown field; allowed here: charts, url",
        ),
        ("gateway:\n\n  alow: []\n", "3: gateway.alow: unknown field; allowed here: allow"),
        ("charts:\n- charts: []\n", "2: charts.0.url: Field required"),
        ("name: a\nclusters:\n- nodes: many\n", "3: clusters.0.nodes: Input should be a valid integer"),
        ("clusters:\n- nodes: '3'\n", "2: clusters.0.nodes: Input should be a valid integer"),
        ("clusters:\n- nodes: 0\n", "2: clusters.0.nodes: Input should be greater than or equal to 1"),
        ("clusters:\n- nodes: 201\n", "2: clusters.0.nodes: Input should be less than or equal to 200"),
        ("clusters: []\n", "1: clusters: List should have at least 1 item after validation, not 0"),
        ("clusters: {}\n", "1: clusters: Input should be a valid list"),
        ("clusters:\n- a\n", "2: clusters.0: Input should be a valid dictionary"),
        ("clusters:\n- backend: docker\n", "2: clusters.0.backend: Input should be 'local'"),
        ("clusters:\n- path: 7\n", "2: clusters.0.path: Input should be a valid string"),
        ("clusters:\n- path: false\n", "2: clusters.0.path: Input should be a valid string"),
        ("name: 7\n", "1: name: Input should be a valid string"),
        ("name: null\n", "1: name: Input should be a valid string"),
        ("\nname: My Lab\n", "2: name: must be 1 to 40 lower-case letters, digits and dashes"),
        ("scenarios:\n- ok\n- Not Ok\n", "3: scenarios.1: must be 1 to 40 lower-case letters, digits and dashes"),
        ('scenarios: ["./a\\nb"]\n', "1: scenarios.0: must be a name or a folder, such as otel-demo or ./mine"),
        ("clusters:\n- name: a\n- name: a\n", "1: the whole file: two clusters have the same name: a, a"),
        ("- name: a\n", "1: the whole file: Input should be a valid dictionary"),
        ("just words\n", "1: the whole file: Input should be a valid dictionary"),
        ("[]\n", "1: the whole file: Input should be a valid dictionary"),
        ("false\n", "1: the whole file: Input should be a valid dictionary"),
        ("0\n", "1: the whole file: Input should be a valid dictionary"),
        ("''\n", "1: the whole file: Input should be a valid dictionary"),
        ("name: a\nname: b\n", "2: name: is there twice"),
        ("clusters:\n- name: a\n  nodes: 1\n  nodes: 2\n", "4: clusters.0.nodes: is there twice"),
    ],
)
def test_each_mistake_is_told_with_its_place(tmp_path: Path, text: str, expected: str) -> None:
    found = complaints(tmp_path, text)
    assert len(found) == 1
    assert found[0].startswith(expected)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    found = complaints(tmp_path, "name: X\nclusters:\n- nodes: 0\n  colour: red\ngateway: 7\n")
    assert [fact.split(": ")[:2] for fact in found] == [
        ["1", "name"],
        ["3", "clusters.0.nodes"],
        ["4", "clusters.0.colour"],
        ["5", "gateway"],
    ]


@pytest.mark.parametrize(
    "path",
    [
        "/etc",
        "..",
        "../x",
        "a/../b",
        "a/..",
        "./a",
        "a//b",
        "a/",
        "a/.git/hooks",
        ".",
        "a\nb",
        "a\tb",
        'a"b',
        '"a"',
        "a\\b",
        "-x",
        "a/\0",
    ],
)
def test_a_path_of_a_cluster_stays_below_its_repository(path: str) -> None:
    with pytest.raises(ValidationError, match="plain relative path"):
        ClusterSpec(name="a", path=path)


@pytest.mark.parametrize("path", ["a", "clusters/staging", "a.b/c_d/e-f", "..a", "a..", "apps/team a", "größe"])
def test_a_plain_path_is_taken_as_it_is(path: str) -> None:
    assert ClusterSpec(name="a", path=path).path == path


GOOD_REPOSITORIES = [
    "https://github.com/acme/fleet.git",
    "https://github.com/acme/fleet",
    "https://gitlab.example.co.uk/a/b/c/d.git",
    "https://x-1.example.com/~me/x_y",
]
BAD = [
    "",
    "github.com/acme/fleet",
    "http://github.com/acme/fleet",
    "git@github.com:acme/fleet.git",
    "ssh://git@github.com/acme/fleet",
    "oci://ghcr.io/acme/fleet",
    "https://user:token@github.com/acme/fleet",
    "https://github.com:8443/acme/fleet",
    "https://localhost/x",
    "https://127.0.0.1/x",
    "https://GitHub.com/acme/fleet",
    "https://github.com/acme/fleet/",
    "https://github.com//fleet",
    "https://github.com/acme/fleet?x=1",
    "https://github.com/acme/fleet#x",
    "https://github.com/acme/fleet\n",
    "https://github.com/acme/a b",
    "https://github.com/acme/%2e%2e",
    " https://github.com/acme/fleet",
]


@pytest.mark.parametrize("url", GOOD_REPOSITORIES)
def test_public_urls_are_taken(url: str) -> None:
    assert RepositorySpec(url=url).url == url
    assert ChartRepositorySpec(url=url).url == url


@pytest.mark.parametrize("url", BAD)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        RepositorySpec(url=url)
    if not url.startswith("oci://"):
        with pytest.raises(ValidationError):
            ChartRepositorySpec(url=url)


@pytest.mark.parametrize(
    "url", ["oci://", "oci://localhost/x", "oci://ghcr.io/", "oci://u:p@ghcr.io/x", "x oci://ghcr.io"]
)
def test_an_oci_url_is_as_strict(url: str) -> None:
    with pytest.raises(ValidationError):
        ChartRepositorySpec(url=url)


def test_a_chart_repository_may_be_a_whole_host_and_a_git_repository_may_not() -> None:
    assert ChartRepositorySpec(url="https://charts.jetstack.io").url == "https://charts.jetstack.io"
    with pytest.raises(ValidationError):
        RepositorySpec(url="https://github.com")


@pytest.mark.parametrize("branch", ["", "-x", "/a", "a b", "a\n", "a:b", "a~1", "a^", "$(x)"])
def test_a_branch_that_git_or_a_shell_could_misread_is_refused(branch: str) -> None:
    with pytest.raises(ValidationError):
        RepositorySpec(branch=branch)


@pytest.mark.parametrize("host", ["", "*.github.com", "https://github.com", "github.com/", "github.com:443", "A.com"])
def test_what_is_allowed_is_a_host(tmp_path: Path, host: str) -> None:
    assert re.match("2: gateway.allow.0: ", complaints(tmp_path, f"gateway:\n  allow: [{host!r}]\n")[0])


# -- files that are none ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("name: [\n", "line 2"),
        ("name: a\n bad: b\n", "line 2"),
        ("a: b: c\n", "line 1"),
        ("x: !!python/object/apply:os.system [id]\n", "line 1"),
        ("name: a\n---\nname: b\n", "line 2"),
        ("? [a]: b\n", "line 1"),
        ("name: *nobody\n", "line 1"),
        ("name: 2024-99-99\n", "month"),
        ("[" * 100_000, "nest"),  # in the words of fluxlab, or of a newer libyaml
        ("{a: " * 100_000, "nest"),
        ("name: \0\n", ""),
    ],
)
def test_what_is_no_yaml_is_told_with_its_place(tmp_path: Path, text: str, place: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(UsageError, match="no valid YAML") as caught:
        load_spec(file)
    assert caught.value.what == f"{file}: no valid YAML"
    assert place in caught.value.facts[0]


@pytest.mark.parametrize("kind", ["missing", "folder", "binary"])
def test_what_cannot_be_read_is_told(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "lab.yaml"
    if kind == "folder":
        file.mkdir()
    elif kind == "binary":
        file.write_bytes(b"name: \xff\xfe")
    with pytest.raises(UsageError) as caught:
        load_spec(file)
    assert caught.value.what == f"{file}: cannot be read as a lab file"


def test_a_file_that_contains_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        load_spec(write(tmp_path, "clusters: &all\n- *all\n"))


# -- line numbers ----------------------------------------------------------------------------------------------------

VALID: dict[str, Any] = yaml.safe_load(FULL)
MISTAKES: list[tuple[tuple[str | int, ...], str]] = [
    ((), "surplus"),
    (("clusters", 0), "surplus"),
    (("clusters", 1), "surplus"),
    (("repository",), "surplus"),
    (("charts", 0), "surplus"),
    (("charts", 1), "surplus"),
    (("gateway",), "surplus"),
]


@given(
    mistake=st.sampled_from(MISTAKES),
    blanks=st.lists(st.integers(0, 60), max_size=8),
    flow=st.booleans(),
    indent=st.integers(2, 6),
)
def test_the_line_of_a_mistake_is_the_one_on_which_it_is(
    tmp_path_factory: pytest.TempPathFactory,
    mistake: tuple[tuple[str | int, ...], str],
    blanks: list[int],
    flow: bool,
    indent: int,
) -> None:
    place, field = mistake
    data = yaml.safe_load(FULL)
    target = data
    for step in place:
        target = target[step]
    target[field] = "here"
    lines = yaml.safe_dump(
        data, sort_keys=False, indent=indent, default_flow_style=None if flow else False
    ).splitlines()
    for blank in blanks:
        lines.insert(blank % (len(lines) + 1), "# a comment" if blank % 2 else "")
    expected = next(number for number, line in enumerate(lines, start=1) if field in line)
    folder = tmp_path_factory.mktemp("lines")
    found = complaints(folder, "\n".join(lines) + "\n")
    assert len(found) == 1
    assert found[0].startswith(f"{expected}: {'.'.join(map(str, (*place, field)))}: unknown field")


@pytest.mark.parametrize(
    ("host", "field"),
    [
        ("git.example.com", "repository"),
        ("charts.example.com", "charts"),
        ("ghcr.io", "charts"),
        ("docker.io", "registries"),
        ("out.example.com", "gateway.allow"),
        ("hooks.example.com", "alerts (slack)"),
    ],
)
def test_a_host_at_which_alerts_end_is_nothing_else(tmp_path: Path, host: str, field: str) -> None:
    text = f"""\
repository: {{url: https://git.example.com/acme/fleet}}
charts: [{{url: https://charts.example.com/stable}}, {{url: oci://ghcr.io/acme}}]
registries: [docker.io]
gateway: {{allow: [out.example.com]}}
alerts:
- {{kind: slack, host: hooks.example.com}}
- kind: generic
  host: {host}
"""
    file = write(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        load_spec(file)
    (fact,) = caught.value.facts
    assert fact.startswith(f"{file}:8: alerts.1.host: alerts need a host of their own, and {host} is one of {field}; ")
    assert "allowed is any other than" in fact
    load_spec(write(tmp_path, text.replace(f"host: {host}\n", "host: free.example.com\n")))


@pytest.mark.parametrize(
    ("sink", "why"),
    [
        ("{kind: generic-hmac, host: a.example.com}", "needs a secret"),
        ("{kind: slack, host: a.example.com, secret: flux-system/token}", "secret is for generic-hmac and github"),
        ("{kind: github, host: a.example.com, secret: token}", "alerts.0.secret"),
        ("{kind: github, host: a.example.com, secret: Flux/token}", "alerts.0.secret"),
        ("{kind: github, host: a.example.com, secret: flux-system/../token}", "alerts.0.secret"),
    ],
)
def test_a_secret_is_for_the_sinks_that_know_one(tmp_path: Path, sink: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_spec(write(tmp_path, f"alerts:\n- {sink}\n"))
    assert ":2: alerts.0" in caught.value.facts[0]
    assert why in caught.value.facts[0]
