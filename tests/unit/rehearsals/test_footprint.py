"""What is left is found, whatever it is, and what changes by itself is not."""

import copy
import fcntl
import os
import shlex
import subprocess
import termios
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psutil
import pytest

from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import (
    CONFIG_MAP,
    DEPLOYMENT,
    HELM_CHART,
    HELM_RELEASE,
    JOB,
    KUSTOMIZATION,
    NAMESPACE,
    POD,
    SECRET,
    Resource,
)
from fluxlab.lab import Lab
from fluxlab.redaction import MASK, Redactor
from fluxlab.rehearsals.footprint import LINE_LENGTH, Footprint
from fluxlab.waiting import wait_until

LEASE = Resource(kind="Lease", plural="leases", group="coordination.k8s.io")
WIDGET = Resource(kind="Widget", plural="widgets", group="a.example")
NAMESAKE = Resource(kind="Widget", plural="widgets", group="b.example")
REPLICA_SET = Resource(kind="ReplicaSet", plural="replicasets", group="apps")
OURS = {"kustomize.toolkit.fluxcd.io/name": "shop", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
OF_HELM = {"helm.toolkit.fluxcd.io/name": "cart", "helm.toolkit.fluxcd.io/namespace": "flux-system"}


def of_controller(kind: str, name: str) -> list[dict[str, Any]]:
    return [{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "3", "controller": True}]


def inventory(*ids: str) -> dict[str, Any]:
    return {"inventory": {"entries": [{"id": one, "v": "v1"} for one in ids]}}


PLACED = ("namespace", "labels", "annotations", "ownerReferences", "finalizers", "deletionTimestamp")


def made(resource: Resource, name: str, **fields: Any) -> dict[str, Any]:
    """An object; what its metadata have beside its name is among the fields."""
    metadata = {key: fields.pop(key) for key in PLACED if key in fields}
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"namespace": "shop", "name": name, "uid": "1", "resourceVersion": "1", **metadata},
        **fields,
    }


def pod(name: str, **fields: Any) -> dict[str, Any]:
    owners = {"ownerReferences": of_controller("ReplicaSet", "frontend")}
    return made(POD, name, **{"status": {"phase": "Running"}, **owners, **fields})


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
            REPLICA_SET: [made(REPLICA_SET, "frontend", ownerReferences=of_controller("Deployment", "frontend"))],
            POD: [pod("frontend-1")],
            JOB: [],
            KUSTOMIZATION: [
                made(
                    KUSTOMIZATION,
                    "shop",
                    namespace="flux-system",
                    status=inventory("shop_of-git__Secret", "shop_frontend_apps_Deployment"),
                )
            ],
            HELM_RELEASE: [
                made(
                    HELM_RELEASE,
                    "cart",
                    namespace="flux-system",
                    status={**inventory("shop_cart_apps_Deployment"), "helmChart": "flux-system/flux-system-cart"},
                )
            ],
            HELM_CHART: [],
            NAMESPACE: [made(NAMESPACE, "shop", namespace="", spec={"finalizers": ["kubernetes"]})],
            LEASE: [made(LEASE, "helm", spec={"renewTime": "1"})],
            WIDGET: [made(WIDGET, "one", spec={})],
            NAMESAKE: [made(NAMESAKE, "one", spec={})],
        }
        kept = self.one(CONFIG_MAP, 1)["metadata"]
        kept["managedFields"] = [{"manager": "kube-controller-manager", "operation": "Update"}]
        self.components = ["etcd", "kube-apiserver"]
        self.folder = folder
        self.programs = ExitStack()
        self.supervisor = self.program("sh")
        self.bare = folder / "git" / "fleet.git"
        self.git("init", "--quiet", "--bare", "--initial-branch=main", str(self.bare), within=False)
        tree = self.git("hash-object", "-w", "-t", "tree", "/dev/null")
        author = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        self.commit = self.git(*author, "commit-tree", tree, "-m", "first")
        self.git("update-ref", "refs/heads/main", self.commit)

    def git(self, *words: str, within: bool = True) -> str:
        command = ["git", *([f"--git-dir={self.bare}"] if within else []), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def program(self, *words: str) -> subprocess.Popen[bytes]:
        """A program without a terminal that runs until the test has ended."""
        return self._kept(subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True))

    def at_a_terminal(self, *words: str) -> subprocess.Popen[bytes]:
        """The same, at a terminal of its own."""
        ours, theirs = os.openpty()
        self.programs.callback(os.close, ours)
        self.programs.callback(os.close, theirs)

        def take_it() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        return self._kept(subprocess.Popen(words, stdin=theirs, start_new_session=True, preexec_fn=take_it))  # noqa: PLW1509 # one call to the kernel

    def _kept(self, process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
        self.programs.enter_context(process)
        self.programs.callback(process.kill)
        # It has no words yet when Popen returns: the kernel closes its pipe before it writes them (execve(2)).
        wait_until(psutil.Process(process.pid).cmdline, what="the program has begun", timeout_seconds=20)
        return process

    def footprint(self) -> Footprint:
        parts = [SimpleNamespace(name=name, pid=None, state="running") for name in self.components]
        api = SimpleNamespace(resources=lambda **_: tuple(self.objects), list=self._list)
        lab = SimpleNamespace(
            cluster=SimpleNamespace(api=api),
            clusters={},
            status=lambda: SimpleNamespace(components=parts, clusters=[]),
            control=SimpleNamespace(rules=list),
            faults=SimpleNamespace(active=list),
            folder=SimpleNamespace(
                root=self.folder,
                repositories=self.bare.parent,
                read_record=lambda: SimpleNamespace(supervisor=SimpleNamespace(pid=self.supervisor.pid)),
            ),
        )
        return Footprint.of(cast("Lab", lab))

    def _list(self, resource: Resource) -> Sequence[KubeObject]:
        return [KubeObject(copy.deepcopy(one)) for one in self.objects[resource]]

    def one(self, resource: Resource, number: int = 0) -> dict[str, Any]:
        return self.objects[resource][number]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path)
    with found.programs:
        yield found


