"""A lab's life: what runs is private, follows its Deployments, survives its supervisor, and ends without trace."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from tests.integration.conftest import CommandLine, Observer
from tests.integration.gitops import Person
from tests.integration.traces import (
    component,
    components,
    ended,
    leftovers,
    listeners,
    private,
    processes,
    refuses_strangers,
    supervisor,
)

from fluxlab.waiting import wait_until

pytestmark = pytest.mark.integration

Eventually = Callable[..., object]
SYSTEM = "flux-system"


@pytest.fixture
def observer(shared: CommandLine) -> Observer:
    return shared.observer("shared")


def suspend(observer: Observer, kind: str, value: str) -> None:
    patch = f'{{"spec":{{"suspend":{value}}}}}'
    observer.kubectl("-n", SYSTEM, "patch", kind, SYSTEM, "--type=merge", "-p", patch)


def clusters(fluxlab: CommandLine, lab: str) -> Path:
    return fluxlab.state / "labs" / lab / "clusters"


# -- what runs is private -------------------------------------------------------------------------------------------


def test_every_socket_listens_on_loopback_only(shared: CommandLine) -> None:
    seen = list(listeners(shared))
    programs = {program[:15] for program, _, _ in seen}
    assert {"etcd", "kube-apiserver", "kwok", "source-controll", "python"} <= {name.split("3")[0] for name in programs}
    assert {address for _, address, _ in seen} == {"127.0.0.1"}


def test_etcd_the_api_server_and_kubelets_refuse_a_client_without_a_certificate(shared: CommandLine) -> None:
    by_program = [(program, port) for program, _, port in listeners(shared) if program in {"etcd", "kube-apiserver"}]
    assert len(by_program) == 3  # etcd has a port for clients and one for peers
    ports = json.loads((shared.state / "labs/shared/ports.json").read_text())
    for port in (*(port for _, port in by_program), ports["flux-playground/kubelet"]):
        assert refuses_strangers(port), port


def test_folders_and_secrets_are_their_owners_alone(shared: CommandLine) -> None:
    lab = shared.state / "labs" / "shared"
    folders = (shared.state, shared.state / "labs", lab, lab / "clusters", lab / "pki", lab / "git")
    assert {oct(folder.stat().st_mode & 0o777) for folder in folders} == {"0o700"}
    secret = [*lab.rglob("*.key"), *lab.rglob("*kubeconfig*"), *lab.rglob("kubeconfigs/*"), *lab.rglob("*.token")]
    secret += [*lab.rglob("*.credentials"), lab / "record.json", lab / "spec.json"]
    files = [path for path in secret if path.is_file()]
    assert len(files) > 10
    assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o600"}
    own = [path for path in lab.rglob("*") if path.is_file() and not path.is_symlink()]  # bin/ links to the toolchain
    readable = [path for path in own if path.stat().st_mode & 0o077]
    assert [path for path in readable if b"PRIVATE KEY" in path.read_bytes()] == []


def test_the_audit_log_begins_before_flux_and_holds_no_content(shared: CommandLine) -> None:
    log = clusters(shared, "shared") / "flux-playground" / "audit.log"
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    first = next(number for number, entry in enumerate(entries) if SYSTEM in entry["user"]["username"])
    assert first > 0
    assert all(entry["level"] == "Metadata" for entry in entries)
    assert [entry for entry in entries if "requestObject" in entry or "responseObject" in entry] == []


def test_the_seed_holds_no_key_and_no_token(shared: CommandLine) -> None:
    cache = private(shared).environment["FLUXLAB_CACHE_DIR"]
    seeds = list((Path(cache) / "seeds").glob("*.db"))
    assert seeds
    lab = shared.state / "labs" / "shared"
    own = [path.read_bytes().strip() for path in (*lab.rglob("*.token"), *lab.rglob("ca.key"))]
    keys = [line for content in own for line in content.splitlines() if len(line) > 20 and b"-----" not in line]
    assert len(keys) > 2

    def found(content: bytes) -> list[bytes]:
        marks = (b"PRIVATE KEY", b"/registry/secrets/", b"eyJhbGciOi", *keys)
        return [mark for mark in marks if mark in content]

    # The scanner first: it finds all of them in the data of the lab that has them.
    data = b"".join(path.read_bytes() for path in (lab / "clusters/flux-playground/etcd").rglob("*") if path.is_file())
    assert b"/registry/secrets/" in found(data)
    assert len(found(b"".join((b"PRIVATE KEY /registry/secrets/ eyJhbGciOi", *keys)))) == 3 + len(keys)
    for seed in seeds:
        assert found(seed.read_bytes()) == []


# -- Flux's Deployments stand for processes -------------------------------------------------------------------------


@pytest.fixture
def hands_off(observer: Observer) -> Iterator[None]:
    """Flux does not put its own Deployments back, as it does from git whenever it reconciles."""
    suspend(observer, "kustomization", "true")
    yield
    suspend(observer, "kustomization", "false")


@pytest.mark.usefixtures("hands_off")
def test_scaling_a_controller_stops_and_starts_its_process(
    shared: CommandLine, observer: Observer, eventually: Eventually
) -> None:
    name = "notification-controller"
    before = component(shared, "shared", name)
    observer.kubectl("-n", SYSTEM, "scale", "deployment", name, "--replicas=0")
    eventually(lambda: ended(before))
    parts = json.loads(shared.ok("status", "--lab=shared", "-o", "json"))["clusters"][0]["components"]
    assert [part["state"] for part in parts if part["name"].endswith(name)] == ["stopped"]
    refusal = shared.run("restart", name, "--lab=shared")
    assert (refusal.returncode, "scaled to 0" in refusal.stderr) == (64, True)
    observer.kubectl("-n", SYSTEM, "scale", "deployment", name, "--replicas=1")
    eventually(lambda: name in components(shared, "shared"))
    assert component(shared, "shared", name).pid != before.pid


@pytest.mark.usefixtures("hands_off")
def test_a_patched_flag_and_a_restarted_rollout_reach_the_process(
    shared: CommandLine, observer: Observer, eventually: Eventually
) -> None:
    name = "kustomize-controller"
    first = component(shared, "shared", name)
    patch = [{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--concurrent=7"}]
    observer.kubectl("-n", SYSTEM, "patch", "deployment", name, "--type=json", "-p", json.dumps(patch))

    eventually(lambda: ended(first) and name in components(shared, "shared"))
    second = component(shared, "shared", name)
    assert "--concurrent=7" in second.cmdline()
    observer.kubectl("-n", SYSTEM, "rollout", "restart", f"deployment/{name}")
    eventually(lambda: ended(second) and name in components(shared, "shared"))
    assert "--concurrent=7" in component(shared, "shared", name).cmdline()


@pytest.mark.usefixtures("hands_off")
def test_a_deleted_deployment_ends_the_process_and_a_new_one_starts_it(
    shared: CommandLine, observer: Observer, eventually: Eventually
) -> None:
    name = "helm-controller"
    before = component(shared, "shared", name)
    manifest = observer.get("-n", SYSTEM, "deployment", name)
    for field in ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"):
        manifest["metadata"].pop(field, None)
    manifest.pop("status")
    file = shared.folder / "deployment.json"
    file.write_text(json.dumps(manifest))
    observer.kubectl("-n", SYSTEM, "delete", "deployment", name)
    eventually(lambda: ended(before))
    # Flux, if it happens to look just now, may have made it anew already.
    observer.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(file))
    eventually(lambda: name in components(shared, "shared"))


def test_logs_of_flux_are_real_and_those_of_other_pods_say_that_they_are_simulated(
    shared: CommandLine, observer: Observer
) -> None:
    pods = observer.get("-n", SYSTEM, "pods", "-l", "app=source-controller")["items"]
    name = pods[0]["metadata"]["name"]
    printed = observer.kubectl("-n", SYSTEM, "logs", name, "--tail=5").splitlines()
    log = clusters(shared, "shared") / "flux-playground/logs/source-controller.log"
    assert len(printed) == 5
    assert set(printed) <= set(log.read_text().splitlines())
    other = next(pod for pod in observer.get("pods", "-A")["items"] if pod["metadata"]["namespace"] != SYSTEM)
    place = ("-n", other["metadata"]["namespace"])
    assert "simulated by KWOK" in observer.kubectl(*place, "logs", other["metadata"]["name"])
    said = observer.kubectl(*place, "exec", other["metadata"]["name"], "--", "true", check=False)
    assert "simulated by KWOK" in said


def test_one_component_can_be_restarted(shared: CommandLine) -> None:
    before = component(shared, "shared", "kube-scheduler")
    shared.ok("restart", "kube-scheduler", "--lab=shared")
    assert component(shared, "shared", "kube-scheduler").pid != before.pid
    shared.ok("status", "--lab=shared")


# -- several at once, and the end -----------------------------------------------------------------------------------


def told_of(fluxlab: CommandLine, part: str) -> tuple[int, str]:
    """The exit code of `status`, and the state of a component in it."""
    done = fluxlab.run("status", "--lab=paused", "-o", "json")
    parts = json.loads(done.stdout)["clusters"][0]["components"]
    return done.returncode, next(one["state"] for one in parts if one["name"] == f"flux-playground/{part}")


@pytest.mark.verify
def test_what_stands_still_is_told_and_started_again_unless_a_fault_wants_it_so(fluxlab: CommandLine) -> None:
    fluxlab.ok("up", "--name=paused")
    for part in ("helm-controller", "etcd"):
        component(fluxlab, "paused", part).suspend()
        assert told_of(fluxlab, part) == (1, "paused")
    shown = fluxlab.run("status", "--lab=paused").stdout
    assert "lab paused: broken" in shown
    assert "flux-playground/etcd is paused" in shown
    fluxlab.ok("up", "--name=paused")
    assert told_of(fluxlab, "etcd") == told_of(fluxlab, "helm-controller") == (0, "running")

    words = ("inject", "controller-pause", "--target=helm-controller", "--lab=paused", "-o", "json")
    fault = json.loads(fluxlab.ok(*words))["id"]
    shown = fluxlab.run("status", "--lab=paused").stdout
    assert "flux-playground/helm-controller is paused" in shown
    assert f"fluxlab heal {fault} --lab paused starts it again" in shown
    assert fluxlab.run("up", "--name=paused").returncode == 1
    assert told_of(fluxlab, "helm-controller") == (1, "paused")
    fluxlab.ok("heal", fault, "--lab=paused")
    assert told_of(fluxlab, "helm-controller") == (0, "running")


@pytest.mark.verify
def test_what_go_programs_are_told_about_memory_and_cores_reaches_all_of_them(fluxlab: CommandLine) -> None:
    frugal = {"GOGC": "123", "GOMAXPROCS": "1", "GOMEMLIMIT": "900MiB"}
    fluxlab.having(**frugal).ok("up", "--name=frugal")
    running = [psutil.Process(pid) for pid in processes(fluxlab)]
    told = {one.name(): {name: one.environ().get(name) for name in frugal} for one in running}
    programs = {name: environment for name, environment in told.items() if not name.startswith("python")}
    assert {"etcd", "kube-apiserver", "helm-controller"} <= programs.keys()
    assert [name for name, environment in programs.items() if environment != frugal] == []


@pytest.mark.verify
def test_labs_started_at_once_do_not_disturb_each_other(fluxlab: CommandLine) -> None:
    alone = private(fluxlab)
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda name: alone.run("up", f"--name={name}"), ("one", "one", "two")))
    assert [(each.returncode, each.stderr) for each in done if each.returncode] == []
    assert supervisor(alone, "one").pid != supervisor(alone, "two").pid
    assert sorted(lab["name"] for lab in json.loads(alone.ok("ls", "-o", "json"))) == ["one", "two"]
    ports = [port for _, _, port in listeners(alone)]
    assert len(ports) == len(set(ports)) > 30
    keys = {path.read_bytes() for path in alone.state.rglob("ca.key")}
    assert len(keys) == 4  # a cluster's and a gateway's for each lab, although both began from the same seed

    for name in ("one", "two"):
        alone.observer(name).kubectl("create", "configmap", "mine", f"--from-literal=lab={name}")
    for name in ("one", "two"):
        assert alone.observer(name).get("configmap", "mine")["data"] == {"lab": name}
    ambiguous = alone.run("status")
    assert (ambiguous.returncode, "one, two" in ambiguous.stderr) == (64, True)

    (alone.folder / "other.yaml").write_text("name: one\nclusters:\n- name: other\n")
    refused = alone.run("up", "other.yaml")
    assert refused.returncode == 64
    assert "with another spec" in refused.stderr
    assert "fluxlab down one" in refused.stderr
    alone.ok("status", "--lab=one")

    began = time.monotonic()
    alone.ok("down", "one")
    assert time.monotonic() - began < 20
    assert alone.run("down", "one").returncode == 64
    assert alone.observer("two").get("configmap", "mine")["data"] == {"lab": "two"}
    alone.ok("down", "--all")
    assert leftovers(alone) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.verify)])
def test_a_lab_without_its_supervisor_is_resumed_with_its_data(
    fluxlab: CommandLine, eventually: Eventually, number: signal.Signals
) -> None:
    alone = private(fluxlab)
    (alone.folder / "lab.yaml").write_text("name: phoenix\nclusters:\n- nodes: 2\n")
    alone.ok("up", "lab.yaml")
    person = Person.of(alone, "phoenix")
    person.observer.kubectl("create", "configmap", "precious", "--from-literal=value=kept")
    commit = person.push("pushed", "before")
    eventually(lambda: person.sees("pushed", "before"))
    kubeconfig = person.observer.kubeconfig.read_text()
    suspend(person.observer, "gitrepository", "true")  # what its owner stopped must not keep a lab from starting

    owner = supervisor(alone, "phoenix")
    owner.send_signal(number)
    eventually(lambda: processes(alone) == {}, within=30)
    told = alone.run("status")
    assert told.returncode == 1
    assert "dead" in told.stdout
    assert "fluxlab up --name phoenix" in told.stdout

    alone.ok("up", "--name=phoenix")  # as `status` says, without the file
    assert person.observer.get("configmap", "precious")["data"] == {"value": "kept"}
    assert len(person.observer.get("nodes")["items"]) == 2
    assert commit[:10] in alone.ok("status")
    assert person.observer.kubeconfig.read_text() == kubeconfig
    suspend(person.observer, "gitrepository", "false")
    person.push("pushed", "after")
    eventually(lambda: person.sees("pushed", "after"))
    person.deploys("resumed")
    assert person.observer.kubectl("-n", SYSTEM, "logs", "deployment/source-controller", "--tail=1")

    supervisor(alone, "phoenix").kill()
    alone.ok("down", "phoenix")
    assert leftovers(alone) == []


BUSY_SECONDS = 7
BUSY = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {{name: busy}}
webhooks:
- name: busy.example.org
  clientConfig: {{url: "https://127.0.0.1:{port}/"}}
  rules:
  - {{apiGroups: [rbac.authorization.k8s.io], apiVersions: [v1], operations: [CREATE], resources: [clusterroles]}}
  failurePolicy: Ignore
  timeoutSeconds: {seconds}
  admissionReviewVersions: [v1]
  sideEffects: None
"""


