"""Did this commit arrive, and if not, why: every answer is checked against what kubectl sees."""

import base64
import json
import os
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.integration.conftest import CommandLine, Observer, command_lines

from fluxlab.toolchain import find
from fluxlab.waiting import wait_until

pytestmark = pytest.mark.integration

LAB = "convergence"
PATH = "clusters/flux-playground"
CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata: {{name: probe, namespace: default}}
data: {{value: "{value}"}}
"""
Eventually = Callable[..., object]


@dataclass(frozen=True)
class Workshop:
    """A lab, a clone that the test drives with plain git, and kubectl."""

    fluxlab: CommandLine
    clone: Path
    observer: Observer

    def git(self, *words: str) -> str:
        settings = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
        done = subprocess.run(["git", *settings, *words], cwd=self.clone, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def push(self, files: Mapping[str, str | None], message: str = "Change something") -> str:
        """Write files below the cluster's path (None deletes), commit and push; returns the commit."""
        for name, content in files.items():
            file = self.clone / PATH / name
            if content is None:
                file.unlink()
            else:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        self.git("push", "--quiet", "--force", "origin", "HEAD:main")
        return self.git("rev-parse", "HEAD")

    def wait(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.fluxlab.run("wait", "--lab", LAB, *words)

    def arrives(self, commit: str) -> str:
        return self.fluxlab.ok("wait", "--lab", LAB, commit)

    def asks(self, commit: str) -> str:
        """What is asked for, as soon as it is: between two attempts Flux says only that it makes one."""
        return self.fluxlab.ok("wait", "--lab", LAB, commit, "--until-asked", "--timeout", "60")

    def await_applied(self, commit: str, name: str = "flux-system", namespace: str = "flux-system") -> None:
        """Until kubectl sees that a Kustomization has applied a commit, however long that takes."""
        wait_until(
            lambda: self.ready("kustomization", name, namespace) == ("True", f"main@sha1:{commit}"),
            what=f"{name} has applied {commit[:10]}",
            timeout_seconds=60,
            interval_seconds=0.1,
        )

    def value(self) -> str | None:
        words = ("get", "configmap", "probe", "-n", "default", "-o", "jsonpath={.data.value}")
        found = self.observer.kubectl(*words, check=False)
        return None if "NotFound" in found else found

    def scale(self, replicas: int, *controllers: str) -> None:
        names = (f"deployment/{controller}" for controller in controllers)
        self.observer.kubectl("scale", "-n", "flux-system", *names, f"--replicas={replicas}")

    def ready(self, kind: str, name: str = "flux-system", namespace: str = "flux-system") -> tuple[str, str]:
        """Status of the Ready condition and the revision that was applied or stored."""
        found = self.observer.get(kind, name, "-n", namespace)
        status = found.get("status", {})
        condition = next((c["status"] for c in status.get("conditions", []) if c["type"] == "Ready"), "")
        return condition, status.get("lastAppliedRevision") or status.get("artifact", {}).get("revision", "")


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workshop, str]]:
    for fluxlab in command_lines(tmp_path_factory.mktemp("convergence")):
        fluxlab.ok("up", "--name", LAB)
        clone = fluxlab.folder / "fleet"
        fluxlab.ok("clone", str(clone), "--lab", LAB)
        workshop = Workshop(fluxlab, clone, fluxlab.observer(LAB))
        baseline = workshop.push({"probe.yaml": CONFIG_MAP.format(value="baseline")})
        workshop.arrives(baseline)
        yield workshop, baseline


@pytest.fixture
def workshop(standing: tuple[Workshop, str]) -> Workshop:
    """The module's lab, with its branch and its cluster at the baseline, whatever the test before left."""
    workshop, baseline = standing
    workshop.scale(1, "source-controller", "kustomize-controller", "helm-controller")
    workshop.git("fetch", "--quiet")
    workshop.git("reset", "--quiet", "--hard", baseline)
    workshop.git("push", "--quiet", "--force", "origin", "HEAD:main")
    workshop.arrives(baseline)
    return workshop


def test_a_pushed_commit_arrives_and_the_cluster_has_its_content(workshop: Workshop) -> None:
    commit = workshop.push({"probe.yaml": CONFIG_MAP.format(value="arrived")})
    workshop.arrives(commit)
    assert workshop.value() == "arrived"
    assert workshop.ready("kustomization") == ("True", f"main@sha1:{commit}")


def test_the_push_itself_starts_the_convergence(workshop: Workshop, eventually: Eventually) -> None:
    workshop.push({"probe.yaml": CONFIG_MAP.format(value="by webhook")})
    # The source's own interval is a minute: within this time only the Receiver can have been the cause.
    eventually(lambda: workshop.value() == "by webhook", within=20, what="the pushed value")


