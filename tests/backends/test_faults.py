"""Every fault on every ground: proven, and gone without a trace; or refused for the reason that the table gives."""

import pytest
from tests.backends.conftest import CLUSTER, IMAGE, Ground
from tests.integration.faults.wholeness import Whole, await_whole

from fluxlab.clusters.capabilities import Capability, UnsupportedError
from fluxlab.documents import JsonObject
from fluxlab.errors import UsageError
from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.faults.descriptions import describe
from fluxlab.lab import Lab

pytestmark = pytest.mark.integration

DAILY = frozenset({"human-edit", "manifest-path-gone", "pod-deleted", "release-bad-values", "secret-rotated"})
"""Something of each way that works in a cluster of somebody's; the other faults are verified."""
CHARTS = "https://charts.shop.example/stable"
SECRET = "shop-secrets"
RECOVERY_SECONDS = 90.0
CHART = {
    "Chart.yaml": "apiVersion: v2\nname: cart\nversion: 1.0.0\n",
    "values.yaml": f"greeting: hello\nreplicas: 1\nprogressDeadlineSeconds: 600\nimage: {IMAGE}\n",
    "templates/cart.yaml": """\
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}"}
data: {greeting: "{{ .Values.greeting }}"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: "{{ .Release.Name }}"}
spec:
  replicas: {{ .Values.replicas }}
  progressDeadlineSeconds: {{ .Values.progressDeadlineSeconds }}
  selector: {matchLabels: {app: "{{ .Release.Name }}"}}
  template:
    metadata: {labels: {app: "{{ .Release.Name }}"}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: cart, image: "{{ .Values.image }}"}]
""",
}


def shop(lab: Lab) -> list[JsonObject]:
    """What the root applies: a Kustomization and a HelmRelease, beside the root, with intervals of seconds."""
    root = lab.cluster.root
    git: JsonObject = {"kind": "GitRepository", "name": root.name, "namespace": root.namespace}
    mapped = not lab.cluster.lacks(Capability.MAPPED_HOSTS)
    charts: JsonObject = {"kind": "HelmRepository", "name": "shop", "namespace": root.namespace}
    source, chart = (charts, "cart") if mapped else (git, "charts/cart")
    repository: JsonObject = {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "HelmRepository",
        "metadata": {"name": "shop", "namespace": root.namespace},
        "spec": {"url": CHARTS, "interval": "10s", "timeout": "10s"},
    }
    kustomization: JsonObject = {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"name": "shop", "namespace": root.namespace},
        "spec": {
            "interval": "30s",
            "retryInterval": "3s",
            "timeout": "30s",
            "path": "./apps/shop",
            "targetNamespace": "shop",
            "prune": True,
            "wait": True,
            "sourceRef": git,
            "postBuild": {
                "substitute": {"REGION": "north"},
                "substituteFrom": [{"kind": "Secret", "name": SECRET, "optional": True}],
            },
        },
    }
    release: JsonObject = {
        "apiVersion": "helm.toolkit.fluxcd.io/v2",
        "kind": "HelmRelease",
        "metadata": {"name": "cart", "namespace": root.namespace},
        "spec": {
            "interval": "30s",
            "timeout": "20s",
            "releaseName": "cart",
            "targetNamespace": "shop",
            "storageNamespace": "shop",
            "driftDetection": {"mode": "enabled"},
            "chart": {"spec": {"chart": chart, "version": ">=1.0.0", "interval": "10s", "sourceRef": source}},
            "upgrade": {"remediation": {"retries": 1, "strategy": "rollback"}},
        },
    }
    namespace: JsonObject = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    return [namespace, *([repository] if mapped else []), kustomization, release]


