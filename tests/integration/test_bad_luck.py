"""Whatever dies, is killed, is full or is taken: a lab says so, is repaired, and leaves nothing behind."""

import contextlib
import json
import os
import resource
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.integration.conftest import CommandLine, command_lines
from tests.integration.gitops import Person, git
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

from fluxlab.documents import JsonObject
from fluxlab.lab import Lab
from fluxlab.state import LabFolder
from fluxlab.waiting import wait_until

pytestmark = pytest.mark.integration

Eventually = Callable[..., object]
LAB = "unlucky"
STEPS = (
    "processes launched",
    "git and charts are served",
    "applying shop",
    "API serves",
    "Flux bootstrapped",
    "controllers started",
    "Flux acts",
)
LATER = " waiting, "
"""What `up` prints while it waits for a scenario: also then Ctrl-C ends the lab that it started."""
COMPONENTS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kwok",
    "source-controller",
    "kustomize-controller",
    "helm-controller",
    "notification-controller",
)


@pytest.fixture
def alone(fluxlab: CommandLine) -> CommandLine:
    return private(fluxlab)


@pytest.fixture(scope="module")
def unlucky(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    """One lab for all tests that break a running one and have it repaired."""
    for command_line in command_lines(tmp_path_factory.mktemp("unlucky")):
        command_line.ok("up", f"--name={LAB}")
        yield Person.of(command_line, LAB)


def reaches(process: subprocess.Popen[str], step: str) -> str:
    """Read what `up` prints until it comes to a step; returns what was read."""
    read = ""
    assert process.stderr is not None
    for line in process.stderr:
        read += line
        if step in line:
            return read
    pytest.fail(f"never came to {step!r}:\n{read}")


# -- a part of a running lab dies -----------------------------------------------------------------------------------


def breaks_and_is_repaired(person: Person, eventually: Eventually, *names: str) -> None:
    fluxlab = person.fluxlab
    for name in names:
        component(fluxlab, LAB, name).kill()
    done = eventually(lambda: done if (done := fluxlab.run("status")).returncode else None, within=2)
    assert isinstance(done, subprocess.CompletedProcess)
    assert done.returncode == 1
    for name in names:
        assert f"flux-playground/{name} is dead" in done.stdout
    assert "killed by SIGKILL" in done.stdout
    assert f"fluxlab up --name {LAB}" in done.stdout

    repaired = fluxlab.run("up", f"--name={LAB}")
    assert repaired.returncode == 0, repaired.stderr
    for name in names:
        assert f"started again: flux-playground/{name}" in repaired.stderr
    fluxlab.ok("status")
    person.deploys("probe")
    value = f"after {' '.join(names)}"
    commit = person.push("probe", value)
    fluxlab.ok("wait", commit, "--timeout=90")
    assert person.sees("probe", value)


@pytest.mark.parametrize("server", ["kube-apiserver", pytest.param("etcd", marks=pytest.mark.verify)])
def test_who_is_restarted_right_after_what_it_needs_goes_on(
    unlucky: Person, eventually: Eventually, server: str
) -> None:
    fluxlab = unlucky.fluxlab
    before = component(fluxlab, LAB, server)
    fluxlab.ok("restart", server)
    fluxlab.ok("restart", "kustomize-controller")
    assert component(fluxlab, LAB, server).pid != before.pid
    started = component(fluxlab, LAB, "kustomize-controller")
    unlucky.push("restarted", server)
    eventually(lambda: unlucky.sees("restarted", server))
    unlucky.deploys("restarted")
    assert component(fluxlab, LAB, "kustomize-controller").pid == started.pid


@pytest.mark.verify
def test_what_a_repair_did_not_come_to_the_next_one_does(unlucky: Person, eventually: Eventually) -> None:
    fluxlab = unlucky.fluxlab
    before = component(fluxlab, LAB, "kube-apiserver")
    before.kill()
    eventually(lambda: ended(before))
    repairing = fluxlab.start("up", f"--name={LAB}")
    eventually(lambda: "kube-apiserver" in components(fluxlab, LAB))
    component(fluxlab, LAB, "kube-apiserver").suspend()
    repairing.communicate(timeout=120)  # a minute passes
    assert repairing.returncode == 1
    fluxlab.ok("up", f"--name={LAB}")
    fluxlab.ok("status")
    unlucky.deploys("repaired")


def test_what_was_killed_is_named_and_started_again(unlucky: Person, eventually: Eventually) -> None:
    breaks_and_is_repaired(unlucky, eventually, "kube-apiserver", "kwok", "source-controller")


def test_when_the_database_dies_what_it_acknowledged_survives_and_pods_that_were_about_to_run_do(
    unlucky: Person, eventually: Eventually
) -> None:
    fluxlab, observer = unlucky.fluxlab, unlucky.observer
    names = {f"written-{number}" for number in range(20)}
    written = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}} for name in names]
    kwok = component(fluxlab, LAB, "kwok")
    kwok.suspend()
    observer.kubectl("create", "deployment", "caught", "--image=registry.example/none")
    eventually(lambda: observer.get("pods", "-l=app=caught")["items"], what="its pod is made")
    observer.kubectl("create", "-f", "-", stdin="\n".join(map(json.dumps, written)))
    component(fluxlab, LAB, "etcd").kill()
    kwok.resume()  # it tries once, and does not try again what the API server could not write
    fluxlab.ok("up", f"--name={LAB}")
    assert names <= {item["metadata"]["name"] for item in observer.get("configmaps")["items"]}
    observer.kubectl("rollout", "status", "deployment/caught", "--timeout=55s")
    observer.kubectl("delete", "deployment", "caught")


