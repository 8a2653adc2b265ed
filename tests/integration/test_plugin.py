"""The pytest plugin as its users run it: pytest in a child process, with real labs."""

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.integration.conftest import CommandLine
from tests.integration.suites import CACHE, Result, Suite
from tests.integration.traces import leftovers, processes

pytestmark = pytest.mark.integration

Eventually = Callable[..., object]


@pytest.fixture
def suite(fluxlab: CommandLine) -> Suite:
    folder = fluxlab.folder / "suite"
    folder.mkdir()
    return Suite(folder=folder, fluxlab=fluxlab)


PROBE = """
    import json, os, signal, subprocess, sys, pathlib
    import pytest
    from fluxlab.errors import FluxlabError

    PATH = "clusters/flux-playground/probe.yaml"

    def probe(value):
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe", "namespace": "default"},
                "data": {"value": value}}

    def pid(lab, component):
        status = json.loads(subprocess.run(
            [sys.executable, "-m", "fluxlab", "status", "--lab", lab.name, "-o", "json"],
            capture_output=True, text=True).stdout)
        return next(part["pid"] for part in status["clusters"][0]["components"] if part["name"].endswith(component))
"""


OWN = (
    PROBE
    + """
    def touched(lab):
        assert "probe" not in lab.cluster.kubectl("get", "configmaps", "-A")
        lab.repository.write(PATH, probe("x"))
        lab.converge(lab.repository.commit("Touch it (#42)"))
        assert "probe" in lab.cluster.kubectl("get", "configmaps", "-n", "default")
        key = "jsonpath={.clusters[0].cluster.certificate-authority-data}"
        authority = lab.cluster.kubectl("config", "view", "--raw", "--flatten", "-o", key)
        assert len(authority) > 100
        with open("seen.jsonl", "a") as file:
            print(json.dumps([lab.name, authority]), file=file)

    def test_one(lab): touched(lab)
    def test_no_lab(): pass

    @pytest.mark.fluxlab(nodes=3)
    def test_nodes(lab):
        assert len(lab.cluster.kubectl("get", "nodes", "-o", "name").split()) == 3
        touched(lab)

    class TestOverriding:
        @pytest.fixture
        def fluxlab_spec(self):
            from fluxlab.spec import LabSpec
            return LabSpec.model_validate({"clusters": [{"name": "mine", "nodes": 2}]})

        def test_the_spec(self, lab):
            assert lab.cluster.name == "mine"
            assert len(lab.cluster.kubectl("get", "nodes", "-o", "name").split()) == 2

    def test_shared(module_lab): touched(module_lab)

    def test_shared_with_what_is_left(module_lab, request):
        assert "probe" in module_lab.cluster.kubectl("get", "configmaps", "-n", "default")
        assert module_lab.cluster.config_map("default/probe").name == "probe"

    @pytest.mark.fluxlab(node=3)
    def test_wrong_marker(lab): pass
"""
)
MORE_OF_THEM = """
    def test_two(lab): touched(lab)

    class TestTheMarker(TestOverriding):
        @pytest.mark.fluxlab(file="two.yaml")
        def test_the_spec(self, lab):
            assert set(lab.clusters) == {"one", "two"}
            with pytest.raises(FluxlabError, match="several clusters(.|\\n)*one, two"):
                lab.cluster
"""


@pytest.mark.parametrize(
    ("more", "touched"),
    [("", 3), pytest.param(MORE_OF_THEM, 4, marks=pytest.mark.verify)],
    ids=["some", "and two clusters"],
)
def test_every_test_has_a_cluster_of_its_own_that_nobody_touched(suite: Suite, more: str, touched: int) -> None:
    suite.write("clusters: [{name: one}, {name: two}]", name="two.yaml")
    suite.write(OWN + more)
    result = suite.run("--junitxml=junit.xml")
    assert result.outcomes() == {"passed": 8 if more else 6, "error": 1}
    assert "test_suite.py::test_wrong_marker: @pytest.mark.fluxlab: unknown argument 'node'" in result.text
    seen = [json.loads(line) for line in (suite.folder / "seen.jsonl").read_text().splitlines()]
    assert len(seen) == touched
    assert len({name for name, _ in seen}) == touched
    assert len({authority for _, authority in seen}) == touched
    assert leftovers(suite.fluxlab) == []