@pytest.mark.verify
def test_a_push_that_no_receiver_took_is_told_again_until_one_does(workshop: Workshop, eventually: Eventually) -> None:
    sync = (workshop.clone / PATH / "flux-system" / "gotk-sync.yaml").read_text()
    assert "interval: 1m0s" in sync
    seldom = sync.replace("interval: 1m0s", "interval: 5h0m0s")  # by itself the source comes too late for this test
    workshop.arrives(workshop.push({"flux-system/gotk-sync.yaml": seldom}))
    assert workshop.observer.get("gitrepository/flux-system", "-n=flux-system")["spec"]["interval"] == "5h0m0s"
    workshop.scale(0, "notification-controller")
    component = "flux-playground/notification-controller"
    eventually(lambda: _component(workshop, component)["state"] == "stopped", what="nobody receives")
    try:
        commit = workshop.push({"probe.yaml": CONFIG_MAP.format(value="told again")})
        done = workshop.wait(commit, "--timeout", "4")
        assert done.returncode == 1
        assert "notification-controller is scaled to 0" in done.stderr
        assert workshop.ready("gitrepository")[1] != f"main@sha1:{commit}"
    finally:
        workshop.scale(1, "notification-controller")
    eventually(
        lambda: workshop.ready("gitrepository") == ("True", f"main@sha1:{commit}"), what="the source has the commit"
    )
    workshop.arrives(commit)
    assert workshop.value() == "told again"


@pytest.mark.parametrize(
    ("controller", "kind", "stale"),
    [
        ("source-controller", "gitrepository", "GitRepository"),
        pytest.param("kustomize-controller", "kustomization", "Kustomization", marks=pytest.mark.verify),
    ],
)
def test_everything_ready_at_the_old_revision_is_not_taken_for_the_new_one(
    workshop: Workshop, eventually: Eventually, controller: str, kind: str, stale: str
) -> None:
    old = workshop.git("rev-parse", "HEAD")
    workshop.scale(0, controller)
    component = f"flux-playground/{controller}"
    eventually(lambda: _component(workshop, component)["state"] == "stopped", what=f"{controller} has stopped")
    commit = workshop.push({"probe.yaml": CONFIG_MAP.format(value="must wait")})
    done = workshop.wait(commit, "--timeout", "4")
    assert workshop.ready(kind) == ("True", f"main@sha1:{old}")
    assert workshop.value() == "baseline"
    assert done.returncode == 1, done.stdout
    assert f"{stale} flux-system/flux-system" in done.stderr
    assert old[:10] in done.stderr
    assert f"{controller} is scaled to 0" in done.stderr
    workshop.scale(1, controller)
    workshop.arrives(commit)
    assert workshop.value() == "must wait"


def _component(workshop: Workshop, name: str) -> Any:
    status = json.loads(workshop.fluxlab.run("status", "--lab", LAB, "-o", "json").stdout)
    return next(part for cluster in status["clusters"] for part in cluster["components"] if part["name"] == name)


def test_a_manifest_with_a_yaml_error_fails_at_once_and_names_the_kustomization(workshop: Workshop) -> None:
    commit = workshop.push({"broken.yaml": "apiVersion: v1\nkind: [ConfigMap\n"})
    began = time.monotonic()
    done = workshop.wait(commit, "--timeout", "60")
    assert done.returncode == 1
    assert "Kustomization flux-system/flux-system" in done.stderr
    assert "BuildFailed" in done.stderr
    assert "broken.yaml" in done.stderr
    assert time.monotonic() - began < 50, "a terminal failure must not wait for the timeout"


def test_an_immutable_field_fails_at_once_and_is_named(workshop: Workshop) -> None:
    job = """\
apiVersion: batch/v1
kind: Job
metadata: {{name: once, namespace: default}}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{{name: main, image: "{image}"}}]
"""
    workshop.arrives(workshop.push({"job.yaml": job.format(image="busybox:1")}))
    commit = workshop.push({"job.yaml": job.format(image="busybox:2")})
    done = workshop.wait(commit, "--timeout", "60")
    assert done.returncode == 1
    assert "immutable" in done.stderr
    assert "Job/default/once" in done.stderr