@pytest.mark.verify
@pytest.mark.parametrize("name", COMPONENTS)
def test_each_component_that_was_killed_is_named_and_started_again(
    unlucky: Person, eventually: Eventually, name: str
) -> None:
    breaks_and_is_repaired(unlucky, eventually, name)


@pytest.mark.verify
def test_all_components_at_once_are_started_again(unlucky: Person, eventually: Eventually) -> None:
    breaks_and_is_repaired(unlucky, eventually, *COMPONENTS)


def test_a_supervisor_that_was_paused_goes_on_with_the_lab(unlucky: Person, eventually: Eventually) -> None:
    fluxlab = unlucky.fluxlab
    paused = supervisor(fluxlab, LAB)
    before = components(fluxlab, LAB)
    paused.suspend()
    with fluxlab.start("up", f"--name={LAB}") as process:
        try:
            reaches(process, "its supervisor does not answer: waiting")
        finally:
            paused.resume()
        _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "starting" not in said
    assert supervisor(fluxlab, LAB) == paused  # psutil: of the same pid, and started at the same time
    assert components(fluxlab, LAB) == before
    unlucky.push("probe", "after a pause")
    eventually(lambda: unlucky.sees("probe", "after a pause"))


@pytest.mark.verify
def test_a_supervisor_that_hangs_is_told_and_replaced(unlucky: Person, eventually: Eventually) -> None:
    fluxlab = unlucky.fluxlab
    hung = supervisor(fluxlab, LAB)
    hung.suspend()
    told = fluxlab.run("status")
    assert told.returncode == 1
    assert "does not answer" in told.stdout
    done = fluxlab.run("up", f"--name={LAB}")
    assert done.returncode == 0, done.stderr
    assert "waiting 60 s" in done.stderr
    assert "starting another one" in done.stderr
    assert ended(hung)
    unlucky.push("probe", "after a hung supervisor")
    eventually(lambda: unlucky.sees("probe", "after a hung supervisor"))


# -- the record, the folder, the trash ------------------------------------------------------------------------------