def test_a_failure_brings_its_evidence_without_secrets(suite: Suite) -> None:
    canary = "c4nary-of-the-failing-test"
    encoded = base64.b64encode(canary.encode()).decode()
    suite.write(
        PROBE
        + f'''
    def test_fails(lab):
        lab.cluster.set_secret("default/token", "TOKEN", "{canary}")
        lab.repository.write(PATH, "kind: [")
        try:
            lab.converge(lab.repository.commit("Break it (#7): {canary} or {encoded}"))
        except FluxlabError:
            words = [sys.executable, "-m", "fluxlab", "timeline", "--lab", lab.name, "--source=event"]
            lab.wait_until(lambda: b"BuildFailed" in subprocess.check_output(words), what="Flux's Event is recorded")
            raise

    def test_never(lab): raise AssertionError
    '''
    )
    result = suite.run("-x", "--fluxlab-artifacts=evidence", "--junitxml=junit.xml")
    assert result.outcomes() == {"failed": 1}
    section = result.text.partition("- fluxlab: lab pytest-")[2]
    assert section.splitlines()[1].startswith("Kustomization flux-system/flux-system: BuildFailed")
    [folder] = (suite.folder / "evidence" / "test_suite.py-test_fails").iterdir()
    files = {path.name: path.read_text() for path in folder.iterdir()}
    assert set(files) == {"audit.txt", "conditions.txt", "git.txt", "logs.txt", "summary.txt", "timeline.txt"}
    assert "Ready=False BuildFailed" in files["conditions.txt"]
    assert "Break it (#7)" in files["git.txt"]
    assert "Break it (#7)" in files["timeline.txt"]
    assert "Reconciliation failed" in files["logs.txt"]
    assert re.search(r"audit +list /apis/\S+: 200 by admin", files["audit.txt"])
    assert "BuildFailed" in files["timeline.txt"]  # Flux's Event
    assert canary not in section.partition("====")[0]
    assert f"evidence: {folder}" in section
    assert "Break it (#7): [redacted] or [redacted]" in files["git.txt"]
    assert canary not in "".join(files.values())
    assert encoded not in "".join(files.values())
    assert all(path.stat().st_mode & 0o77 == 0 for path in folder.iterdir())
    told = dict(re.findall(r'<property name="(\w+)" value="([^"]*)"', (suite.folder / "junit.xml").read_text()))
    assert canary not in "".join(told.values())
    assert told["fluxlab_lab"] == folder.name
    assert told["fluxlab_artifacts"] == str(folder)
    assert "BuildFailed" in told["fluxlab_pending"]
    assert leftovers(suite.fluxlab) == []


@pytest.mark.verify
def test_a_lab_of_the_whole_run_is_shared_by_modules_and_evidence_begins_with_its_test(suite: Suite) -> None:
    suite.write(
        PROBE
        + """
    def test_first(session_lab, fluxlab_toolchain):
        kubectl = [fluxlab_toolchain.binary("kubectl"), f"--kubeconfig={session_lab.cluster.kubeconfig}"]
        subprocess.run([*kubectl, "create", "configmap", "left"], check=True)
        session_lab.repository.write(PATH, probe("first"))
        session_lab.converge(session_lab.repository.commit("Before the failure"))
        pathlib.Path("first").write_text(session_lab.name)
    """,
        name="test_one.py",
    )
    suite.write(
        PROBE
        + """
    import time

    def test_fails(session_lab):
        assert session_lab.name == pathlib.Path("first").read_text()
        assert session_lab.cluster.config_map("default/left")
        session_lab.repository.write(PATH, probe("second"))
        session_lab.converge(session_lab.repository.commit("Within the failure"))
        raise AssertionError("as planned")

    def test_waits(session_lab):
        from fluxlab.errors import FluxlabError
        began = time.monotonic()
        with pytest.raises(FluxlabError, match="what never comes"):
            session_lab.wait_until(lambda: None, what="what never comes", timeout_seconds=0.5)
        pathlib.Path("waited").write_text(str(time.monotonic() - began))
    """,
        name="test_two.py",
    )
    result = suite.run("--fluxlab-artifacts=evidence", "--fluxlab-timeout-factor=4")
    assert result.outcomes() == {"passed": 2, "failed": 1}
    assert "as planned" in result.text
    [folder] = (suite.folder / "evidence" / "test_two.py-test_fails").iterdir()
    assert folder.name == (suite.folder / "first").read_text()
    told = (folder / "timeline.txt").read_text()
    assert "Within the failure" in told
    assert "Before the failure" not in told
    assert "Before the failure" in (folder / "git.txt").read_text()
    assert float((suite.folder / "waited").read_text()) >= 4 * 0.5
    assert leftovers(suite.fluxlab) == []