@pytest.mark.verify
def test_an_immutable_job_that_goes_by_itself_is_waited_for(workshop: Workshop) -> None:
    job = """\
apiVersion: batch/v1
kind: Job
metadata: {{name: passing, namespace: default}}
spec:
  ttlSecondsAfterFinished: 15
  template:
    spec:
      restartPolicy: Never
      containers: [{{name: main, image: "{image}"}}]
"""
    child = {"child.yaml": CHILD.split("  postBuild", maxsplit=1)[0]}
    workshop.arrives(workshop.push({**child, "../../apps/child/job.yaml": job.format(image="busybox:1")}))
    workshop.arrives(workshop.push({"../../apps/child/job.yaml": job.format(image="busybox:2")}))
    image = "jsonpath={.spec.template.spec.containers[0].image}"
    assert workshop.observer.kubectl("get", "job", "passing", "-n", "default", "-o", image) == "busybox:2"


CHILD = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: child, namespace: default}
spec:
  interval: 10m
  retryInterval: 1s
  path: ./apps/child
  prune: true
  sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}
  postBuild:
    substituteFrom: [{kind: Secret, name: late}]
"""
TEMPLATE = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: substituted, namespace: default}
data: {value: "${WORD}"}
"""


WORDS = """\
apiVersion: v1
kind: ConfigMap
metadata: {{name: words, namespace: default}}
data: {{WORD: {word}, SHAPE: round}}
"""
SHAPED = TEMPLATE.replace("substituted", "shaped").replace("WORD", "SHAPE")


def test_a_kustomization_has_arrived_when_it_was_built_with_the_variables_that_it_reads(workshop: Workshop) -> None:
    child = CHILD.replace("kind: Secret, name: late", "kind: ConfigMap, name: words")
    bystander = child.replace("name: child", "name: bystander").replace("apps/child", "apps/bystander")
    files = {
        "child.yaml": child,
        "../../apps/child/app.yaml": TEMPLATE,
        "bystander.yaml": bystander,
        "../../apps/bystander/app.yaml": SHAPED,
    }

    def value() -> str:
        jsonpath = ("--output", "jsonpath={.data.value}")
        return workshop.observer.kubectl("get", "configmap", "substituted", "-n", "default", *jsonpath)

    workshop.arrives(workshop.push({**files, "words.yaml": WORDS.format(word="one")}))
    assert value() == "one"
    # All are built for the new commit at once, mostly before their parent has applied what they read. What one of them
    # reads of that has not changed.
    commit = workshop.push({**files, "words.yaml": WORDS.format(word="two")})
    workshop.await_applied(commit)
    for name in ("child", "bystander"):
        workshop.await_applied(commit, name, "default")
    done = workshop.wait(commit, "--timeout", "2")
    assert workshop.ready("kustomization", "child", "default") == ("True", f"main@sha1:{commit}")
    assert "Kustomization default/bystander" not in done.stderr
    if value() == "one":
        assert done.returncode == 1, done.stdout
        assert (
            "Kustomization default/child: has not been built with WORD of ConfigMap default/words as it is now, and "
            f"looks by itself within 10m (fluxlab flux --lab {LAB} reconcile kustomization child -n default)"
        ) in done.stderr
        workshop.observer.kubectl(
            "annotate", "kustomization", "child", "-n", "default", f"reconcile.fluxcd.io/requestedAt={commit}"
        )
        workshop.arrives(commit)
    assert value() == "two"


def test_a_missing_secret_is_waited_for_by_name_and_its_arrival_opens_the_latch(workshop: Workshop) -> None:
    commit = workshop.push({"child.yaml": CHILD, "../../apps/child/app.yaml": TEMPLATE})
    assert (
        "Kustomization default/child: waits for Secret default/late with key WORD "
        "(fluxlab secret set default/late WORD --lab convergence)"
    ) in workshop.asks(commit)
    done = workshop.wait(commit, "--timeout", "2")
    assert done.returncode == 1
    assert "Kustomization default/child" in done.stderr
    assert "not arrived within" in done.stderr, "a missing Secret is no terminal failure"
    word = base64.b64encode(b"hello").decode()
    secret = f'{{"apiVersion":"v1","kind":"Secret","metadata":{{"name":"late"}},"data":{{"WORD":"{word}"}}}}'
    subprocess.run(
        [*_kubectl(workshop), "create", "-n", "default", "-f", "-"], input=secret, text=True, check=True, timeout=30
    )
    workshop.arrives(commit)
    words = ("get", "configmap", "substituted", "-n", "default", "-o", "jsonpath={.data.value}")
    assert workshop.observer.kubectl(*words) == "hello"
    workshop.observer.kubectl("delete", "secret", "late", "-n", "default")


def _not_ready(workshop: Workshop, kind: str, name: str) -> str:
    """What the Ready condition of an object says, if it is False."""
    words = ("-n=default", "-o=jsonpath={.status.conditions[?(@.type=='Ready')]['status','message']}")
    status, _, message = workshop.observer.kubectl("get", kind, name, *words, check=False).partition(" ")
    return message if status == "False" else ""