@contextmanager
def held_up(alone: CommandLine, lab: str) -> Iterator[None]:
    """A lab whose supervisor was killed, and whose API server will not be healthy for a while when it starts again."""
    observer = alone.observer(lab)
    with socket.create_server(("127.0.0.1", 0)) as mute:  # takes connections and says nothing
        manifest = BUSY.format(port=mute.getsockname()[1], seconds=BUSY_SECONDS)
        observer.kubectl("apply", "-f", "-", stdin=manifest)
        observer.kubectl("delete", "clusterrole", "view", "edit")  # which the API server makes again when it starts
        suspend(observer, "gitrepository", "true")  # so that no fetch is waited for meanwhile
        supervisor(alone, lab).kill()
        wait_until(lambda: processes(alone) == {}, what="all of it ends", timeout_seconds=30)
        yield


def test_a_lab_whose_api_server_takes_long_to_be_healthy_starts_whole(fluxlab: CommandLine) -> None:
    alone = private(fluxlab)
    alone.ok("up", "--name=busy")
    observer = alone.observer("busy")
    with held_up(alone, "busy"):
        began = time.monotonic()
        alone.ok("up", "--name=busy")
        observer.kubectl("create", "deployment", "made", "--image=registry.example/none")
        observer.kubectl("rollout", "status", "deployment/made", "--timeout=55s")
        assert observer.get("clusterrole", "view")
        assert time.monotonic() - began > 2 * BUSY_SECONDS, "it was not held up: this proves nothing"


