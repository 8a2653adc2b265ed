"""The guide's demo, rolled out from its manifest; and labs with more than one cluster."""

import json
import subprocess
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tests.integration.conftest import CommandLine, Observer

from fluxlab.toolchain import find

pytestmark = pytest.mark.integration

GUIDE = """\
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata:
  name: open-telemetry
  namespace: flux-system
spec:
  interval: 1m
  url: https://open-telemetry.github.io/opentelemetry-helm-charts
---
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata:
  name: otel-demo
  namespace: flux-system
spec:
  interval: 1m
  targetNamespace: otel-demo
  install:
    createNamespace: true
  chart:
    spec:
      chart: opentelemetry-demo
      sourceRef:
        kind: HelmRepository
        name: open-telemetry
"""
AT_8080 = "cart checkout currency email frontend frontend-proxy payment product-catalog quote recommendation shipping"
PORTS = {
    **{name: {8080} for name in AT_8080.split()},
    "ad": {8080, 9465},
    "agent": {8010},
    "mcp": {8011},
    "chatbot": {7860},
    "image-provider": {8081},
    "telemetry-docs": {8000},
    "opamp-server": {4320, 4321},
    "kafka": {9092, 9093},
    "flagd": {8013, 8016, 4000},
    "astronomy-db": {5432},
    "valkey-cart": {6379},
}
"""Of the public chart's components (0.41.0, as its examples/default is rendered)."""
CALLED_BY_NOBODY = {"accounting", "fraud-detection", "load-generator"}
THIRD_PARTY = {
    "flagd": "ghcr.io/open-feature/flagd:v0.16.0",
    "astronomy-db": "postgres:18.4",
    "valkey-cart": "ghcr.io/valkey-io/valkey:9.0.4-alpine3.23",
}
FLAGS = """
    adFailure adHighCpu adManualGc cartFailure emailMemoryLeak failedReadinessProbe imageSlowLoad intlShippingSlowdown
    kafkaQueueProblems loadGeneratorTraffic loadGeneratorVUs paymentFailure paymentUnreachable productCatalogFailure
    recommendationCacheFailure
"""


CHART = Path(__file__).parents[2] / "scenarios" / "otel-demo" / "charts" / "opentelemetry-demo"
RENDERED = Counter(
    Deployment=28,
    Service=28,
    ConfigMap=21,
    ServiceAccount=5,
    StatefulSet=1,
    DaemonSet=1,
    PodDisruptionBudget=1,
    Secret=1,
    ClusterRole=3,
    ClusterRoleBinding=3,
)
"""What the public chart 0.41.0 renders by default."""


@pytest.fixture(scope="module")
def scenario() -> str:
    return "otel-demo"


def test_the_demo_is_complete_and_every_pod_is_ready(shared: CommandLine) -> None:
    observer = shared.observer("shared")
    kinds = Counter(
        item["kind"] for item in observer.get("deploy,svc,sts,ds,cm,sa", "-n", "otel-demo")["items"]
    ) - Counter(ConfigMap=1, ServiceAccount=1)  # kube-root-ca.crt and default are in every namespace
    assert (kinds["Deployment"], kinds["Service"], kinds["StatefulSet"], kinds["DaemonSet"]) == (28, 28, 1, 1)
    assert (kinds["ConfigMap"], kinds["ServiceAccount"]) == (21, 5)
    pods = observer.get("pods", "-n", "otel-demo")["items"]
    ready = [c["status"] for pod in pods for c in pod["status"]["conditions"] if c["type"] == "Ready"]
    assert ready == ["True"] * 30


def test_the_demos_flags_are_the_public_ones_and_nothing_fails_at_first(shared: CommandLine) -> None:
    config = shared.observer("shared").get("cm", "flagd-config", "-n", "otel-demo")["data"]["demo.flagd.json"]
    flags = json.loads(config)["flags"]
    assert set(flags) == set(FLAGS.split())
    for name, flag in flags.items():
        assert flag["defaultVariant"] in flag["variants"], name
    for name in ("cartFailure", "paymentFailure"):
        assert {"off", "10%", "100%"} <= set(flags[name]["variants"])
    on = {name for name, flag in flags.items() if flag["variants"][flag["defaultVariant"]]}
    assert on <= {"loadGeneratorTraffic", "loadGeneratorVUs"}, on