@pytest.mark.verify
def test_a_dependency_is_waited_for_by_name_and_its_mending_opens_the_latch(
    workshop: Workshop, eventually: Eventually
) -> None:
    second = CHILD.split("  postBuild", maxsplit=1)[0].replace("name: child", "name: second")
    second = second.replace("apps/child", "apps/second") + "  dependsOn: [{name: child}]\n"
    files = {"child.yaml": CHILD, "../../apps/child/app.yaml": TEMPLATE, "second.yaml": second}
    content = TEMPLATE.replace("substituted", "afterwards").replace("${WORD}", "came last")
    commit = workshop.push({**files, "../../apps/second/app.yaml": content})
    eventually(lambda: "dependency" in _not_ready(workshop, "kustomization", "second"), what="it waits for another")
    done = workshop.wait(commit, "--timeout", "2")
    assert done.returncode == 1
    assert "not arrived within" in done.stderr, "what waits for a dependency is no terminal failure"
    [told] = [line for line in done.stderr.splitlines() if line.startswith("  Kustomization default/second: ")]
    assert "dependency 'default/child' is not ready" in told
    workshop.observer.kubectl("create", "secret", "generic", "late", "-n=default", "--from-literal=WORD=hello")
    workshop.arrives(commit)
    words = ("get", "configmap", "afterwards", "-n=default", "-o=jsonpath={.data.value}")
    assert workshop.observer.kubectl(*words) == "came last"
    workshop.observer.kubectl("delete", "secret", "late", "-n=default")


@pytest.mark.verify
def test_a_missing_secret_with_keys_is_asked_for_and_its_arrival_opens_the_latch(workshop: Workshop) -> None:
    decrypting = CHILD.split("  postBuild", maxsplit=1)[0]
    decrypting += "  decryption: {provider: sops, secretRef: {name: sops-age}}\n"
    commit = workshop.push({"child.yaml": decrypting, "../../apps/child/app.yaml": TEMPLATE})
    assert (
        "Kustomization default/child: waits for Secret default/sops-age with key age.agekey "
        "(fluxlab secret set default/sops-age age.agekey --lab convergence)"
    ) in workshop.asks(commit)
    done = workshop.wait(commit, "--timeout", "2")
    assert done.returncode == 1
    assert "Kustomization default/child" in done.stderr
    assert "not arrived within" in done.stderr, "a missing Secret is no terminal failure"
    # kustomize-controller only wants the Secret to be there: nothing of what lies in git is encrypted.
    workshop.observer.kubectl("create", "secret", "generic", "sops-age", "-n=default", "--from-literal=note=no key")
    workshop.arrives(commit)
    workshop.observer.kubectl("delete", "secret", "sops-age", "-n=default")


def _kubectl(workshop: Workshop) -> list[str]:
    return [str(find().binary("kubectl")), f"--kubeconfig={workshop.observer.kubeconfig}"]


JOB_WITH_A_SECRET = """\
apiVersion: batch/v1
kind: Job
metadata: {name: once, namespace: default}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: main, image: busybox, env: [{name: WORD, value: "${WORD}"}]}]
"""


def test_a_secret_in_what_the_api_refuses_is_never_shown(workshop: Workshop, eventually: Eventually) -> None:
    def write(word: str) -> None:
        encoded = base64.b64encode(word.encode()).decode()
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "late"}, "data": {"WORD": encoded}}
        workshop.observer.kubectl("apply", "-n=default", "-f-", stdin=json.dumps(secret))

    first, second = "canary-of-the-first-day", "canary-of-the-second-day"
    write(first)
    workshop.arrives(workshop.push({"child.yaml": CHILD, "../../apps/child/app.yaml": JOB_WITH_A_SECRET}))
    write(second)
    commit = workshop.push({"../../apps/child/readme.yaml": "# nothing else\n"})
    said = ("get", "kustomization", "child", "-n=default", "-o=jsonpath={.status.conditions}")
    eventually(lambda: second in workshop.observer.kubectl(*said), what="Flux quotes the value")
    done = workshop.wait(commit, "--timeout", "60")
    assert done.returncode == 1
    assert "Job/default/once" in done.stderr
    assert "immutable" in done.stderr
    for output in (done.stdout, done.stderr, workshop.wait(commit, "-o", "json").stdout):
        for word in (first, second):
            assert word not in output
            assert base64.b64encode(word.encode()).decode() not in output
    logs = workshop.fluxlab.state / "labs" / LAB / "clusters" / "flux-playground" / "logs"
    assert second in (logs / "kustomize-controller.log").read_text(), "its controller logs the value"
    for asked in (
        ("timeline", "--tail=-1"),
        ("timeline", "--source=log", "--level=error", "-o", "json"),
        ("logs", "kustomize-controller", "--tail=-1"),
        ("logs", "kustomize-controller", "-o", "json"),
        ("logs", "--level=error"),
    ):
        output = workshop.fluxlab.ok(*asked, "--lab", LAB)
        assert "immutable" in output, asked
        assert first not in output, asked
        assert second not in output, asked
    workshop.observer.kubectl("delete", "secret", "late", "-n=default")
    left = workshop.fluxlab.ok("logs", "kustomize-controller", "--tail=-1", "--lab", LAB)
    assert second not in left, "also when nobody has the value any more"


