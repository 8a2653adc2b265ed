"""What was done by hand is adopted by merging a branch: the edits are the oracle, and git and kubectl what they see."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.integration.drift_objects import (
    AS_ALICE,
    CHARTS,
    ROOT,
    SOURCE,
    chart,
    config_map,
    kustomization,
    namespace,
    patch,
    release,
)
from tests.integration.gitops import git

from fluxlab.adoption.result import Adoption
from fluxlab.documents import JsonObject
from fluxlab.drift.records import DriftReport
from fluxlab.errors import UsageError
from fluxlab.lab import Lab

pytestmark = pytest.mark.integration

SECRET_VALUE = "bm90LWZvci1ldmVyeWJvZHk="
BRANCH = "adopt-hotfix"
WORD = "not-for-everybody"
OLD_VALUE = "b3JpZ2luYWwtdmFsdWU="
CART = """\
# what the shop looks like
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  namespace: shop
data:
  colour: "red"   # as always
  size: "1"
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: report, namespace: shop}
spec:
  schedule: 0 0 1 1 *
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers:
          - name: app  # there is but one
            image: app:1
"""
WEB = "namespace: web\nresources:\n  - ../web-base  # for all\n  - old.yaml\n"
REPORT = "metadata: {name: report, namespace: shop}\nspec:\n"
POLL = "metadata: {name: poll}\nspec:\n  failedJobsHistoryLimit: ${LIMIT}\n"
SCRIPT = "#!/bin/sh\necho on\n"
NOT_THIS = "a Secret's values are never written to git"
NOR_THIS = "it holds a value of a Secret, or the address of a webhook, which is never written to git"
OVERRULED = (
    "no single file below web has it; "
    "Kustomization flux-system/web of flux-playground builds something else at .metadata.annotations.by all the same"
)
LABEL, LIMIT = "/metadata/labels/team", "/spec/failedJobsHistoryLimit"
IMAGE, ENV = (f"/spec/jobTemplate/spec/template/spec/containers/0/{field}" for field in ("image", "env/0"))


@dataclass(frozen=True)
class Edit:
    """What alice does, and where it differs from git then."""

    subject: str
    command: tuple[str, ...]
    pointers: tuple[str, ...] = ("",)
    left: str = ""
    """Why it is not adopted."""


def by_alice(namespace: str, *words: str) -> tuple[str, ...]:
    return (*words, "-n", namespace, *AS_ALICE)


EDITS = (
    # in a file with comments
    Edit(
        "ConfigMap shop/settings",
        patch("settings", {"data": {"colour": "blue", "size": None, "more": "on"}}),
        ("/data/colour", "/data/more", "/data/size"),
    ),
    Edit("CronJob shop/report", by_alice("shop", "set", "image", "cronjob/report", "app=app:2"), (IMAGE,)),
    # in an overlay of a base, over a variable
    Edit(
        "CronJob web/poll",
        patch("poll", {"spec": {LIMIT.rpartition("/")[2]: 5}}, kind="cronjob", namespace="web"),
        (LIMIT,),
    ),
    Edit("CronJob web/poll", by_alice("web", "label", "cronjob/poll", "team=blue"), (LABEL,)),
    Edit("CronJob web/poll", by_alice("web", "set", "env", "cronjob/poll", "GREETING=hi"), (ENV,)),
    Edit("ConfigMap web/script", patch("script", {"data": {"run": SCRIPT}}, namespace="web"), ("/data/run",)),
    # in a folder that two Kustomizations build
    Edit("ConfigMap blue/theme", patch("theme", {"data": {"colour": "blue"}}, namespace="blue"), ("/data/colour",)),
    # of a chart
    Edit("ConfigMap shop/tiny-patched", patch("tiny-patched", {"data": {"colour": "blue"}}), ("/data/colour",)),
    Edit("ConfigMap shop/tiny-added", patch("tiny-added", {"data": {"more": "x"}}), ("/data/more",)),
    Edit("ConfigMap shop/tiny-gone", by_alice("shop", "delete", "configmap", "tiny-gone")),
    # of Flux itself
    Edit(
        "Kustomization flux-system/green",
        patch("green", {"spec": {"timeout": "3m"}}, kind="kustomization", namespace="flux-system"),
        ("/spec/timeout",),
    ),
    # whole objects
    Edit("ConfigMap shop/gone", by_alice("shop", "delete", "configmap", "gone")),
    Edit("ConfigMap web/old", by_alice("web", "delete", "configmap", "old")),
    Edit("ConfigMap shop/mine", by_alice("shop", "create", "configmap", "mine", f"--from-literal=run={SCRIPT}")),
    Edit("Service web/hot", by_alice("web", "create", "service", "clusterip", "hot", "--tcp=80")),
    # what git must not say, or cannot
    Edit(
        "Secret shop/hidden", patch("hidden", {"data": {"key": SECRET_VALUE}}, kind="secret"), ("/data/key",), NOT_THIS
    ),
    Edit(
        "Secret shop/new",
        by_alice("shop", "create", "secret", "generic", "new", f"--from-literal=a={WORD}"),
        left=NOT_THIS,
    ),
    Edit(
        "ConfigMap shop/leak",
        by_alice("shop", "create", "configmap", "leak", f"--from-literal=a=x{WORD}"),
        left=NOR_THIS,
    ),
    Edit(
        "ConfigMap web/pinned",
        patch("pinned", {"metadata": {"annotations": {"by": "alice"}}}, namespace="web"),
        ("/metadata/annotations/by",),
        OVERRULED,
    ),
    Edit("ConfigMap web/pinned", patch("pinned", {"data": {"x": WORD}}, namespace="web"), ("/data/x",), NOR_THIS),
)


@pytest.fixture(scope="module")
def shop(module_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab as git wants it: plain files, a chart, a base with an overlay, and a folder that is built twice."""
    lab, repository = module_lab, module_lab.repository
    lab.add_chart(chart(tmp_path_factory.mktemp("charts") / "everything"), url=CHARTS)
    root = [
        *(namespace(name) for name in ("shop", "web", "blue", "green")),
        SOURCE,
        kustomization("apps"),
        kustomization("web", postBuild={"substitute": {"LIMIT": "2"}}),
        *(kustomization(name, path="./shared", targetNamespace=name) for name in ("blue", "green")),
    ]
    repository.write(ROOT, root)
    repository.write("apps/cart.yaml", CART)
    repository.write("apps/gone.yaml", config_map("gone"))
    of_chart = [config_map(f"tiny-{name}") for name in ("patched", "added", "gone")]
    repository.write("apps/tiny.yaml", release("tiny", of_chart, mode="disabled"))
    hidden: JsonObject = {"name": "hidden", "namespace": "shop"}
    secret: JsonObject = {"apiVersion": "v1", "kind": "Secret", "metadata": hidden, "data": {"key": OLD_VALUE}}
    repository.write("apps/hidden.yaml", secret)
    repository.write("web-base/poll.yaml", CART.partition("---\n")[2].replace(REPORT, POLL))
    repository.write("web-base/maps.yaml", [{**unplaced(name), "data": {"a": "b"}} for name in ("pinned", "script")])
    repository.write("web-base/kustomization.yaml", "resources: [poll.yaml, maps.yaml]\n")
    repository.write("web/kustomization.yaml", WEB + "commonAnnotations: {by: git}\n")
    repository.write("web/old.yaml", {**unplaced("old"), "data": {"a": "b"}})
    repository.write("shared/theme.yaml", {**unplaced("theme"), "data": {"colour": "grey"}})
    lab.converge(repository.commit("Open the shop"))
    lab.drift().assert_clean()
    return lab


