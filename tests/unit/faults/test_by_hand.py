"""What a person is told to type where healing has failed: it undoes what was done, where it was done."""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.unit.faults.conftest import Lab

from fluxlab.cluster import Cluster
from fluxlab.clusters.capabilities import Footing
from fluxlab.clusters.root import Root
from fluxlab.documents import Json, JsonObject
from fluxlab.errors import FluxlabError
from fluxlab.fault_records import FaultState
from fluxlab.faults.base import Ground, Injection
from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.faults.healing import StuckError
from fluxlab.state import LabFolder

FLUX: JsonObject = {"kind": "Kustomization", "namespace": "flux-system", "name": "shop"}
HELM: JsonObject = {"kind": "HelmRelease", "namespace": "flux-system", "name": "cart"}
LIMITS: JsonObject = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m"}}
AT = "--lab one --cluster two --"
KUBECTL, FLUX_CLI = f"fluxlab kubectl {AT}", f"fluxlab flux {AT}"
FORCED = f"{FLUX_CLI} reconcile helmrelease -n flux-system cart --force"
RECONCILED = f"{FLUX_CLI} reconcile kustomization -n flux-system shop"


def told(
    name: str, target: str, undo: Mapping[str, Json] | None = None, *, footing: Footing = Footing.LOCAL
) -> Sequence[str]:
    """What is told of a fault in the second cluster of a lab."""
    fault, unused = CATALOGUE[name], cast("Any", None)
    cluster = cast("Cluster", SimpleNamespace(name="two", root=Root(footing=footing)))
    lab = LabFolder(Path("/labs/one"))
    ground = Ground(cluster=cluster, folder=lab, control=unused, open_repository=lambda: unused, links=False)
    known: dict[str, Json] = {"owner": FLUX, "container": "app", "image": "cart:1", "replicas": 2}
    injection = Injection(id=f"{name}-1", target=target, parameters=fault.parameters(), undo={**known, **(undo or {})})
    return fault.by_hand(ground, injection)


@pytest.mark.parametrize(("owner", "last"), [(FLUX, RECONCILED), (HELM, FORCED)], ids=["Kustomization", "HelmRelease"])
@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("human-edit", f"{KUBECTL} set image --namespace=shop deployment/cart app=cart:1"),
        ("human-scale", f"{KUBECTL} scale --namespace=shop deployment/cart --replicas=2"),
        ("human-takes-over", f"{KUBECTL} scale --namespace=shop deployment/cart --replicas=2"),
        ("human-delete", ""),
    ],
)
def test_an_edit_is_undone_and_flux_looks(name: str, first: str, owner: JsonObject, last: str) -> None:
    assert told(name, "shop/cart", {"owner": owner}) == [*([first] if first else []), last]


def test_what_was_suspended_goes_on_once_its_edit_is_undone() -> None:
    edit, resume = told("human-suspends-and-edits", "shop/cart", {"owner": HELM})
    assert edit == f"{KUBECTL} set image --namespace=shop deployment/cart app=cart:1"
    assert resume == f"{FLUX_CLI} resume helmrelease -n flux-system cart"


def test_what_somebody_has_applied_is_taken_away_by_their_name() -> None:
    apply, reconcile = told("human-adds-field", "shop/cart")
    said, _, to = apply.partition(" | ")
    program, manifest = shlex.split(said)
    assert program == "echo"
    assert json.loads(manifest) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "cart", "namespace": "shop"},
    }
    assert to == f"{KUBECTL} apply --server-side --field-manager=alice -f -"
    assert reconcile == RECONCILED


def test_an_uninstallation_that_was_cut_off_is_forgotten_first() -> None:
    known: JsonObject = {"name": "cart", "namespace": "shop"}
    forget, reconcile = told("human-helm-uninstall", "flux-system/cart", known)
    assert forget == f"{KUBECTL} delete secret -n shop -l owner=helm,name=cart,status=uninstalling"
    assert reconcile == FORCED
    assert told("human-helm-rollback", "flux-system/cart", known) == [FORCED]


@pytest.mark.parametrize("before", [LIMITS, None], ids=["some", "none"])
def test_a_controllers_limits_are_all_as_they_were(before: Json) -> None:
    (command,) = told("controller-oom", "helm-controller", {"value": before}, footing=Footing.INSTALLED)
    words = shlex.split(command)
    assert words[:-1] == [*KUBECTL.split(), "patch", "deployment", "helm-controller", "-n", "flux-system"]
    patch = json.loads(words[-1].removeprefix("--patch="))
    (container,) = patch["spec"]["template"]["spec"]["containers"]
    assert container == {"name": "manager", "resources": {"$patch": "replace", **(LIMITS if before else {})}}


@pytest.mark.parametrize("name", ["artifact-lost", "artifact-corrupt"])
def test_a_source_is_asked_to_fetch_anew_where_its_artifact_was_lost(name: str) -> None:
    command, *_ = told(name, "GitRepository flux-system/fleet")
    asked = f"reconcile.fluxcd.io/requestedAt={name}-1"
    assert command == f"{KUBECTL} annotate --overwrite -n flux-system gitrepository/fleet {asked}"


def test_the_fate_of_pods_is_lifted_in_their_cluster() -> None:
    lift, restart = told("pod-crash-loop", "shop/cart", {"selector": {}, "template": {}})
    assert lift.startswith(f"{KUBECTL} delete mutatingadmissionpolicybinding,mutatingadmissionpolicy ")
    assert restart == f"{KUBECTL} rollout restart -n shop deployment/cart"


def test_a_stolen_lease_is_deleted() -> None:
    assert told("controller-lease-stolen", "helm-controller", footing=Footing.INSTALLED) == [
        f"{KUBECTL} delete lease helm-controller-leader-election -n flux-system"
    ]


@pytest.mark.parametrize("name", ["controller-oom", "controller-lease-stolen", "controller-scaled-down"])
@pytest.mark.parametrize("footing", Footing)
def test_to_end_the_lab_is_the_last_resort_only_where_that_is_not_refused(name: str, footing: Footing) -> None:
    resorts = [line for line in told(name, "helm-controller", {"value": 1}, footing=footing) if "fluxlab down" in line]
    assert bool(resorts) == (footing in {Footing.LOCAL, Footing.KIND})


@pytest.mark.parametrize("footing", [*Footing, None])
def test_nobody_is_told_to_end_a_lab_that_would_refuse_it(lab: Lab, footing: Footing | None) -> None:
    cluster = lab.folder.cluster("c")
    cluster.mkdir(parents=True)
    if footing:
        Root(footing=footing).save(cluster)
    else:
        (cluster / "root.json").write_text("{")
    lab.have("a", undo={"value": 1})
    lab.fault.healing["a"] = FluxlabError("no way")
    lab.fault.by_hand_raises = RuntimeError("no such commit")
    with pytest.raises(StuckError, match="by hand: less"):
        lab.faults.heal()
    (record,) = lab.records.all()
    assert record.state is FaultState.STUCK
    assert any("fluxlab down" in line for line in record.by_hand) == (footing in {Footing.LOCAL, Footing.KIND})