def test_the_demos_components_listen_where_the_public_ones_do(shared: CommandLine) -> None:
    observer = shared.observer("shared")
    services = {
        one["metadata"]["name"]: {port["port"] for port in one["spec"]["ports"]}
        for one in observer.get("services", "-n", "otel-demo")["items"]
    }
    assert {name: services.get(name) for name in PORTS} == PORTS
    assert CALLED_BY_NOBODY.isdisjoint(services)
    images = {
        one["metadata"]["name"]: one["spec"]["template"]["spec"]["containers"][0]["image"]
        for one in observer.get("deployments", "-n", "otel-demo")["items"]
    }
    public = {name: f"ghcr.io/open-telemetry/demo:3.0.0-{name}" for name in {*PORTS, *CALLED_BY_NOBODY}} | THIRD_PARTY
    assert {name: images.get(name) for name in public} == public


def test_the_manifest_in_git_is_the_guides_and_names_public_urls_only(shared: CommandLine, tmp_path: Path) -> None:
    clone = tmp_path / "fleet"
    shared.ok("clone", str(clone), "--lab", "shared")
    text = (clone / "clusters/flux-playground/oteldemo.yaml").read_text()
    assert text.removeprefix("---\n") == GUIDE
    flux_system = clone / "clusters/flux-playground/flux-system"
    assert sorted(file.name for file in flux_system.iterdir()) == [
        "gotk-components.yaml",
        "gotk-sync.yaml",
        "kustomization.yaml",
    ]
    log = subprocess.run(["git", "-C", str(clone), "log", "--format=%s"], capture_output=True, text=True, check=True)
    assert log.stdout.splitlines()[-2:] == ["Add Flux sync manifests", "Add Flux v2.9.2 component manifests"]


def test_flux_itself_finds_nothing_wrong(shared: CommandLine) -> None:
    check = shared.run("flux", "--lab", "shared", "check")
    assert check.returncode == 0, check.stderr
    assert "all checks passed" in check.stdout + check.stderr


def test_a_stand_in_says_so_wherever_it_shows(shared: CommandLine) -> None:
    assert "stand-in" in shared.ok("status", "--lab", "shared")
    listed = json.loads(shared.ok("charts", "list", "--lab", "shared", "-o", "json"))
    assert [chart["stand_in"] for chart in listed] == [True]
    assert "stand-in" in listed[0]["description"]
    compared = shared.run("drift", "--lab", "shared", "-o", "json")
    stand_in = (
        "chart opentelemetry-demo 0.0.41 at https://open-telemetry.github.io/opentelemetry-helm-charts is a stand-in"
    )
    assert any(one.startswith(stand_in) for one in json.loads(compared.stdout)["unreal"])
    assert f"not real: {stand_in}" in compared.stderr
    labels = shared.observer("shared").get("deploy", "cart", "-n", "otel-demo")["metadata"]["labels"]
    assert labels["fluxlab.dev/stand-in"] == "true"


def test_simulated_pods_and_nodes_say_so(shared: CommandLine) -> None:
    observer = shared.observer("shared")
    assert "simulated" in observer.get("nodes")["items"][0]["status"]["nodeInfo"]["osImage"]
    annotations = [pod["metadata"]["annotations"] for pod in observer.get("pods", "-n", "otel-demo")["items"]]
    assert all(found["fluxlab.dev/simulated"] == "kwok" for found in annotations)
    flux = observer.get("pods", "-n", "flux-system")["items"]
    assert [pod["metadata"]["annotations"]["fluxlab.dev/stands-for"] for pod in flux] == ["process"] * 4
    assert "simulated" in shared.ok("status", "--lab", "shared")


def helm(*words: str) -> subprocess.CompletedProcess[str]:
    """The real helm on the stand-in chart."""
    arguments = [str(find().binary("helm")), words[0], *(["demo"] if words[0] == "template" else []), str(CHART)]
    return subprocess.run([*arguments, *words[1:]], capture_output=True, text=True, timeout=60, check=False)