@pytest.mark.verify
def test_a_lab_with_rubbish_for_a_record_is_still_found(unlucky: Person) -> None:
    fluxlab = unlucky.fluxlab
    for rubbish in (b"\0" * 300, b"[]", b'{"phase": "ready"}', b""):
        (fluxlab.state / "labs" / LAB / "record.json").write_bytes(rubbish)
        assert "Traceback" not in fluxlab.run("status").stderr
    fluxlab.ok("up", f"--name={LAB}")
    fluxlab.ok("status")
    running = [name for name in components(fluxlab, LAB) if not name.startswith("python")]  # without the recorder
    assert len(running) == 9  # and there is one supervisor, as the function asserts


@pytest.mark.verify
def test_rubbish_for_a_record_does_not_hide_what_runs_from_down(alone: CommandLine) -> None:
    cache = alone.folder / "cache"
    cache.write_text("no folder: no seed can be kept, and none is needed")
    toolchain = Path(alone.environment["FLUXLAB_CACHE_DIR"]) / "toolchain"
    alone.having(FLUXLAB_TOOLCHAIN=str(toolchain), FLUXLAB_CACHE_DIR=str(cache)).ok("up", f"--name={LAB}")
    (alone.state / "labs" / LAB / "record.json").write_text("{")
    (alone.state / "labs" / LAB / "spec.json").write_text("{")
    alone.ok("down", LAB)
    assert leftovers(alone) == []


@pytest.mark.verify
def test_a_lab_whose_folder_was_removed_by_hand_ends(alone: CommandLine, eventually: Eventually) -> None:
    alone.ok("up", f"--name={LAB}")
    trash = alone.state / "trash"
    trash.mkdir(exist_ok=True)
    for number in range(200):  # what removals left that were interrupted
        (trash / f"old.{number}" / "etcd").mkdir(parents=True)
        (trash / f"old.{number}" / "etcd" / "wal").write_bytes(b"x" * 1000)
    shutil.rmtree(alone.state / "labs" / LAB, ignore_errors=True)
    shutil.rmtree(alone.state / "labs" / LAB, ignore_errors=True)  # what its processes wrote meanwhile
    eventually(lambda: processes(alone) == {}, within=30)
    alone.ok("up", f"--name={LAB}")
    alone.ok("down", LAB)
    assert leftovers(alone) == []


# -- the start is broken off ----------------------------------------------------------------------------------------


def begins(fluxlab: CommandLine) -> subprocess.Popen[str]:
    (fluxlab.folder / "lab.yaml").write_text(f"name: {LAB}\nscenarios: [shop]\n")
    return fluxlab.start("up", "lab.yaml")


def broken_off(fluxlab: CommandLine, eventually: Eventually, step: str, number: signal.Signals) -> None:
    with begins(fluxlab) as process:
        reaches(process, step)
        process.send_signal(number)
        code = process.wait(60)
        if number is signal.SIGKILL:
            eventually(lambda: leftovers(fluxlab) == [], within=60)
            return
        assert code == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    assert leftovers(fluxlab) == []


@pytest.mark.parametrize(("step", "number"), [(LATER, signal.SIGINT), ("git and charts are served", signal.SIGKILL)])
def test_a_start_that_is_broken_off_leaves_nothing(
    alone: CommandLine, eventually: Eventually, step: str, number: signal.Signals
) -> None:
    broken_off(alone, eventually, step, number)


def test_the_next_start_after_one_that_was_killed_has_the_scenario_that_was_asked_for(alone: CommandLine) -> None:
    with begins(alone) as process:
        reaches(process, "git and charts are served")
        process.kill()
        process.wait(60)
    alone.ok("up", "lab.yaml")  # at once: the first supervisor still has to notice
    assert "cart" in alone.ok("kubectl", "get", "helmreleases", "--all-namespaces")
    assert not (alone.state / "labs" / LAB / "filling").exists()
    alone.ok("down", LAB)
    assert leftovers(alone) == []