@pytest.mark.verify
def test_a_lab_is_kept_for_a_look_only_if_its_test_failed(suite: Suite) -> None:
    suite.write(
        """
        def test_passes(lab): pass
        def test_fails(lab): assert lab.name == "nobody"
        """
    )
    result = suite.run("--fluxlab-keep-on-failure")
    assert result.outcomes() == {"passed": 1, "failed": 1}
    [name] = [path.name for path in (suite.fluxlab.state / "labs").iterdir()]
    told = result.text.partition("labs that were left up")[2]
    assert f"{name}, of test_suite.py::test_fails" in told
    commands = [line for line in told.splitlines() if line.startswith("  fluxlab ")]
    assert len(commands) == 6
    environment = {**suite.fluxlab.environment, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for command in commands:  # as somebody would paste them
        done = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True, check=False)  # noqa: S602
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    assert leftovers(suite.fluxlab) == []


DYING = (
    PROBE
    + """
    def kill(lab):
        number = pid(lab, "kube-scheduler")
        os.kill(number, signal.SIGKILL)
        lab.wait_until(lambda: not lab.status().well, what="the death is noticed")

    def test_kills_its_own(lab): kill(lab)

    def test_has_another_and_ends_it_by_itself(lab):
        lab.cluster.kubectl("create", "deployment", "web", "--image=x")
        lab.cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
        lab.down()

    def test_kills_the_shared(module_lab): kill(module_lab)

    def test_has_the_shared_repaired(module_lab):
        module_lab.cluster.kubectl("create", "deployment", "web", "--image=x")
        module_lab.cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
"""
)
DYING_OTHERWISE = """
    def test_kills_its_supervisor(lab):
        os.kill(lab.folder.read_record().supervisor.pid, signal.SIGKILL)
        lab.wait_until(lambda: not lab.status().well, what="the death is noticed")

    def test_has_another_after_that(lab):
        lab.cluster.kubectl("create", "deployment", "web", "--image=x")
        lab.cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s")

    def test_ends_it_and_fails(lab):
        lab.down()
        raise AssertionError("of the test itself")

    @pytest.fixture
    def broken(lab):
        yield
        raise RuntimeError("a fixture of the user's")

    def test_with_a_fixture_that_raises(broken): pass
"""


@pytest.mark.parametrize(
    "otherwise",
    ["", pytest.param(DYING_OTHERWISE, marks=pytest.mark.verify)],
    ids=["by a component", "in any way"],
)
def test_a_lab_that_dies_is_its_tests_error_and_the_next_test_has_a_sound_one(suite: Suite, otherwise: str) -> None:
    suite.write(DYING + otherwise)
    result = suite.run("--fluxlab-artifacts=evidence")
    for test in ("test_kills_its_own", "test_kills_the_shared"):
        assert result.outcome(test) == {"PASSED", "ERROR"}
    for test in ("test_has_another_and_ends_it_by_itself", "test_has_the_shared_repaired"):
        assert result.outcome(test) == {"PASSED"}
    assert result.text.count("LabDiedError: lab pytest-") >= 2
    last_words = r"flux-playground/kube-scheduler died: killed by SIGKILL\nE? +[IWEF]\d{4} \d\d:\d\d:\d\d"
    assert len(re.findall(last_words, result.text)) >= 2
    with_evidence = {"test_kills_its_own": True, "test_kills_the_shared": True}
    if otherwise:
        told_of_other_ends(result)
        with_evidence["test_with_a_fixture_that_raises"] = False
    for test, dies in with_evidence.items():
        [folder] = (suite.folder / "evidence" / f"test_suite.py-{test}").iterdir()
        assert f"evidence: {folder}" in result.text
        assert ("kube-scheduler" in (folder / "summary.txt").read_text().partition("\n")[0]) is dies
    assert leftovers(suite.fluxlab) == []


