"""What is left is found, whatever it is, and what changes by itself is not."""

import copy
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import CONFIG_MAP, DEPLOYMENT, POD, SECRET, Resource
from fluxlab.lab import Lab
from fluxlab.rehearsals.footprint import Footprint

LEASE = Resource(kind="Lease", plural="leases", group="coordination.k8s.io")
WIDGET = Resource(kind="Widget", plural="widgets", group="a.example")
NAMESAKE = Resource(kind="Widget", plural="widgets", group="b.example")
OURS = {"kustomize.toolkit.fluxcd.io/name": "shop", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}


def made(resource: Resource, name: str, **fields: Any) -> dict[str, Any]:
    """An object; its labels and annotations are among the fields."""
    metadata = {key: fields.pop(key) for key in ("labels", "annotations") if key in fields}
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"namespace": "shop", "name": name, "uid": "1", "resourceVersion": "1", **metadata},
        **fields,
    }


class World:
    """A lab that is made of what its parts say."""

    def __init__(self, folder: Path) -> None:
        self.objects: dict[Resource, list[dict[str, Any]]] = {
            SECRET: [
                made(SECRET, "token", data={"t": "b25l"}),
                made(SECRET, "of-git", data={"t": "YQ=="}, labels=OURS),
            ],
            CONFIG_MAP: [
                made(CONFIG_MAP, "settings", data={"a": "b"}),
                made(CONFIG_MAP, "kube-root-ca.crt", data={"ca.crt": "of before"}),
            ],
            DEPLOYMENT: [made(DEPLOYMENT, "frontend", spec={"replicas": 1}, labels=OURS)],
            POD: [made(POD, "frontend-1", status={"phase": "Running"})],
            LEASE: [made(LEASE, "helm", spec={"renewTime": "1"})],
            WIDGET: [made(WIDGET, "one", spec={})],
            NAMESAKE: [made(NAMESAKE, "one", spec={})],
        }
        kept = self.one(CONFIG_MAP, 1)["metadata"]
        kept["managedFields"] = [{"manager": "kube-controller-manager", "operation": "Update"}]
        self.components = ["etcd", "kube-apiserver"]
        self.folder = folder
        self.bare = folder / "git" / "fleet.git"
        self.git("init", "--quiet", "--bare", "--initial-branch=main", str(self.bare), within=False)
        tree = self.git("hash-object", "-w", "-t", "tree", "/dev/null")
        author = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        self.commit = self.git(*author, "commit-tree", tree, "-m", "first")
        self.git("update-ref", "refs/heads/main", self.commit)

    def git(self, *words: str, within: bool = True) -> str:
        command = ["git", *([f"--git-dir={self.bare}"] if within else []), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def footprint(self) -> Footprint:
        parts = [SimpleNamespace(name=name, pid=None, state="running") for name in self.components]
        api = SimpleNamespace(resources=lambda **_: tuple(self.objects), list=self._list)
        lab = SimpleNamespace(
            cluster=SimpleNamespace(api=api),
            clusters={},
            status=lambda: SimpleNamespace(components=parts, clusters=[]),
            control=SimpleNamespace(rules=list),
            faults=SimpleNamespace(active=list),
            folder=SimpleNamespace(root=self.folder, repositories=self.bare.parent),
        )
        return Footprint.of(cast("Lab", lab))

    def _list(self, resource: Resource) -> Sequence[KubeObject]:
        return [KubeObject(copy.deepcopy(one)) for one in self.objects[resource]]

    def one(self, resource: Resource, number: int = 0) -> dict[str, Any]:
        return self.objects[resource][number]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def residue(world: World, change: Callable[[World], object]) -> list[str]:
    before = world.footprint()
    change(world)
    return list(world.footprint().residue(before))


def _labelled(world: World) -> None:
    world.one(CONFIG_MAP)["metadata"]["labels"] = {"a": "b"}


def _annotated(world: World) -> None:
    world.one(CONFIG_MAP)["metadata"]["annotations"] = {"a": "b"}


def _marked(world: World) -> None:
    world.one(POD)["metadata"]["annotations"] = {"fluxlab.dev/fault": "pod-crash-loop"}


def _nowhere(world: World) -> None:
    world.one(POD)["spec"] = {"nodeSelector": {"fluxlab.dev/nowhere": "true"}}


def _set_aside(world: World) -> None:
    folder = world.folder / "charts" / "charts.example"
    folder.mkdir(parents=True)
    (folder / "cart-1.0.0.tgz.chart-yanked-0a1b2c").touch()


def _bundle(world: World) -> None:
    (world.folder / "faults").mkdir()
    (world.folder / "faults" / "git-force-push-0a1b2c.bundle").touch()


PLANTED: dict[str, tuple[Callable[[World], object], str]] = {
    "a Secret that was rotated": (
        lambda world: world.one(SECRET).update(data={"t": "dHdv"}),
        "Secret shop/token has other data",
    ),
    "a label": (_labelled, "ConfigMap shop/settings has other labels"),
    "an annotation": (_annotated, "ConfigMap shop/settings has other annotations"),
    "one of two kinds of one name": (
        lambda world: world.objects[WIDGET].clear(),
        "Widget shop/one is gone, and nobody owns it",
    ),
    "the other of them": (lambda world: world.one(NAMESAKE).update(spec={"a": 1}), "Widget shop/one has other spec"),
    "a pod that failed": (
        lambda world: world.one(POD).update(status={"phase": "Failed"}),
        "Pod shop/frontend-1 is Failed",
    ),
    "a pod with a mark": (_marked, "Pod shop/frontend-1 is marked with fluxlab.dev/fault"),
    "a pod that can be nowhere": (_nowhere, "Pod shop/frontend-1 is marked with fluxlab.dev/nowhere"),
    "a branch": (
        lambda world: world.git("update-ref", "refs/heads/git-force-push-0a1b2c", world.commit),
        "git has refs/heads/git-force-push-0a1b2c in fleet",
    ),
    "a branch that is gone": (
        lambda world: world.git("update-ref", "-d", "refs/heads/main"),
        "git has lost refs/heads/main in fleet",
    ),
    "HEAD": (
        lambda world: world.git("symbolic-ref", "HEAD", "refs/heads/other"),
        "git has HEAD refs/heads/other in fleet",
    ),
    "an archive that was set aside": (
        _set_aside,
        "file charts/charts.example/cart-1.0.0.tgz.chart-yanked-0a1b2c is there",
    ),
    "a folder of a fault": (
        lambda world: (world.folder / "scratch" / "etcd-restore-0a1b2c").mkdir(parents=True),
        "file scratch/etcd-restore-0a1b2c is there",
    ),
    "a bundle": (_bundle, "file faults/git-force-push-0a1b2c.bundle is there"),
    "a program that vanished": (lambda world: world.components.remove("etcd"), "process etcd is gone, it was running"),
}


@pytest.mark.parametrize("what", sorted(PLANTED))
def test_what_is_planted_is_found_and_nothing_else(world: World, what: str) -> None:
    plant, told = PLANTED[what]
    found = residue(world, plant)
    assert told in found
    assert len(found) <= 2, "HEAD that leads elsewhere is lost and there"


def _by_themselves(world: World) -> None:
    world.one(CONFIG_MAP, 1).update(data={"ca.crt": "of this lab"})  # its controller acts some time after the start
    world.one(DEPLOYMENT).update(spec={"replicas": 4}, status={"replicas": 4})  # a commit says so
    world.one(SECRET, 1).update(data={"t": "Yg=="})
    world.one(LEASE).update(spec={"renewTime": "2"})
    world.one(POD)["metadata"]["name"] = "frontend-2"
    secret = world.one(SECRET)["metadata"]
    secret.update(uid="2", resourceVersion="9", generation=3)  # it was deleted and given back
    secret["annotations"] = {"reconcile.fluxcd.io/requestedAt": "now"}
    world.one(WIDGET)["status"] = {"seen": True}
    world.git("update-ref", "refs/heads/main", world.git("rev-parse", "main"))
    release = made(SECRET, "sh.helm.release.v1.cart.v2", type="helm.sh/release.v1", data={"release": "x"})
    world.objects[SECRET].append(release)
    (world.folder / "faults").mkdir()
    (world.folder / "faults" / "git-slow-0a1b2c.json").touch()  # told as a fault


def test_what_changes_by_itself_or_by_a_commit_is_no_residue(world: World) -> None:
    assert residue(world, _by_themselves) == []