@pytest.mark.verify
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("step", STEPS[:-1])
def test_a_start_that_is_broken_off_at_any_step_leaves_nothing(
    alone: CommandLine, eventually: Eventually, step: str, number: signal.Signals
) -> None:
    broken_off(alone, eventually, step, number)


@pytest.mark.verify
@pytest.mark.parametrize("tenths", range(0, 40, 2))
def test_a_start_that_is_broken_off_at_any_moment_leaves_nothing(alone: CommandLine, tenths: int) -> None:
    with begins(alone) as process:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(tenths / 10)  # the moment itself is what is tried here
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)  # impatience
        process.wait(60)
    assert leftovers(alone) == []


@pytest.mark.verify
@pytest.mark.parametrize("step", STEPS[:-1])
@pytest.mark.parametrize("victim", ["supervisor", "etcd", "kube-apiserver"])
def test_a_death_at_any_step_ends_the_start_with_an_error_and_leaves_nothing(
    alone: CommandLine, step: str, victim: str
) -> None:
    dies_while_starting(alone, step, victim)


def dies_while_starting(fluxlab: CommandLine, step: str, victim: str) -> None:
    with begins(fluxlab) as process:
        reaches(process, step)
        owner = supervisor(fluxlab, LAB)
        (owner if victim == "supervisor" else component(fluxlab, LAB, victim)).kill()
        assert process.stderr is not None
        said = process.stderr.read()
        code = process.wait(120)
    if "is dead" in said or "ready" in (process.stdout.read() if process.stdout and not process.stdout.closed else ""):
        assert code == 1
        return  # it was ready before the death could be noticed
    assert code == 1
    assert "error:" in said
    assert ("its supervisor ended" if victim == "supervisor" else f"{victim} died: killed by SIGKILL") in said, said
    assert "Traceback" not in said
    assert leftovers(fluxlab) == []


def test_a_death_ends_the_start_with_an_error_and_leaves_nothing(alone: CommandLine) -> None:
    dies_while_starting(alone, "API serves", "etcd")


def test_a_lab_that_starts_can_be_ended_at_once(alone: CommandLine) -> None:
    with begins(alone) as process:
        reaches(process, "processes launched")
        alone.ok("down", LAB)
        assert process.stderr is not None
        assert "was ended while it started" in process.stderr.read()
        assert process.wait(60) == 1
    assert leftovers(alone) == []


@pytest.mark.verify
def test_a_lab_that_waits_for_its_api_server_ends_when_it_is_told(alone: CommandLine, eventually: Eventually) -> None:
    alone.ok("up", f"--name={LAB}")
    before = component(alone, LAB, "kube-apiserver")
    with alone.start("restart", "kube-apiserver") as restarting:
        eventually(lambda: components(alone, LAB).get("kube-apiserver", before).pid != before.pid)
        component(alone, LAB, "kube-apiserver").suspend()
        alone.ok("down", LAB)
        _, said = restarting.communicate(timeout=60)
    assert f"lab {LAB} is told to end" in said
    assert leftovers(alone) == []


def test_a_lab_that_starts_says_so_to_status(alone: CommandLine) -> None:
    with begins(alone) as process:
        reaches(process, "processes launched")
        done = alone.run("status")
        assert (done.returncode, "starting" in done.stdout or "ready" in done.stdout) in {(1, True), (0, True)}
        assert "Traceback" not in done.stderr
        process.send_signal(signal.SIGINT)
        process.wait(60)


# -- ports and disk -------------------------------------------------------------------------------------------------