@pytest.mark.verify
def test_what_dies_while_a_start_waits_for_the_api_server_is_told_at_once(fluxlab: CommandLine) -> None:
    alone = private(fluxlab)
    alone.ok("up", "--name=busy")
    with held_up(alone, "busy"):
        starting = alone.start("up", "--name=busy")
        assert starting.stderr is not None
        read = next(line for line in starting.stderr if "Flux bootstrapped" in line)
        component(alone, "busy", "helm-controller").kill()
        began = time.monotonic()
        _, told = starting.communicate(timeout=50)
    assert starting.returncode == 1
    assert "helm-controller" in read + told
    assert "killed by SIGKILL" in told
    assert time.monotonic() - began < 2 * BUSY_SECONDS, "it waited for what could not come"


STARTS = """
import signal, psutil
from fluxlab.lab import Lab
from fluxlab.spec import LabSpec
lab = Lab.up(LabSpec(name="held"), lifeline=True)
"""
REPAIRS = """
psutil.Process(lab.status().supervisor_pid).kill()
lab = Lab.up(lab.spec, lifeline=True)
"""
HOLDS = """
print(lab.status().phase, flush=True)
signal.pause()
"""


@pytest.mark.parametrize(
    "program",
    [pytest.param(STARTS + HOLDS, marks=pytest.mark.verify), STARTS + REPAIRS + HOLDS],
    ids=["started", "repaired"],
)
def test_a_lab_on_a_lifeline_ends_with_the_process_that_started_it(
    fluxlab: CommandLine, eventually: Eventually, program: str
) -> None:
    alone = private(fluxlab)
    with subprocess.Popen(
        [sys.executable, "-c", program], env=alone.environment, cwd=alone.folder, stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "ready\n"
        assert supervisor(alone, "held").is_running()
        starter.kill()
    eventually(lambda: leftovers(alone) == [], within=30)
    assert json.loads(alone.ok("ls", "-o", "json")) == []
