"""Every fault on every ground: proven, and gone without a trace; or refused for the reason that the table gives."""

import re

import pytest
import yaml
from tests.backends.conftest import CLUSTER, IMAGE, Ground
from tests.integration.faults.wholeness import Whole, await_whole

from fluxlab.clusters.capabilities import Capability, UnsupportedError
from fluxlab.documents import JsonObject
from fluxlab.errors import UsageError
from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.faults.descriptions import describe
from fluxlab.lab import Lab
from fluxlab.scenarios import load_scenario

pytestmark = pytest.mark.integration

DAILY = frozenset({"human-edit", "manifest-path-gone", "pod-deleted", "release-bad-values", "secret-rotated"})
"""Something of each way that works in a cluster of somebody's; the other faults are verified."""
SHOP = "clusters/flux-playground"
SECRET = "shop-secrets"
RECOVERY_SECONDS = 90.0


def manifests(lab: Lab, text: str) -> list[JsonObject]:
    """What the scenario's root applies, beside this lab's root: without alerts, and a chart from git if need be."""
    root = lab.cluster.root
    mapped = not lab.cluster.lacks(Capability.MAPPED_HOSTS)
    found: list[JsonObject] = []
    for one in yaml.safe_load_all(text):
        git = {"kind": "GitRepository", "name": root.name, "namespace": root.namespace}
        if one["metadata"].get("namespace"):
            one["metadata"]["namespace"] = root.namespace
        if one["kind"] == "Kustomization":
            one["spec"]["sourceRef"] = git
        if one["kind"] == "HelmRelease" and not mapped:
            one["spec"]["chart"]["spec"] |= {"chart": "charts/cart", "sourceRef": git}
        if one["kind"] != "HelmRepository" or mapped:
            found.append(one)
    return found


def with_image(text: bytes) -> str:
    """Any registry's image becomes one that real containers can run, and that ends at once."""
    image = re.sub(r"registry\.shop\.example/\w+:[\d.]+", IMAGE, text.decode())
    return re.sub(r"^( +)containers:", r"\1terminationGracePeriodSeconds: 0\n\g<0>", image, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def open_shop(ground: Ground, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """The shop on this ground: something to break that needs neither a sink nor a registry of images."""
    if ground.name == "local":
        pytest.skip("on a lab's own processes tests/integration/faults/test_catalogue.py proves the same")
    lab: Lab = request.getfixturevalue("module_lab")
    scenario, folder = load_scenario("shop"), tmp_path_factory.mktemp("charts")
    for chart in scenario.content.charts:
        for file in (file for file in (scenario.folder / chart.path).rglob("*") if file.is_file()):
            place = file.relative_to(scenario.folder)
            text = with_image(file.read_bytes())
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).write_text(text)
            lab.repository.write(str(place), text)
        if not lab.cluster.lacks(Capability.MAPPED_HOSTS):
            lab.add_chart(folder / chart.path, url=chart.repository)
    lab.cluster.set_secret(f"{lab.cluster.root.namespace}/{SECRET}", "CHECKOUT_TOKEN", "t0ken")
    files = scenario.files()
    for path in (path for path in files if path.startswith("apps/")):
        lab.repository.write(path, with_image(files[path]))
    lab.repository.write(f"clusters/{CLUSTER}/shop.yaml", manifests(lab, files[f"{SHOP}/shop.yaml"].decode()))
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
def test_a_fault_is_proven_and_leaves_nothing(open_shop: Lab, whole: Whole, name: str) -> None:
    lab = open_shop
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