def told_of_other_ends(result: Result) -> None:
    """What is in `DYING_OTHERWISE` went as it should."""
    assert result.outcome("test_kills_its_supervisor") == {"PASSED", "ERROR"}
    supervisor = result.text.partition("ERROR at teardown of test_kills_its_supervisor")[2]
    assert re.search(
        r"died while test_suite.py::test_kills_its_supervisor used it\nE? +it is \w+: .*supervisor", supervisor
    )
    assert result.outcome("test_has_another_after_that") == {"PASSED"}
    assert result.outcome("test_ends_it_and_fails") == {"FAILED"}
    assert "of the test itself" in result.text
    assert result.outcome("test_with_a_fixture_that_raises") == {"PASSED", "ERROR"}


@pytest.mark.verify
def test_a_state_is_prepared_once_for_all_workers(suite: Suite) -> None:
    suite.write(
        PROBE
        + """
    @pytest.fixture(scope="session")
    def fluxlab_snapshot(fluxlab_make_snapshot):
        def prepare(lab):
            pathlib.Path(f"prepared-{os.getpid()}").touch()
            lab.repository.write(PATH, probe("from the snapshot"))
            lab.converge(lab.repository.commit("Prepare it"))
        return fluxlab_make_snapshot("probe", prepare)

    @pytest.mark.parametrize("number", range(3))
    def test_begins_with_it(lab, number):
        lab.converge()
        assert lab.cluster.config_map("default/probe").raw["data"]["value"] == "from the snapshot"
        lab.repository.write(PATH, probe("changed"))
        lab.converge(lab.repository.commit("Change it"))

    def test_its_name_stands_for_nothing_else(fluxlab_snapshot, fluxlab_make_snapshot):
        with pytest.raises(FluxlabError, match="there is another snapshot 'probe'"):
            fluxlab_make_snapshot("probe", print)
    """
    )
    result = suite.run("-n", "2")
    assert result.outcomes() == {"passed": 4}
    assert len(list(suite.folder.glob("prepared-*"))) == 1
    assert not list((suite.fluxlab.state / "pytest").iterdir())
    assert leftovers(suite.fluxlab) == []


@pytest.mark.verify
def test_a_state_that_cannot_be_prepared_is_shown_and_kept(suite: Suite) -> None:
    suite.write(
        PROBE
        + """
    @pytest.fixture(scope="session")
    def fluxlab_snapshot(fluxlab_make_snapshot):
        def prepare(lab):
            lab.repository.write(PATH, "kind: [")
            lab.converge(lab.repository.commit("A typo"))
        return fluxlab_make_snapshot("broken", prepare)

    def test_begins_with_it(lab): pass
    """
    )
    result = suite.run("-n", "2", "--fluxlab-keep-on-failure")
    assert result.outcomes() == {"error": 1}
    [name] = [path.name for path in (suite.fluxlab.state / "labs").iterdir()]
    evidence, _, kept = result.text.partition("labs that were left up")
    assert f"fluxlab: lab {name}" in evidence
    assert "Kustomization flux-system/flux-system: BuildFailed" in evidence
    assert f"kubeconfig: {suite.fluxlab.state / 'labs' / name}" in evidence
    assert f"fluxlab down {name}" in kept
    suite.fluxlab.ok("down", name)
    assert leftovers(suite.fluxlab) == []


WAITS = """
    import os, pathlib, threading

    def test_waits(lab):
        pathlib.Path("begun").write_text(str(os.getpid()))
        pathlib.Path("begun").rename("waits")
        try:
            threading.Event().wait()
        finally:
            pathlib.Path("interrupted").touch()

    def test_other(lab): pass
"""


@pytest.mark.parametrize("options", [pytest.param((), marks=pytest.mark.verify), ("-n", "2")], ids=["alone", "xdist"])
def test_nothing_is_left_when_pytest_is_killed(suite: Suite, eventually: Eventually, options: tuple[str, ...]) -> None:
    suite.write(WAITS)
    process = suite.start(*options)
    eventually((suite.folder / "waits").exists, within=90, what="the test runs")
    assert processes(suite.fluxlab)
    process.kill()
    process.communicate()
    eventually(lambda: leftovers(suite.fluxlab) == [], within=60, what="everything is gone")