def test_a_path_that_does_not_exist_fails_at_once(workshop: Workshop) -> None:
    child = CHILD.split("  postBuild", maxsplit=1)[0].replace("./apps/child", "./apps/nowhere")
    done = workshop.wait(workshop.push({"child.yaml": child}), "--timeout", "60")
    assert done.returncode == 1
    assert "kustomization path not found" in done.stderr
    assert "not arrived within" not in done.stderr


@pytest.mark.verify
def test_a_suspended_kustomization_is_named_as_such(workshop: Workshop) -> None:
    child = CHILD.split("  postBuild", maxsplit=1)[0] + "  suspend: true\n"
    commit = workshop.push({"child.yaml": child, "../../apps/child/app.yaml": TEMPLATE})
    workshop.await_applied(commit)
    done = workshop.wait(commit, "--timeout", "2")
    assert done.returncode == 1
    assert "Kustomization default/child: is suspended" in done.stderr


RELEASE = """\
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata: {{name: charts, namespace: default}}
spec: {{interval: 1m, url: "{url}"}}
---
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {{name: app, namespace: default}}
spec:
  interval: 1m
  chart:
    spec: {{chart: {chart}, sourceRef: {{kind: HelmRepository, name: charts}}}}
  values: {{replicas: {replicas}}}
"""
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec: {containers: [{name: main, image: "app:{{ .Chart.Version }}"}]}
"""


def chart_archive(folder: Path, *, name: str = "app", version: str) -> Path:
    """A chart archive, made with tarfile alone."""
    source = folder / f"{name}-{version}"
    (source / "templates").mkdir(parents=True)
    (source / "Chart.yaml").write_text(f"apiVersion: v2\nname: {name}\nversion: {version}\n")
    (source / "values.yaml").write_text("replicas: 1\n")
    (source / "templates" / "deployment.yaml").write_text(DEPLOYMENT)
    archive = folder / f"{name}-{version}.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(source, arcname=name)
    return archive


CHART_IN_GIT = """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: app, namespace: default}
spec:
  interval: 10m
  chart:
    spec:
      chart: ./charts/app
      reconcileStrategy: Revision
      sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}
"""


@pytest.mark.verify
def test_a_chart_in_the_repository_itself_arrives_with_its_commit(workshop: Workshop) -> None:
    chart = {
        "../../charts/app/Chart.yaml": "apiVersion: v2\nname: app\nversion: 1.0.0\n",
        "../../charts/app/values.yaml": "replicas: 1\n",
        "../../charts/app/templates/deployment.yaml": DEPLOYMENT.replace("{{ .Chart.Version }}", "first"),
    }
    workshop.arrives(workshop.push({"app.yaml": CHART_IN_GIT, **chart}))
    assert _image(workshop) == "app:first 1"
    second = DEPLOYMENT.replace("{{ .Chart.Version }}", "second")
    # Neither the release nor any Kustomization changes: only the chart that the source controller packages.
    workshop.arrives(workshop.push({"../../charts/app/templates/deployment.yaml": second}))
    assert _image(workshop) == "app:second 1"


@pytest.mark.verify
def test_the_fix_of_a_chart_is_waited_for_when_the_release_has_given_up(
    workshop: Workshop, eventually: Eventually
) -> None:
    broken = DEPLOYMENT.replace("{{ .Chart.Version }}", "fixed").replace("  selector: {matchLabels: {app: app}}\n", "")
    chart = {
        "../../charts/app/Chart.yaml": "apiVersion: v2\nname: app\nversion: 1.0.0\n",
        "../../charts/app/values.yaml": "replicas: 1\n",
        "../../charts/app/templates/deployment.yaml": broken,
    }
    done = workshop.wait(workshop.push({"app.yaml": CHART_IN_GIT, **chart}), "--timeout", "60")
    assert "HelmRelease default/app: Stalled RetriesExceeded" in done.stderr
    assert "not arrived within" not in done.stderr
    controller = _component(workshop, "flux-playground/helm-controller")["pid"]
    os.kill(controller, signal.SIGSTOP)
    try:
        fixed = DEPLOYMENT.replace("{{ .Chart.Version }}", "fixed")
        commit = workshop.push({"../../charts/app/templates/deployment.yaml": fixed})
        workshop.await_applied(commit)
        packaged = ("True", f"1.0.0+{commit[:12]}")
        eventually(lambda: workshop.ready("helmchart", "default-app") == packaged, within=60, what="it is packaged")
        done = workshop.wait(commit, "--timeout", "2")
        assert "HelmRelease default/app: has chart 1.0.0+" in done.stderr
        assert "not arrived within" in done.stderr, "a chart that the release has not tried is no terminal failure"
    finally:
        os.kill(controller, signal.SIGCONT)
    workshop.arrives(commit)
    assert _image(workshop) == "app:fixed 1"


@pytest.fixture(scope="module")
def charts(standing: tuple[Workshop, str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A chart repository at a public URL that serves `app` 1.0.0."""
    archive = chart_archive(tmp_path_factory.mktemp("charts"), version="1.0.0")
    options = ("--host", "charts.example.org", "--prefix", "/stable", "--lab", LAB)
    standing[0].fluxlab.ok("charts", "add", str(archive), *options)
    return "https://charts.example.org/stable"