def unplaced(name: str) -> JsonObject:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}


@pytest.fixture(scope="module")
def edited(shop: Lab) -> DriftReport:
    """What is told of all that alice did."""
    for edit in EDITS:
        shop.cluster.kubectl(*edit.command)
    return shop.drift()


@pytest.fixture(scope="module")
def adoption(shop: Lab, edited: DriftReport) -> Adoption:
    """What came of adopting all of it."""
    return shop.adopt(edited, branch=BRANCH)


@pytest.fixture(scope="module")
def clone(shop: Lab, adoption: Adoption, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lab's repository, as plain git has it."""
    assert adoption.branch == BRANCH
    return shop.repository.clone(tmp_path_factory.mktemp("clone") / "fleet")


@pytest.mark.verify
def test_nothing_is_written_to_a_cluster(shop: Lab, edited: DriftReport, request: pytest.FixtureRequest) -> None:
    assert edited.drifts
    audit = shop.cluster.kubeconfig.parent / "audit.log"
    before = len(audit.read_text().splitlines())
    assert request.getfixturevalue("adoption").commit
    own = [
        one
        for one in map(json.loads, audit.read_text().splitlines()[before:])
        if one["userAgent"].startswith(("fluxlab", "flux/"))
    ]
    assert {one["verb"] for one in own} == {"get", "list"}


def test_what_was_done_is_adopted_but_for_what_git_must_not_say(adoption: Adoption) -> None:
    assert {(str(one.object), one.pointer) for one in adoption.adopted} == {
        (edit.subject, pointer) for edit in EDITS if not edit.left for pointer in edit.pointers
    }
    assert {(str(one.object), one.pointer, why) for one, why in adoption.left} == {
        (edit.subject, pointer, edit.left) for edit in EDITS if edit.left for pointer in edit.pointers
    }
    assert adoption.exit_code == 1


def test_the_branch_has_one_commit_which_names_who_it_was(clone: Path, adoption: Adoption) -> None:
    assert adoption.commit
    assert git("log", "-1", "--format=%s", "origin/main", cwd=clone) == "Open the shop"
    assert git("rev-list", f"origin/main..origin/{BRANCH}", cwd=clone) == adoption.commit.sha
    message = git("log", "-1", "--format=%B", f"origin/{BRANCH}", cwd=clone)
    for edit in EDITS:
        assert (f"{edit.subject}: " in message) is not bool(edit.left)
    who = [line for line in message.splitlines() if line.startswith("  by ")]
    assert len(who) == len(adoption.adopted)
    assert [line for line in who if "admin as alice" not in line or "audit id " not in line] == []


def test_files_are_changed_where_they_say_it_and_stay_as_they_are_elsewhere(clone: Path) -> None:
    changed = git("diff", "--no-renames", "--name-status", f"origin/main...origin/{BRANCH}", cwd=clone)
    assert sorted(changed.split("\n")) == [
        "A\tapps/configmap-mine.yaml",
        "A\tweb/service-hot.yaml",
        "D\tapps/gone.yaml",
        "D\tweb/old.yaml",
        "M\tapps/cart.yaml",
        "M\tapps/tiny.yaml",
        f"M\t{ROOT}",
        "M\tweb/kustomization.yaml",
    ]
    edited = CART.replace('"red"   #', '"blue"  #').replace('  size: "1"', "  more: 'on'").replace("app:1", "app:2")
    assert text(clone, "apps/cart.yaml") == edited
    web = text(clone, "web/kustomization.yaml")
    assert web.startswith(WEB.replace("  - old.yaml\n", "  - service-hot.yaml\n"))
    assert "failedJobsHistoryLimit: 5" in web
    assert "run: |\n    #!/bin/sh\n    echo on\n" in text(clone, "apps/configmap-mine.yaml")
    assert "clusterIP:" not in text(clone, "web/service-hot.yaml")
    for file in ("apps/tiny.yaml", ROOT):
        removed = git("diff", "--numstat", f"origin/main...origin/{BRANCH}", "--", file, cwd=clone).split()[1]
        assert removed == "0"


def text(clone: Path, file: str) -> str:
    return git("show", f"origin/{BRANCH}:{file}", cwd=clone) + "\n"


def test_no_value_of_a_secret_is_in_any_commit(clone: Path) -> None:
    everything = git("log", "-p", "--all", cwd=clone)
    assert OLD_VALUE in everything  # the one that somebody wrote into it
    for value in (SECRET_VALUE, WORD):
        assert value not in everything


def test_a_branch_that_is_there_is_refused(shop: Lab, adoption: Adoption) -> None:
    with pytest.raises(UsageError, match=f"{BRANCH} is there already") as refused:
        shop.adopt(adoption.report, branch=BRANCH)
    assert f"git push origin --delete {BRANCH}" in refused.value.hint


def test_merged_it_is_what_the_cluster_says_and_stays(shop: Lab, adoption: Adoption) -> None:
    cluster = shop.cluster
    uids = cluster.kubectl("get", "configmap,service,cronjob", "-A", "-o", "jsonpath={.items[*].metadata.uid}")
    shop.converge(shop.repository.merge(BRANCH))

    left = {(str(one.object), one.pointer) for one, _ in adoption.left}
    reverted = {found for found in left if found[0] in {"Secret shop/hidden", "ConfigMap web/pinned"}}
    assert {(str(one.object), one.pointer) for one in shop.drift().drifts} == left - reverted
    told = [
        cluster.kubectl("get", kind, name, "-n", namespace, "-o", f"jsonpath={path}", "--ignore-not-found")
        for kind, namespace, name, path in (
            ("configmap", "shop", "settings", "{.data}"),
            ("cronjob", "shop", "report", "{..image}"),
            ("cronjob", "web", "poll", "{.spec.failedJobsHistoryLimit} {.metadata.labels.team} {..env[0].value}"),
            ("configmap", "web", "script", "{.data.run}"),
            ("configmap", "blue", "theme", "{.data.colour}"),
            ("configmap", "green", "theme", "{.data.colour}"),
            ("configmap", "shop", "tiny-patched", "{.data.colour}"),
            ("configmap", "shop", "tiny-added", "{.data.more}"),
            ("configmap", "shop", "tiny-gone", "there"),
            ("configmap", "shop", "gone", "there"),
            ("configmap", "web", "old", "there"),
        )
    ]
    settings = '{"colour":"blue","more":"on"}'
    assert told == [settings, "app:2", "5 blue hi", SCRIPT, "blue", "grey", "blue", "x", "", "", ""]
    assert uids == cluster.kubectl("get", "configmap,service,cronjob", "-A", "-o", "jsonpath={.items[*].metadata.uid}")


@pytest.mark.verify
def test_the_command_tells_what_it_adopted_and_by_its_exit_code_whether_that_is_all(shop: Lab) -> None:
    def drift(*options: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "fluxlab", "drift", f"--lab={shop.name}", "--as-patch", *options]
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)

    for kind, name in (("secret", "new"), ("configmap", "leak")):
        shop.cluster.kubectl("delete", kind, name, "-n", "shop", "--ignore-not-found")
    nothing = drift("--branch=nothing")
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert "nothing adopted" in nothing.stderr
    assert not shop.repository.has("nothing")

    shop.cluster.kubectl(*patch("tiny-patched", {"data": {"colour": "green"}}))
    all_of_it = drift("-o", "json")
    told = json.loads(all_of_it.stdout)
    assert (all_of_it.returncode, told["left"]) == (0, [])
    assert [one["object"] for one in told["adopted"]] == ["ConfigMap shop/tiny-patched"]
    assert shop.repository.resolve(told["branch"]) == told["commit"]
    assert told["branch"].startswith("drift/flux-playground-")

    shop.cluster.kubectl(*patch("hidden", {"data": {"key": SECRET_VALUE}}, kind="secret"))
    some = drift("--branch=some")
    assert some.returncode == 1
    assert some.stdout.startswith("adopted ConfigMap shop/tiny-patched: modified .data.colour: git wants ")
    assert 'there is "green"' in some.stdout
    assert "left Secret shop/hidden: modified .data.key" in some.stdout
    assert "git diff origin/main...origin/some" in some.stderr
    for refused in (["-o", "html"], ["--watch"]):
        assert drift(*refused).returncode == 64