SNAPSHOT = """
    import pytest

    @pytest.fixture(scope="session")
    def fluxlab_snapshot(fluxlab_make_snapshot):
        import pathlib, threading

        def prepare(lab):
            pathlib.Path("prepares").touch()
            while not pathlib.Path("go on").exists():
                threading.Event().wait(0.05)

        return fluxlab_make_snapshot("probe", prepare)
"""


@pytest.mark.verify
@pytest.mark.parametrize("moment", ["prepares", "waits"])
def test_nothing_is_left_of_a_snapshot_when_pytest_is_killed(suite: Suite, eventually: Eventually, moment: str) -> None:
    suite.write(WAITS)
    suite.write(SNAPSHOT, name="conftest.py")
    process = suite.start("-n", "2")
    eventually((suite.folder / "prepares").exists, within=90, what="the snapshot is being prepared")
    if moment == "waits":
        (suite.folder / "go on").touch()
        eventually((suite.folder / "waits").exists, within=90, what="a test begins with it")
        assert [path for path in (suite.fluxlab.state / "pytest").rglob("*.snapshot") if path.stat().st_size]
    assert processes(suite.fluxlab)
    process.kill()
    process.communicate()
    eventually(lambda: leftovers(suite.fluxlab) == [], within=60, what="everything is gone")


@pytest.mark.verify
def test_four_workers_have_labs_at_once_that_do_not_meet(suite: Suite, eventually: Eventually) -> None:
    suite.write(
        PROBE
        + """
    import threading

    @pytest.mark.parametrize("number", range(8))
    def test_own(lab, number, worker_id):
        pathlib.Path(f"{worker_id}.begun").touch()
        while len(list(pathlib.Path().glob("gw*.begun"))) < 4:  # all four hold a lab now
            threading.Event().wait(0.05)
        assert "probe" not in lab.cluster.kubectl("get", "configmaps", "-A")
        lab.repository.write(PATH, probe(number))
        lab.converge(lab.repository.commit(f"Number {number}"))
        assert lab.cluster.config_map("default/probe").raw["data"]["value"] == str(number)
        with open(f"seen-{worker_id}", "a") as file:
            print(lab.name, file=file)
    """.replace("probe(number)", "probe(str(number))")
    )
    result = suite.run("-n", "4", "--fluxlab-spares=1")
    assert result.outcomes() == {"passed": 8}
    seen = {path.name.removeprefix("seen-"): path.read_text().split() for path in suite.folder.glob("seen-*")}
    assert len(seen) == 4
    names = [name for used in seen.values() for name in used]
    assert len(set(names)) == 8
    runs = {token for name in names for token in re.findall(r"^pytest-(\w+)-gw\d-\d+$", name)}
    assert len(runs) == 1, names
    assert all(f"-{worker}-" in name for worker, used in seen.items() for name in used), seen
    eventually(lambda: leftovers(suite.fluxlab) == [], within=60, what="everything is gone")


@pytest.mark.verify
def test_what_is_missing_of_the_toolchain_is_built_once_for_all_workers(suite: Suite) -> None:
    cache = suite.fluxlab.folder / "cache"
    [missing] = (Path(CACHE) / "toolchain").glob("etcdutl-*")
    shutil.copytree(Path(CACHE) / "toolchain", cache / "toolchain", copy_function=_link)
    shutil.rmtree(cache / "toolchain" / missing.name)
    suite.write(
        """
        import pytest

        @pytest.mark.parametrize("number", range(2))
        def test_has_it(fluxlab_toolchain, number):
            assert fluxlab_toolchain.binary("etcdutl").exists()
        """
    )
    having = suite.fluxlab.having(FLUXLAB_CACHE_DIR=str(cache), FLUXLAB_TOOLCHAIN=None, FLUXLAB_TOOLCHAIN_BUNDLE=None)
    result = Suite(suite.folder, having).run("-n", "2")
    assert result.outcomes() == {"passed": 2}
    assert (cache / "toolchain" / missing.name / "etcdutl").exists()
    assert len(re.findall(r"etcdutl built in", result.text)) == 1, result.text
    assert "etcd built in" not in result.text
    assert result.text.count("etcdutl was built by the other process") == 1