def _image(workshop: Workshop) -> str:
    path = "jsonpath={.spec.template.spec.containers[0].image} {.status.readyReplicas}"
    return workshop.observer.kubectl("get", "deployment", "app", "-n", "default", "-o", path)


@pytest.mark.verify
def test_a_release_has_arrived_when_its_workloads_have(workshop: Workshop, charts: str) -> None:
    workshop.arrives(workshop.push({"app.yaml": RELEASE.format(url=charts, chart="app", replicas=2)}))
    assert _image(workshop) == "app:1.0.0 2"
    workshop.arrives(workshop.push({"app.yaml": RELEASE.format(url=charts, chart="app", replicas=3)}))
    assert _image(workshop) == "app:1.0.0 3"


@pytest.mark.verify
def test_a_release_that_is_suspended_before_it_was_installed_holds_up_no_later_commit(
    workshop: Workshop, charts: str
) -> None:
    parked = RELEASE.format(url=charts, chart="app", replicas=1).replace(
        "spec:\n  interval", "spec:\n  suspend: true\n  interval"
    )
    assert "suspend: true" in parked
    assert workshop.wait(workshop.push({"app.yaml": parked})).returncode == 1, "it never arrives"
    workshop.arrives(workshop.push({"probe.yaml": CONFIG_MAP.format(value="beside what is suspended")}))
    assert workshop.value() == "beside what is suspended"
    done = workshop.wait(workshop.push({"app.yaml": parked.replace("replicas: 1", "replicas: 2")}))
    assert "HelmRelease default/app: is suspended: what it had not released does not arrive" in done.stderr


@pytest.mark.verify
def test_a_release_that_depends_on_another_is_waited_for_and_goes_out_after_it(
    workshop: Workshop, charts: str, eventually: Eventually
) -> None:
    repository, _, release = RELEASE.format(url=charts, chart="app", replicas=2).partition("---\n")
    base = release.replace("name: app,", "name: base,").replace("values: {replicas: 2}", "targetNamespace: kube-public")
    base += "  valuesFrom: [{kind: Secret, name: late, valuesKey: replicas, targetPath: replicas}]\n"
    after = release + "  dependsOn: [{name: base}]\n"
    commit = workshop.push({"app.yaml": f"{repository}---\n{base}---\n{after}"})
    eventually(lambda: "dependency" in _not_ready(workshop, "helmrelease", "app"), within=60, what="it waits")
    done = workshop.wait(commit, "--timeout", "2")
    assert done.returncode == 1
    assert "not arrived within" in done.stderr, "what waits for a dependency is no terminal failure"
    [told] = [line for line in done.stderr.splitlines() if line.startswith("  HelmRelease default/app: ")]
    assert "dependency 'default/base' is not ready" in told
    workshop.observer.kubectl("create", "secret", "generic", "late", "-n=default", "--from-literal=replicas=1")
    workshop.observer.kubectl("label", "secret", "late", "-n=default", "reconcile.fluxcd.io/watch=Enabled")
    workshop.arrives(commit)
    assert _image(workshop) == "app:1.0.0 2"
    workshop.observer.kubectl("delete", "secret", "late", "-n=default")


CHART_REFERENCE = """\
apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata: {{name: app, namespace: default}}
spec:
  interval: 10m
  url: oci://registry.example.org/charts/app
  ref: {{tag: {tag}}}
  layerSelector: {{mediaType: application/vnd.cncf.helm.chart.content.v1.tar+gzip, operation: copy}}
---
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {{name: app, namespace: default}}
spec: {{interval: 10m, chartRef: {{kind: OCIRepository, name: app}}}}
"""