def residue(world: World, change: Callable[[World], object]) -> list[str]:
    before = world.footprint()
    change(world)
    return list(world.footprint().residue(before, masks=Redactor))


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


def _held(world: World) -> None:
    """A pod with a name that nobody knew is to go, and cannot."""
    world.objects[POD] = [pod("frontend-2", deletionTimestamp=at(seconds=30), finalizers=["a.b/c"])]


def _locked(world: World) -> None:
    """What is in it has a finalizer; its own one is no metadata."""
    told = [
        {"type": "NamespaceDeletionContentFailure", "status": "False", "message": "All content was deleted"},
        {
            "type": "NamespaceFinalizersRemaining",
            "status": "True",
            "message": "Some content has finalizers remaining: a.b/c",
        },
    ]
    world.one(NAMESPACE).update(status={"phase": "Terminating", "conditions": told})
    world.one(NAMESPACE)["metadata"]["deletionTimestamp"] = at(seconds=-2)


def at(*, seconds: float) -> str:
    return f"{datetime.now(UTC) + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


def _released(world: World) -> None:
    """Somebody has changed a label of it, so that its controller makes another one."""
    del world.one(POD)["metadata"]["ownerReferences"]


def _child(world: World) -> None:
    supervisor = world.supervisor
    assert supervisor.stdin
    supervisor.stdin.write(b"sleep 60 &\n")
    supervisor.stdin.flush()

    def child() -> psutil.Process | None:
        return next((one for one in psutil.Process(supervisor.pid).children() if one.name() == "sleep"), None)

    found = wait_until(child, what="it has a child", timeout_seconds=10)
    world.programs.callback(found.kill)


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
    "a pod of nobody": (
        lambda world: world.objects[POD].append(made(POD, "forgotten", status={"phase": "Running"})),
        "Pod shop/forgotten is there, and nobody owns it",
    ),
    "a pod that its controller has let go": (_released, "Pod shop/frontend-1 is there, and nobody owns it"),
    "a ReplicaSet of nobody": (
        lambda world: world.objects[REPLICA_SET].append(made(REPLICA_SET, "forgotten", spec={"replicas": 0})),
        "ReplicaSet shop/forgotten is there, and nobody owns it",
    ),
    "a finalizer of a pod": (
        lambda world: world.one(POD)["metadata"].update(finalizers=["a.b/c"]),
        "Pod shop/frontend-1 has finalizer a.b/c",
    ),
    "a pod that a finalizer keeps from going": (_held, "Pod shop/frontend-2 is to go, and a.b/c does not let it"),
    "a namespace that cannot go": (
        _locked,
        "Namespace shop is to go, and kubernetes does not let it: Some content has finalizers remaining: a.b/c",
    ),
    "a pod that is there after its time": (
        lambda world: world.one(POD)["metadata"].update(deletionTimestamp=at(seconds=-2)),
        "Pod shop/frontend-1 is to go, and stays",
    ),
    "a copy with the labels of a Kustomization": (
        lambda world: world.objects[SECRET].append(made(SECRET, "copy-of-git", data={"t": "YQ=="}, labels=OURS)),
        "Secret shop/copy-of-git is there, and nobody owns it",
    ),
    "a copy with the labels of a HelmRelease": (
        lambda world: world.objects[CONFIG_MAP].append(made(CONFIG_MAP, "copy", labels=OF_HELM)),
        "ConfigMap shop/copy is there, and nobody owns it",
    ),
    "an object of which git has a namesake of another kind": (
        lambda world: world.objects[CONFIG_MAP].append(made(CONFIG_MAP, "frontend", labels=OURS)),
        "ConfigMap shop/frontend is there, and nobody owns it",
    ),
    "labels of an owner that is not there": (
        lambda world: world.objects[CONFIG_MAP].append(
            made(CONFIG_MAP, "of-nobody", labels={**OURS, "kustomize.toolkit.fluxcd.io/name": "gone"})
        ),
        "ConfigMap shop/of-nobody is there, and nobody owns it",
    ),
    "what git has let go without removing it": (
        lambda world: world.one(KUSTOMIZATION).update(status=inventory("shop_frontend_apps_Deployment")),
        "Secret shop/of-git is there, and nobody owns it",
    ),
    "a child of the supervisor": (_child, "runs, and did not before: sleep 60"),
    "a program that works in the lab's folder": (
        lambda world: world.program("sh", "-c", "read _", f"{world.folder}/links.json"),
        "runs, and did not before: sh -c 'read _'",
    ),
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
    assert [line for line in found if told in line]
    assert len(found) <= 2, "HEAD that leads elsewhere is lost and there"