def _link(source: str, target: str) -> None:
    """A copy that takes no room, where that can be."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@pytest.mark.verify
def test_nothing_is_left_when_a_test_ends_the_process(suite: Suite, eventually: Eventually) -> None:
    suite.write(
        """
        import os

        def test_exits(lab):
            print("it exits", flush=True)
            os._exit(7)
        """
    )
    result = suite.run("-s", "--fluxlab-spares=1")
    assert result.code == 7
    assert "it exits" in result.text
    eventually(lambda: leftovers(suite.fluxlab) == [], within=60, what="everything is gone")


@pytest.mark.parametrize("method", ["signal", pytest.param("thread", marks=pytest.mark.verify)])
def test_nothing_is_left_when_pytest_timeout_ends_a_test(suite: Suite, eventually: Eventually, method: str) -> None:
    suite.write(
        """
        import fluxlab.pool

        fluxlab.pool.KEPT_FREE_BYTES = fluxlab.pool.LAB_BYTES = 0  # also where little memory is free
        """,
        name="conftest.py",
    )
    suite.write(
        """
        import pathlib
        import time

        def test_hangs(lab):
            labs = pathlib.Path(lab.folder.root).parent
            while len(list(labs.iterdir())) < 2:  # the spare for the next test is being made
                time.sleep(0.05)
            pathlib.Path("hangs").touch()
            time.sleep(600)

        def test_next(lab):
            assert lab.cluster.kubectl("get", "namespaces")
        """
    )
    limits = ("--timeout=8", "-o", "timeout_func_only=true", f"--timeout-method={method}")
    result = suite.run("--fluxlab-spares=1", *limits)
    assert (suite.folder / "hangs").exists(), result.text
    assert "Timeout" in result.text
    if method == "signal":
        assert result.outcomes() == {"failed": 1, "passed": 1}
    else:  # it ends the process
        assert result.code not in {0, None}
    eventually(lambda: leftovers(suite.fluxlab) == [], within=60, what="everything is gone")


@pytest.mark.verify
def test_nothing_is_left_when_a_worker_is_killed(suite: Suite, eventually: Eventually) -> None:
    suite.write(WAITS)
    process = suite.start("-n", "2")
    eventually((suite.folder / "waits").exists, within=90, what="the test runs")
    os.kill(int((suite.folder / "waits").read_text()), signal.SIGKILL)
    said, _ = process.communicate(timeout=120)
    assert "crashed while running 'test_suite.py::test_waits'" in said
    assert "1 failed, 1 passed" in said
    eventually(lambda: leftovers(suite.fluxlab) == [], within=60, what="everything is gone")


@pytest.mark.parametrize("times", [pytest.param(1, marks=pytest.mark.verify), 2])
def test_ctrl_c_ends_a_run_and_all_its_labs(suite: Suite, eventually: Eventually, times: int) -> None:
    suite.write(WAITS)
    process = suite.start()
    eventually((suite.folder / "waits").exists, within=90, what="the test runs")
    process.send_signal(signal.SIGINT)
    eventually((suite.folder / "interrupted").exists, within=30, what="the test is interrupted")
    if times == 2:
        process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in said
    if times == 1:
        assert leftovers(suite.fluxlab) == []
    eventually(lambda: leftovers(suite.fluxlab) == [], within=60, what="everything is gone")


@pytest.mark.verify
def test_a_lab_that_is_to_be_kept_stays_after_ctrl_c_and_is_named(suite: Suite, eventually: Eventually) -> None:
    suite.write(WAITS)
    process = suite.start("--fluxlab-keep", "--fluxlab-spares=0")
    eventually((suite.folder / "waits").exists, within=90, what="the test runs")
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    [name] = [path.name for path in (suite.fluxlab.state / "labs").iterdir()]
    assert f"{name}, of test_suite.py::test_waits" in said.partition("labs that were left up")[2]
    suite.fluxlab.ok("status", "--lab", name)
    suite.fluxlab.ok("down", name)
    assert leftovers(suite.fluxlab) == []


def test_a_suite_runs_within_a_process_that_has_the_plugin_already(
    pytester: pytest.Pytester, fluxlab: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLUXLAB_STATE_DIR", str(fluxlab.state))
    monkeypatch.setenv("FLUXLAB_CACHE_DIR", CACHE)  # pytester has a home of its own
    pytester.makepyfile(
        """
        import pathlib

        def test_commits_and_fails(lab):
            probe = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe", "namespace": "default"}}
            lab.repository.write("clusters/flux-playground/probe.yaml", probe)
            lab.converge(lab.repository.commit("Add the probe"))
            pathlib.Path("seen").write_text(lab.cluster.kubectl("get", "configmap", "probe", "-n", "default"))
            assert lab.name == "nobody"
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    assert "probe" in (pytester.path / "seen").read_text()
    result.stdout.fnmatch_lines(["*- fluxlab: lab pytest-*"])
    assert leftovers(fluxlab) == []