@pytest.mark.verify
def test_a_release_that_refers_to_an_artifact_arrives_with_the_tag_of_the_commit(
    workshop: Workshop, tmp_path: Path, eventually: Eventually
) -> None:
    for version in ("1.0.0", "2.0.0"):
        archive = str(chart_archive(tmp_path, version=version))
        workshop.fluxlab.ok("charts", "add", archive, "--host=oci://registry.example.org/charts", "--lab", LAB)
    workshop.arrives(workshop.push({"app.yaml": CHART_REFERENCE.format(tag="1.0.0")}))
    assert _image(workshop).startswith("app:1.0.0")
    controller = _component(workshop, "flux-playground/helm-controller")["pid"]
    os.kill(controller, signal.SIGSTOP)
    try:
        commit = workshop.push({"app.yaml": CHART_REFERENCE.format(tag="2.0.0")})

        def fetched() -> bool:
            ready, revision = workshop.ready("ocirepository", "app", "default")
            return (ready, revision[:5]) == ("True", "2.0.0")

        workshop.await_applied(commit)
        eventually(fetched, within=60, what="the tag is fetched")
        done = workshop.wait(commit, "--timeout", "2")
        assert workshop.ready("helmrelease", "app", "default")[0] == "True", "Ready still speaks of the old chart"
        assert _image(workshop).startswith("app:1.0.0")
        assert done.returncode == 1, done.stdout
        assert "HelmRelease default/app: has chart sha256:" in done.stderr
    finally:
        os.kill(controller, signal.SIGCONT)
    workshop.arrives(commit)
    assert _image(workshop).startswith("app:2.0.0")


@pytest.mark.verify
def test_a_release_that_its_controller_has_not_seen_keeps_the_latch_shut(workshop: Workshop, charts: str) -> None:
    workshop.arrives(workshop.push({"app.yaml": RELEASE.format(url=charts, chart="app", replicas=1)}))
    # Stopped as a process: a Deployment scaled to 0 would be scaled up again by the very commit that is pushed.
    controller = _component(workshop, "flux-playground/helm-controller")["pid"]
    os.kill(controller, signal.SIGSTOP)
    try:
        commit = workshop.push({"app.yaml": RELEASE.format(url=charts, chart="app", replicas=2)})
        workshop.await_applied(commit)
        done = workshop.wait(commit, "--timeout", "2")
        assert done.returncode == 1
        assert "HelmRelease default/app: its controller has not seen the new spec yet" in done.stderr
        assert workshop.ready("kustomization") == ("True", f"main@sha1:{commit}")
        assert workshop.ready("helmrelease", "app", "default")[0] == "True", "Ready still speaks of the old spec"
        assert _image(workshop) == "app:1.0.0 1"
    finally:
        os.kill(controller, signal.SIGCONT)
    workshop.arrives(commit)
    assert _image(workshop) == "app:1.0.0 2"


VALUES = """\
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: app-values, namespace: default}}
data: {{values.yaml: "replicas: {replicas}", far: "1e21"}}
"""


def test_a_release_has_arrived_when_it_runs_with_the_values_that_it_reads(workshop: Workshop, charts: str) -> None:
    reading = RELEASE.format(url=charts, chart="app", replicas=1).replace("interval: 1m\n", "interval: 10m\n")
    reading = reading.replace(
        "values: {replicas: 1}",
        "valuesFrom: [{kind: ConfigMap, name: app-values},"
        " {kind: ConfigMap, name: app-values, valuesKey: far, targetPath: 'deep.list[1].far'}]",
    )
    assert "valuesFrom" in reading
    workshop.arrives(workshop.push({"app.yaml": reading + VALUES.format(replicas=2)}))
    assert _image(workshop) == "app:1.0.0 2"
    # Nothing of the release changes, and helm-controller looks by itself in ten minutes.
    commit = workshop.push({"app.yaml": reading + VALUES.format(replicas=3)})
    workshop.await_applied(commit)
    done = workshop.wait(commit, "--timeout", "2")
    assert workshop.ready("kustomization") == ("True", f"main@sha1:{commit}")
    assert workshop.ready("helmrelease", "app", "default")[0] == "True", "Ready still speaks of the old values"
    assert _image(workshop) == "app:1.0.0 2"
    assert done.returncode == 1, done.stdout
    assert (
        "HelmRelease default/app: has not been released with the values of ConfigMap app-values, and looks by itself "
        f"within 10m (fluxlab flux --lab {LAB} reconcile helmrelease app -n default)"
    ) in done.stderr
    workshop.observer.kubectl(
        "annotate", "helmrelease", "app", "-n", "default", f"reconcile.fluxcd.io/requestedAt={commit}"
    )
    workshop.arrives(commit)
    assert _image(workshop) == "app:1.0.0 3"