def _by_themselves(world: World) -> None:
    world.one(CONFIG_MAP, 1).update(data={"ca.crt": "of this lab"})  # its controller acts some time after the start
    world.one(DEPLOYMENT).update(spec={"replicas": 4}, status={"replicas": 4})  # a commit says so
    world.one(SECRET, 1).update(data={"t": "Yg=="})
    world.one(LEASE).update(spec={"renewTime": "2"})
    world.one(POD)["metadata"]["name"] = "frontend-2"
    world.objects[POD].append(pod("frontend-1", deletionTimestamp=at(seconds=30)))  # it has time to end
    of_revision = made(REPLICA_SET, "frontend-b", ownerReferences=of_controller("Deployment", "frontend"))
    world.objects[REPLICA_SET].append(of_revision)
    world.objects[JOB].append(made(JOB, "nightly-1", ownerReferences=of_controller("CronJob", "nightly")))
    world.objects[DEPLOYMENT].append(made(DEPLOYMENT, "cart", labels=OF_HELM))
    world.objects[HELM_CHART].append(made(HELM_CHART, "flux-system-cart", namespace="flux-system", labels=OF_HELM))
    hook = made(JOB, "cart-migrates", labels=OF_HELM, annotations={"helm.sh/hook": "pre-upgrade"})
    world.objects[JOB].append(hook)
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


def test_a_release_that_tells_no_inventory_is_believed(world: World) -> None:
    """As of a helm-controller before 2.9."""
    del world.one(HELM_RELEASE)["status"]["inventory"]
    assert not residue(world, lambda _: world.objects[DEPLOYMENT].append(made(DEPLOYMENT, "cart-2", labels=OF_HELM)))


def test_a_program_that_is_started_anew_is_no_residue(world: World) -> None:
    words = ("sh", "-c", "read _", f"{world.folder}/links.json")
    first = world.program(*words)

    def anew(_: World) -> None:
        first.kill()
        first.wait()
        world.program(*words)

    assert residue(world, anew) == []


def test_what_somebody_runs_at_a_terminal_is_no_residue(world: World) -> None:
    """Such as an editor, `tail -f`, or `kubectl port-forward` with the lab's kubeconfig."""
    words = ("sh", "-c", "read _", f"{world.folder}/links.json")
    assert residue(world, lambda _: world.at_a_terminal(*words)) == []


def test_of_a_command_line_no_part_of_a_secret_is_told_where_it_is_cut(world: World) -> None:
    secret = "k7-canary-3f9"
    words = ["sh", "-c", "read _", f"{world.folder}/links.json"]
    words.append("x" * (LINE_LENGTH - len(shlex.join(words)) - 5))
    before = world.footprint()
    world.program(*words, secret)
    [told] = world.footprint().residue(before, masks=lambda: Redactor([secret]))
    assert secret[:4] not in told
    assert told.endswith(MASK[:3])
    assert len(told.partition("before: ")[2]) == LINE_LENGTH


def test_long_command_lines_that_begin_alike_are_not_taken_for_one_another(world: World) -> None:
    words = ("sh", "-c", "read _", f"{world.folder}/{'x' * LINE_LENGTH}")
    first = world.program(*words, "first")

    def another(_: World) -> None:
        first.kill()
        first.wait()
        world.program(*words, "second")

    assert len(residue(world, another)) == 1