def test_helm_finds_in_the_stand_in_what_the_public_chart_has() -> None:
    assert helm("lint", "--strict").returncode == 0
    rendered = helm("template")
    assert rendered.returncode == 0, rendered.stderr
    found = [one for one in yaml.safe_load_all(rendered.stdout) if one]
    assert Counter(one["kind"] for one in found) == RENDERED
    names = {one["metadata"]["name"] for one in found if one["kind"] == "ClusterRole"}
    bound = {one["roleRef"]["name"] for one in found if one["kind"] == "ClusterRoleBinding"}
    assert names == bound


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("components.carts.replicas=3", "/components/carts"),  # it is called cart
        ("components.cart.replica=3", "additional properties 'replica' not allowed"),
        ("components.cart.replicas=three", "/components/cart/replicas"),
        ("jaegar.enabled=true", "additional properties 'jaegar' not allowed"),
    ],
)
def test_values_that_the_public_chart_refuses_are_refused(values: str, said: str) -> None:
    refused = helm("template", f"--set={values}")
    assert refused.returncode != 0
    assert said in refused.stderr


def test_values_reach_what_they_name() -> None:
    rendered = helm("template", "--set=components.cart.replicas=3", "--set=components.quote.enabled=false")
    kinds = [(one["kind"], one["metadata"]["name"], one) for one in yaml.safe_load_all(rendered.stdout) if one]
    deployments = {name: one for kind, name, one in kinds if kind == "Deployment"}
    assert deployments["cart"]["spec"]["replicas"] == 3
    assert "quote" not in deployments


def user_archive(folder: Path) -> Path:
    """An archive of the user's that bears the public chart's name and version."""
    source = folder / "public"
    (source / "templates").mkdir(parents=True)
    (source / "Chart.yaml").write_text("apiVersion: v2\nname: opentelemetry-demo\nversion: 0.41.0\n")
    config_map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: from-the-archive}\n"
    (source / "templates" / "only.yaml").write_text(config_map)
    file = folder / "opentelemetry-demo-0.41.0.tgz"
    with tarfile.open(file, "w:gz") as tar:
        tar.add(source, arcname="opentelemetry-demo")
    return file


@pytest.mark.verify
def test_an_archive_is_added_by_the_demos_host_and_rolled_out_instead_of_the_stand_in(
    fluxlab: CommandLine, tmp_path: Path, eventually: Callable[..., object]
) -> None:
    add = ("charts", "add", str(user_archive(tmp_path)), "--host", "open-telemetry.github.io")
    fluxlab.ok("up", "--name=late")
    served = "opentelemetry-demo 0.41.0 is served at https://open-telemetry.github.io/opentelemetry-helm-charts"
    assert served in fluxlab.run(*add).stderr, "no chart is there yet, and no manifest that names its repository"
    fluxlab.ok("apply", "otel-demo")
    fluxlab.ok("wait")
    observer = fluxlab.observer("late")
    assert observer.kubectl("get", "cm", "from-the-archive", "-n", "otel-demo", "-o", "name").strip()
    fluxlab.ok("charts", "yank", "opentelemetry-demo", "0.41.0", "--host", "open-telemetry.github.io")
    fluxlab.ok("flux", "reconcile", "source", "helm", "open-telemetry")
    eventually(lambda: len(observer.get("deploy", "-n", "otel-demo")["items"]) == 28, within=60, what="the stand-in")
    assert served in fluxlab.run(*add).stderr
    fluxlab.ok("flux", "reconcile", "source", "helm", "open-telemetry")
    eventually(lambda: observer.get("deploy", "-n", "otel-demo")["items"] == [], within=60, what="it gives way")


@pytest.fixture
def archive(fluxlab: CommandLine, tmp_path: Path) -> Observer:
    """The cluster of a lab with the demo, and with an archive of the user's that bears the chart's name and version."""
    file = user_archive(tmp_path)
    (fluxlab.folder / "lab.yaml").write_text(
        "name: archive\nscenarios: [otel-demo]\ncharts:\n"
        "- url: https://open-telemetry.github.io/opentelemetry-helm-charts\n"
        f"  charts: [{file}]\n"
    )
    fluxlab.ok("up", "lab.yaml")
    return fluxlab.observer("archive")