def apps() -> list[JsonObject]:
    """What the shop's Kustomization applies."""
    container: JsonObject = {"name": "frontend", "image": IMAGE}
    deployment: JsonObject = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "frontend", "labels": {"app": "frontend"}},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "frontend"}},
            "template": {
                "metadata": {"labels": {"app": "frontend"}},
                "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
            },
        },
    }
    service: JsonObject = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "frontend"},
        "spec": {"selector": {"app": "frontend"}, "ports": [{"port": 80}]},
    }
    settings: JsonObject = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings"},
        "data": {"region": "${REGION}", "currency": "EUR"},
    }
    checkout: JsonObject = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "checkout"},
        "stringData": {"token": "${CHECKOUT_TOKEN:=none}"},
    }
    return [deployment, service, settings, checkout]


@pytest.fixture(scope="module")
def open_shop(module_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab on this ground with something to break."""
    lab, folder = module_lab, tmp_path_factory.mktemp("charts") / "cart"
    for name, text in CHART.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        lab.repository.write(f"charts/cart/{name}", text)
    if not lab.cluster.lacks(Capability.MAPPED_HOSTS):
        lab.add_chart(folder, url=CHARTS)
    lab.cluster.set_secret(f"{lab.cluster.root.namespace}/{SECRET}", "CHECKOUT_TOKEN", "t0ken")
    for manifest in apps():
        lab.repository.write(f"apps/shop/{str(manifest['kind']).lower()}.yaml", manifest)
    lab.repository.write(f"clusters/{CLUSTER}/shop.yaml", shop(lab))
    lab.converge(lab.repository.commit("Open a shop"))
    return lab


@pytest.fixture(scope="module")
def whole(open_shop: Lab) -> Whole:
    return seen(open_shop)


def seen(lab: Lab) -> Whole:
    return Whole.of(lab.folder.root, cluster=CLUSTER)


def reason(name: str, lab: Lab) -> str:
    """Why the table says that a fault cannot be here; empty when it can."""
    if name == "manifest-bad-image" and lab.cluster.lacks(Capability.STAGES):
        return lab.cluster.lacks(Capability.CONTAINERS)  # the test's guest stands on a cluster with simulated pods
    return describe(CATALOGUE[name]).lacks.get(str(lab.cluster.root.footing), "")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in DAILY else pytest.mark.verify) for name in CATALOGUE]
)
def test_a_fault_is_proven_and_leaves_nothing(ground: Ground, open_shop: Lab, whole: Whole, name: str) -> None:
    lab = open_shop
    if ground.name == "local":
        pytest.skip("on a lab's own processes it is proven in tests/integration/faults/test_catalogue.py")
    if why := reason(name, lab):
        pytest.skip(f"refused on this ground, which another test proves: {why}")
    if name == "release-unknown-version" and lab.cluster.lacks(Capability.MAPPED_HOSTS):
        with pytest.raises(UsageError), lab.fault(name):  # a chart in git has no other versions
            pass
        return
    with lab.fault(name, seed=3) as fault:
        assert fault.proof
    lab.converge(timeout_seconds=RECOVERY_SECONDS)
    await_whole(lab.folder.root, whole, cluster=CLUSTER)
    lab.drift().assert_clean()


def test_what_this_ground_lacks_is_refused_before_anything_is_touched(
    ground: Ground, open_shop: Lab, whole: Whole
) -> None:
    refused = [name for name in CATALOGUE if reason(name, open_shop)]
    assert refused, ground.name
    for name in refused:
        with pytest.raises(UnsupportedError) as caught, open_shop.fault(name):
            pass
        assert reason(name, open_shop) in "\n".join(caught.value.facts)
    assert seen(open_shop).differences(whole) == []


def test_a_cluster_that_was_taken_back_is_not_broken(ground: Ground, open_shop: Lab) -> None:
    if ground.owner is None:
        pytest.skip("a cluster of the lab's own is nobody else's to take back")
    consented = "fluxlab.dev/consent"
    ground.owner.kubectl("label", "namespace", "kube-system", f"{consented}-")
    before = seen(open_shop)
    try:
        with pytest.raises(UsageError, match="is not given to fluxlab"), open_shop.fault("human-edit"):
            pass
        assert seen(open_shop).differences(before) == []
    finally:
        ground.owner.kubectl("label", "namespace", "kube-system", f"{consented}=true")