def test_a_port_that_is_taken_before_its_program_binds_it_is_named(alone: CommandLine) -> None:
    ports = alone.state / "labs" / LAB / "ports.json"

    def reserved() -> int:
        try:
            return int(json.loads(ports.read_text()).get("flux-playground/api", 0))
        except (OSError, ValueError):
            return 0

    with alone.start("up", f"--name={LAB}") as process:
        port = wait_until(reserved, what="the port is reserved", timeout_seconds=60, interval_seconds=0.001)
        with socket.socket() as thief:
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            thief.bind(("127.0.0.1", port))
            thief.listen()
            assert process.stderr is not None
            said = process.stderr.read()
            assert process.wait(60) == 1
    assert "kube-apiserver died" in said
    assert f"127.0.0.1:{port}" in said
    assert "address already in use" in said
    assert "next: fluxlab up" in said
    assert leftovers(alone) == []


def kept(value: str) -> JsonObject:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "kept", "namespace": "default"},
        "data": {"value": value},
    }


@pytest.mark.verify
def test_ports_that_are_taken_are_passed_over(alone: CommandLine, eventually: Eventually) -> None:
    alone.ok("up", f"--name={LAB}")
    handle = Lab(LabFolder(alone.state / "labs" / LAB))
    handle.repository.write("clusters/flux-playground/kept.yaml", kept("before"))
    handle.repository.commit("Before")
    before = {port for _, _, port in listeners(alone)}
    with contextlib.ExitStack() as thieves:
        supervisor(alone, LAB).kill()
        eventually(lambda: processes(alone) == {})
        for port in before:
            thieves.enter_context(foreign_server(port))
        alone.ok("up", f"--name={LAB}")
        ours = {port for _, _, port in listeners(alone)}
        assert len(ours) == len(before)
        assert not ours & before
        person = Person.of(alone, LAB)  # everything knows its new port, the nodes too
        person.push("probe", "elsewhere")
        eventually(lambda: person.sees("probe", "elsewhere"))
        assert person.observer.kubectl("-n", "flux-system", "logs", "deployment/source-controller", "--tail=1")
        handle.repository.write("clusters/flux-playground/kept.yaml", kept("elsewhere"))
        handle.repository.commit("After")  # a handle from before finds its way, too
        eventually(lambda: person.sees("kept", "elsewhere"))
        assert handle.cluster.get("ConfigMap", "default/kept").raw["data"] == {"value": "elsewhere"}
        handle.close()


def _binds(server: socketserver.TCPServer) -> bool:
    try:
        server.server_bind()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def foreign_server(port: int) -> Iterator[None]:
    """Somebody else's server, on all interfaces as careless programs do: it speaks with nobody."""
    with socketserver.ThreadingTCPServer(("0.0.0.0", port), socketserver.BaseRequestHandler, False) as server:  # noqa: S104
        server.allow_reuse_address = True
        wait_until(partial(_binds, server), what=f"the kernel lets go of port {port}", timeout_seconds=30)
        server.server_activate()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


@pytest.mark.parametrize("megabytes", [1, 20])
def test_a_full_disk_is_told_and_nothing_is_left(alone: CommandLine, megabytes: int) -> None:
    mount = alone.folder / "small"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(mount)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here: not root, or not allowed to")
    try:
        small = alone.having(FLUXLAB_STATE_DIR=str(mount / "state"))
        done = small.run("up", f"--name={LAB}")
        assert done.returncode == 1, done.stdout
        assert "is full" in done.stderr or "no space left" in done.stderr.lower()
        assert str(mount) in done.stderr
        assert "FLUXLAB_STATE_DIR" in done.stderr
        assert "Traceback" not in done.stderr
        assert leftovers(small) == []
    finally:
        subprocess.run(["umount", "--lazy", str(mount)], check=True)


def test_a_limit_on_the_size_of_files_is_told_and_nothing_is_left(alone: CommandLine) -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    with alone.start("up", f"--name={LAB}", preexec_fn=limited) as process:
        assert process.stderr is not None
        said = process.stderr.read()
        assert process.wait(120) == 1
    assert "flux-playground/etcd died" in said
    assert leftovers(alone) == []


# -- a strange environment ------------------------------------------------------------------------------------------