def test_an_archive_that_the_user_adds_wins_over_the_stand_in(archive: Observer) -> None:
    assert archive.kubectl("get", "cm", "from-the-archive", "-n", "otel-demo", "-o", "name").strip()
    assert archive.get("deploy", "-n", "otel-demo")["items"] == []


@pytest.mark.verify
def test_the_stand_in_is_there_again_once_the_archive_is_yanked(
    fluxlab: CommandLine, archive: Observer, eventually: Callable[..., object]
) -> None:
    assert archive.get("deploy", "-n", "otel-demo")["items"] == []
    fluxlab.ok("charts", "yank", "opentelemetry-demo", "0.41.0", "--host", "open-telemetry.github.io")
    fluxlab.ok("flux", "reconcile", "source", "helm", "open-telemetry")
    eventually(
        lambda: len(archive.get("deploy", "-n", "otel-demo")["items"]) == 28, within=60, what="the stand-in is there"
    )


@pytest.mark.verify
def test_two_clusters_of_one_lab_reconcile_their_own_paths_of_one_repository(fluxlab: CommandLine) -> None:
    (fluxlab.folder / "lab.yaml").write_text("name: pair\nclusters:\n- name: staging\n- name: production\n  nodes: 2\n")
    fluxlab.ok("up", "lab.yaml")
    clone = fluxlab.folder / "fleet"
    fluxlab.ok("clone", str(clone))
    for cluster in ("staging", "production"):
        place = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "where", "namespace": "default"}}
        manifest = json.dumps({**place, "data": {"is": cluster}})  # JSON is YAML
        (clone / "clusters" / cluster / "where.yaml").write_text(manifest)
    settings = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    for words in (["add", "--all"], ["commit", "-qm", "Tell where"], ["push", "-q"]):
        subprocess.run(["git", "-C", str(clone), *settings, *words], check=True)
    fluxlab.ok("wait")
    for cluster, nodes in (("staging", 1), ("production", 2)):
        observer = fluxlab.observer("pair", cluster)
        assert observer.get("cm", "where", "-n", "default")["data"] == {"is": cluster}
        assert len(observer.get("nodes")["items"]) == nodes
    named = fluxlab.ok("kubectl", "--cluster", "production", "get", "nodes", "-o", "name")
    assert named.splitlines() == ["node/production-node-0", "node/production-node-1"]
    ambiguous = fluxlab.run("kubectl", "get", "nodes")
    assert ambiguous.returncode == 0, "without --cluster the first cluster's context is the current one"


@pytest.mark.verify
def test_a_stand_in_gives_way_to_a_host_that_the_lab_file_allows(fluxlab: CommandLine) -> None:
    host = "charts.lab.invalid"  # which nobody has, so that what is told of it comes from the way out
    folder = fluxlab.folder / "shop"
    release = GUIDE.replace("open-telemetry.github.io", host)
    for path, text in {
        "scenario.yaml": "description: The demo, from elsewhere.\ncharts:\n- path: chart\n"
        f"  repository: https://{host}/opentelemetry-helm-charts\n  stand-in: true\n",
        "chart/Chart.yaml": "apiVersion: v2\nname: opentelemetry-demo\nversion: 0.0.1\n",
        "repository/clusters/flux-playground/demo.yaml": release,
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    lab = f"name: online\nscenarios: [./shop]\ngateway: {{allow: [{host}]}}\n"
    (fluxlab.folder / "lab.yaml").write_text(lab)
    done = fluxlab.run("up", "lab.yaml", "--timeout=20")
    assert done.returncode == 1, done.stderr  # the lab is there, and its release waits for a host that is not
    assert f"https://{host}/opentelemetry-helm-charts" in done.stderr
    assert f"hosts passed through: {host}" in fluxlab.ok("status")
    assert json.loads(fluxlab.ok("charts", "list", "-o", "json")) == []