PLANTED = {
    "test_a_commit_that_never_arrives": "commit [0-9a-f]{10} has not arrived within 2 s",
    "test_an_event_that_never_fires": "not within 1 s: an event about ConfigMap default/probe",
    "test_an_event_of_an_earlier_commit": "not within 1 s: an event about Kustomization flux-system/flux-system",
    "test_a_leak": "ConfigMap default/leak is still there",
    "test_nothing_to_converge_on": "an empty text is no commit",
}


def test_planted_mistakes_fail_for_the_right_reason(suite: Suite) -> None:
    suite.write(
        PROBE
        + """
    from fluxlab.flux.signals import Event

    def test_a_commit_that_never_arrives(module_lab):
        module_lab.cluster.kubectl("-n", "flux-system", "scale", "deployment/kustomize-controller", "--replicas=0")
        try:
            module_lab.repository.write(PATH, probe("never"))
            module_lab.converge(module_lab.repository.commit("Never arrives"), timeout_seconds=2)
        finally:
            module_lab.cluster.kubectl("-n", "flux-system", "scale", "deployment/kustomize-controller", "--replicas=1")
            module_lab.converge()

    def test_an_event_that_never_fires(module_lab):
        module_lab.repository.write(PATH, probe("quiet"))
        commit = module_lab.repository.commit("Say nothing of it")
        module_lab.converge(commit)
        module_lab.cluster.expect(Event("ConfigMap", "default/probe", reason="Any"), after=commit, within_seconds=1)

    def test_an_event_of_an_earlier_commit(module_lab):
        root = ("Kustomization", "flux-system/flux-system")
        module_lab.repository.write(PATH, "a: [")
        commit = module_lab.repository.commit("Break it")
        module_lab.cluster.expect(Event(*root, reason="BuildFailed"), after=commit)
        module_lab.repository.write(PATH, probe("good"))
        mended = module_lab.repository.commit("Mend it")
        module_lab.converge(mended)
        module_lab.cluster.expect(Event(*root, reason="BuildFailed"), after=mended, within_seconds=1)

    def test_a_leak(module_lab):
        module_lab.cluster.kubectl("create", "configmap", "leak", "-n", "default")
        assert module_lab.cluster.find("ConfigMap", "default/leak") is None, "ConfigMap default/leak is still there"

    def test_nothing_to_converge_on(module_lab):
        module_lab.converge("")

    def test_what_is_right_passes(module_lab):
        module_lab.repository.write(PATH, probe("right"))
        module_lab.converge(module_lab.repository.commit("Do it right"))
        assert module_lab.cluster.config_map("default/probe").raw["data"]["value"] == "right"
    """
    )
    result = suite.run()
    assert result.outcomes() == {"failed": len(PLANTED), "passed": 1}
    for test, reason in PLANTED.items():
        assert result.outcome(test) == {"FAILED"}
        failure = re.split(rf"_+ {test} _+", result.text)[1]
        assert re.search(reason, failure), failure
    assert leftovers(suite.fluxlab) == []


def test_the_doctor_says_in_a_moment_what_is_missing(suite: Suite) -> None:
    suite.write("def test_never(): raise AssertionError\n")
    result = suite.run("--fluxlab-doctor")
    assert result.code == 0
    assert re.search(r"^ok +toolchain: \d+ programs$", result.text, re.MULTILINE)
    assert "test_never" not in result.text
    broken = Suite(suite.folder, suite.fluxlab.having(PATH=str(suite.folder)))
    result = broken.run("--fluxlab-doctor")
    assert result.code == 1
    assert re.search(r"^bad +git: not found \(next: install git\)$", result.text, re.MULTILINE)