@pytest.mark.verify
def test_a_chart_is_added_by_its_host_alone_where_git_names_the_repository(workshop: Workshop, tmp_path: Path) -> None:
    archive, host = str(chart_archive(tmp_path, version="1.0.0")), "elsewhere.example.org"
    add = ("charts", "add", archive, f"--host={host}", "--lab", LAB)
    refused = workshop.fluxlab.run(*add)
    assert refused.returncode == 64
    assert f"which repository at {host}?" in refused.stderr
    assert "add --prefix" in refused.stderr
    commit = workshop.push({"app.yaml": RELEASE.format(url=f"https://{host}/of/charts", chart="app", replicas=2)})
    assert f"app 1.0.0 is served at https://{host}/of/charts" in workshop.fluxlab.run(*add).stderr
    workshop.arrives(commit)
    assert _image(workshop) == "app:1.0.0 2"


def test_an_unknown_chart_fails_and_is_named(workshop: Workshop, charts: str) -> None:
    commit = workshop.push({"app.yaml": RELEASE.format(url=charts, chart="nonsense", replicas=1)})
    done = workshop.wait(commit, "--timeout", "60")
    assert done.returncode == 1
    assert "HelmRelease default/app" in done.stderr
    assert "nonsense" in done.stderr
    assert f"commit {commit[:10]} failed" in done.stderr


@pytest.mark.verify
def test_a_chart_repository_at_an_unmapped_host_is_waited_for_and_the_way_to_map_it_is_told(
    workshop: Workshop, eventually: Eventually
) -> None:
    commit = workshop.push({"app.yaml": RELEASE.format(url="https://nobody.example.org/x", chart="app", replicas=1)})
    workshop.await_applied(commit)
    eventually(lambda: workshop.ready("helmrepository", "charts", "default")[0] == "False", within=60)
    done = workshop.wait(commit, "--timeout", "2")
    assert done.returncode == 1
    assert "HelmRepository default/charts" in done.stderr
    assert "nobody.example.org" in done.stderr
    assert "allow" in done.stderr, "the refusal says how to let the host through"


@pytest.mark.verify
def test_a_new_chart_version_is_rolled_out_and_a_yanked_one_is_gone(
    workshop: Workshop, charts: str, tmp_path: Path, eventually: Eventually
) -> None:
    workshop.arrives(workshop.push({"app.yaml": RELEASE.format(url=charts, chart="app", replicas=1)}))
    options = ("--host", "charts.example.org", "--lab", LAB)
    workshop.fluxlab.ok("charts", "add", str(chart_archive(tmp_path, version="1.1.0")), *options)
    workshop.fluxlab.ok("flux", "--lab", LAB, "reconcile", "source", "helm", "charts", "-n", "default")
    eventually(lambda: _image(workshop) == "app:1.1.0 1", what="version 1.1.0 is rolled out")
    workshop.fluxlab.ok("charts", "yank", "app", "1.1.0", *options)
    assert "1.1.0" not in workshop.fluxlab.ok("charts", "list", "--lab", LAB)


@pytest.mark.verify
def test_a_later_commit_stands_for_an_earlier_one(workshop: Workshop) -> None:
    first = workshop.push({"probe.yaml": CONFIG_MAP.format(value="first")})
    second = workshop.push({"probe.yaml": CONFIG_MAP.format(value="second")})
    workshop.arrives(first)
    workshop.arrives(second)
    assert workshop.value() == "second"


def test_a_commit_that_was_never_pushed_is_a_usage_error(workshop: Workshop) -> None:
    done = workshop.wait("0" * 40)
    assert done.returncode == 64
    assert "git push" in done.stderr


def test_a_commit_that_was_forced_away_cannot_arrive(workshop: Workshop) -> None:
    lost = workshop.push({"probe.yaml": CONFIG_MAP.format(value="lost")})
    workshop.git("reset", "--quiet", "--hard", "HEAD~1")
    workshop.push({"probe.yaml": CONFIG_MAP.format(value="instead")})
    done = workshop.wait(lost)
    assert done.returncode == 1
    assert "not on branch main" in done.stderr


def test_a_deleted_manifest_is_pruned_when_the_commit_has_arrived(workshop: Workshop) -> None:
    other = CONFIG_MAP.format(value="x").replace("probe", "other")
    workshop.arrives(workshop.push({"probe.yaml": None, "other.yaml": other}))
    assert workshop.value() is None