@pytest.mark.verify
def test_a_lab_lives_in_a_strange_environment(fluxlab: CommandLine, eventually: Eventually) -> None:
    """A long path with spaces and quotes, no home, no TMPDIR, dead proxies, another repository, umask 0, no stdin."""
    folder = fluxlab.folder / "a 'quoted\" path" / ("x" * 100)
    folder.mkdir(parents=True)
    elsewhere = fluxlab.folder / "elsewhere"
    git("init", "--quiet", elsewhere, cwd=fluxlab.folder)
    (fluxlab.folder / "cache").symlink_to(private(fluxlab).environment["FLUXLAB_CACHE_DIR"])
    proxy = "http://127.0.0.1:9"
    strange = private(fluxlab).having(
        FLUXLAB_STATE_DIR=os.path.relpath(folder / "state", fluxlab.folder),
        FLUXLAB_CACHE_DIR="cache",
        HOME=None,
        TMPDIR=None,
        **{name: proxy for kind in ("HTTP", "HTTPS", "ALL") for name in (f"{kind}_PROXY", f"{kind}_proxy".lower())},
        NO_PROXY=None,
        GIT_DIR=str(elsewhere / ".git"),
        GIT_INDEX_FILE=str(elsewhere / ".git" / "index"),
        PYTHONWARNINGS="error::ResourceWarning",
    )

    def closed(*words: str) -> str:
        command = ["sh", "-c", 'umask 0; exec "$@" <&-', "sh", sys.executable, "-m", "fluxlab", *words]
        done = subprocess.run(
            command,
            env=strange.environment,
            cwd=fluxlab.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    place = strange.having(FLUXLAB_STATE_DIR=str(folder / "state"))
    try:
        closed("up", "--name=strange")
        closed("clone", "clone")
        assert closed("kubectl", "get", "nodes", "-o", "name").strip() == "node/flux-playground-node-0"
        person = Person(place, "strange", fluxlab.folder / "clone")
        before = dict(os.environ)
        os.environ.update({"HTTP_PROXY": proxy, "HTTPS_PROXY": proxy, "http_proxy": proxy})
        try:
            person.push("probe", "strange")
        finally:
            os.environ.clear()
            os.environ.update(before)
        eventually(lambda: person.sees("probe", "strange"))
        closed("wait")
        lab = folder / "state" / "labs" / "strange"
        outer = [*lab.parent.iterdir(), *lab.iterdir()]
        assert [path for path in (folder / "state", *outer) if path.stat().st_mode & 0o077] == []
        assert git("-C", elsewhere, "rev-list", "--all", cwd=elsewhere) == ""
        assert {address for _, address, _ in listeners(place)} == {"127.0.0.1"}
        assert refuses_strangers(json.loads((lab / "ports.json").read_text())["flux-playground/api"])
    finally:
        place.having(GIT_DIR=None).ok("down", "--all")
    assert leftovers(place) == []


@pytest.mark.verify
def test_a_damaged_seed_is_replaced(alone: CommandLine) -> None:
    cache = Path(alone.environment["FLUXLAB_CACHE_DIR"])
    own = alone.folder / "cache"
    own.mkdir()
    here = alone.having(FLUXLAB_TOOLCHAIN=str(cache / "toolchain"), FLUXLAB_CACHE_DIR=str(own))
    here.ok("up", f"--name={LAB}")
    here.ok("down")
    seed = next((own / "seeds").glob("*.db"))
    content = bytearray(seed.read_bytes())
    content[len(content) // 2] ^= 0xFF
    seed.write_bytes(content)
    (own / "seeds" / "left.999999999").write_text("by one that was killed")
    here.ok("up", f"--name={LAB}")
    names = [path.name for path in (own / "seeds").iterdir()]
    assert names == [seed.name]
    assert seed.read_bytes() != bytes(content)
    assert oct(seed.stat().st_mode & 0o777) == "0o600"
    here.ok("down")
    assert leftovers(here) == []