@pytest.mark.verify
@pytest.mark.fluxlab(file="staging-production")
def test_a_hotfix_of_one_environment_is_adopted_for_it_alone(lab: Lab, tmp_path: Path) -> None:
    for name, cluster in lab.clusters.items():
        cluster.set_secret("causely/causely-secrets", "CAUSELY_TOKEN", f"token-of-{name}", create_namespace=True)
    lab.converge(timeout_seconds=300)
    staging, production = lab.clusters["staging"], lab.clusters["production"]
    staging.kubectl("scale", "deployment/cart", "--replicas=3", "-n", "otel-demo", *AS_ALICE)
    staging.kubectl(*patch("causely", {"data": {"cluster_name": "mine"}}, namespace="causely"))
    adoption = lab.adopt(lab.drift(), branch=BRANCH)
    assert (adoption.left, len(adoption.adopted), adoption.exit_code) == ([], 2, 0)
    clone = lab.repository.clone(tmp_path / "fleet")
    changed = git("diff", "--name-only", f"origin/main...origin/{BRANCH}", cwd=clone).split()
    assert changed == [f"environments/staging/{name}/kustomization.yaml" for name in ("causely", "oteldemo")]
    assert "token-of-" not in git("log", "-p", "--all", cwd=clone)

    lab.converge(lab.repository.merge(BRANCH), timeout_seconds=300)
    lab.drift().assert_clean()
    replicas = [
        cluster.kubectl("get", "deployment/cart", "-n", "otel-demo", "-o", "jsonpath={.spec.replicas}")
        for cluster in (staging, production)
    ]
    assert replicas == ["3", "1"]
