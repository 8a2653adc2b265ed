"""Variables that manifests want and nobody sets: what is waited for, what never comes, and what to type."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import pytest

from fluxlab.clusters.api import KubeApi
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import Resource
from fluxlab.flux.pending import Outlook, Pending
from fluxlab.flux.substitution import (
    substitution_problem,
    variables_not_in_use,
    with_bases,
    with_literal_variables,
)

Build = Callable[..., KubeObject]
GIT = """\
version: ${VERSION}
token: "${TOKEN}"
again: ${TOKEN}
optional: ${REGION:=eu} ${ZONE:-a}
shell: $${HOME} $PATH
"""
FROM_SECRET = [{"kind": "Secret", "name": "agent"}]
NOT_FOUND = "post build failed for 'X/y': substitute from 'Secret/agent' error: secrets \"agent\" not found"
NOT_SET = "post build failed for 'X/y': envsubst error: variable substitution failed: variable not set (strict mode): "


class Cluster:
    """Secrets by namespace, found by name as the API finds them."""

    def __init__(self, *namespaces: str) -> None:
        self.namespaces = namespaces

    def list(self, resource: Resource, *, query: Mapping[str, str]) -> Sequence[KubeObject]:
        assert (resource.kind, query) == ("Secret", {"fieldSelector": "metadata.name=agent"})
        return [KubeObject({"metadata": {"name": "agent", "namespace": each}}) for each in self.namespaces]


def problem(build: Build, message: str, *namespaces: str, reason: str = "BuildFailed", **post_build: Any) -> Any:
    kustomization = build(
        "Kustomization",
        "agent",
        namespace="observability",
        spec={"path": "./agent", "postBuild": {"substitute": {"VERSION": "1"}, **post_build}},
        conditions={"Ready": ("False", reason, message)},
    )
    text = {"agent": GIT}.__getitem__
    return substitution_problem(kustomization, api=cast("KubeApi", Cluster(*namespaces)), text=text)


def test_a_missing_secret_is_named_with_namespace_key_and_next_step(build: Build) -> None:
    found = problem(build, NOT_FOUND, substituteFrom=FROM_SECRET)
    assert found.outlook is Outlook.ASKING
    assert found.why == "waits for Secret observability/agent with key TOKEN"
    assert found.next == "fluxlab secret set observability/agent TOKEN"
    assert str(found).endswith(f"{found.why} ({found.next})")


def test_an_overlay_wants_what_its_bases_want() -> None:
    files = {
        "environments/staging/agent": "resources:\n- ../../base/agent\n- ../agent\n- ../../../../outside\nA",
        "environments/base/agent": "resources:\n- release.yaml\n- ../common\nB",
        "environments/base/common": "- ../agent\nC",
    }
    said = with_bases("./environments/staging/agent", files.__getitem__)
    assert [line for line in said.splitlines() if line.isupper()] == ["A", "B", "C"]


def test_a_secret_of_that_name_in_another_namespace_is_pointed_out(build: Build) -> None:
    found = problem(build, NOT_FOUND, "default", "causely", substituteFrom=FROM_SECRET)
    assert found.outlook is Outlook.ASKING
    assert "; there is one in namespace causely and default, but substituteFrom reads no namespace" in found.why


def test_a_secret_that_has_just_come_is_waited_for_and_not_asked_for(build: Build) -> None:
    found = problem(build, NOT_FOUND, "observability", substituteFrom=FROM_SECRET)
    assert found.outlook is Outlook.WAITING
    assert found.why.endswith("which is there now: Flux will try again")


def test_a_missing_config_map_comes_from_git_and_no_person_is_asked(build: Build) -> None:
    found = problem(build, f'{NOT_SET}"TOKEN"', substituteFrom=[{"kind": "ConfigMap", "name": "settings"}])
    assert found.outlook is Outlook.WAITING
    assert (found.why, found.next) == ("waits for ConfigMap observability/settings with key TOKEN", "")


def test_a_missing_key_is_waited_for_as_long_as_somebody_may_set_it(build: Build) -> None:
    found = problem(build, f'{NOT_SET}"TOKEN"', substituteFrom=FROM_SECRET)
    assert found.outlook is Outlook.ASKING
    assert found.why == "waits for Secret observability/agent with key TOKEN"
    assert found.next == "fluxlab secret set observability/agent TOKEN"
    assert str(found).endswith(f"{found.why} ({found.next})")


def test_a_variable_that_nobody_outside_of_git_sets_never_comes(build: Build) -> None:
    found = problem(build, f'{NOT_SET}"TOKEN"')
    assert found.outlook is Outlook.FAILED
    assert "no substitute of its postBuild sets the variable TOKEN" in found.why


@pytest.mark.parametrize("reason", ["ArtifactFailed", "HealthCheckFailed", "Progressing"])
def test_another_failure_is_none_of_these(build: Build, reason: str) -> None:
    assert problem(build, NOT_FOUND, reason=reason) is None


def test_another_failed_build_is_none_of_these(build: Build) -> None:
    assert problem(build, "kustomize build failed: no such file") is None


# -- what was applied as it stands in git ----------------------------------------------------------------------------


def judged(build: Build, *values: str, git: str = "", outlook: Outlook = Outlook.WAITING) -> Pending:
    release = build("HelmRelease", "agent", spec={"values": {"list": [{"deep": value} for value in values]}})
    before = Pending(object=str(release), outlook=outlook, why="is not ready")
    return with_literal_variables(release, before, path="./agent", text={"agent": git}.__getitem__)


@pytest.mark.parametrize("outlook", [Outlook.WAITING, Outlook.FAILED])
def test_literal_variables_are_a_hint_that_changes_no_outlook(build: Build, outlook: Outlook) -> None:
    # They may be meant so: dashboards and collectors have variables of their own.
    found = judged(build, "v${VERSION}", "${TOKEN}", "x", outlook=outlook)
    assert found.outlook is outlook
    assert found.why.startswith("is not ready; its spec holds ${TOKEN}, ${VERSION} as it stands in git")
    assert "kustomization.yaml" not in found.why


def test_a_post_build_in_a_kustomize_file_is_a_mistake_that_stays(build: Build) -> None:
    found = judged(build, "${VERSION}", git="kind: Kustomization\npostBuild:\n  substitute: {}\n")
    assert found.outlook is Outlook.FAILED
    assert found.why.endswith("postBuild is a field of Flux's Kustomization, and ignored in a kustomization.yaml")


def test_a_post_build_where_it_belongs_is_none(build: Build) -> None:
    found = judged(build, "${VERSION}", git="kind: Kustomization\nspec:\n  postBuild:\n    substitute: {}\n")
    assert found.outlook is Outlook.WAITING


def test_without_variables_nothing_is_added(build: Build) -> None:
    assert judged(build, "$${ESCAPED}", "$PLAIN", "{}").why == "is not ready"


# -- what has changed since ------------------------------------------------------------------------------------------

OWNED = {"kustomize.toolkit.fluxcd.io/namespace": "flux-system", "kustomize.toolkit.fluxcd.io/name": "flux-system"}
MANIFEST = 'a: "${WORD}"\nb: "$${COLOUR}"\nc: "${SHAPE:=round}"'


def unused(build: Build, *, at: str, keys: Sequence[str] = ("WORD",), **given: Any) -> str:
    """What a Kustomization whose last status is the tenth change was not built with; its variables changed `at`."""
    made = build("ConfigMap", "words", metadata={"resourceVersion": at}, labels=given.get("labels", OWNED))
    found = KubeObject({**made.raw, "data": dict.fromkeys(keys, "x")})
    source = {"kind": "ConfigMap", "name": "words"}
    child = build(
        "Kustomization",
        "child",
        spec={"path": "./apps", "postBuild": {"substituteFrom": [source]}},
        metadata={"resourceVersion": "10"},
    )

    class Api:
        def find(self, resource: Resource, name: str, *, namespace: str | None = None) -> KubeObject | None:
            asked = (resource.kind, name, namespace)
            return found if asked == ("ConfigMap", "words", "flux-system") and given.get("there", True) else None

    files = {"apps": MANIFEST}
    return variables_not_in_use(
        child, api=cast("KubeApi", Api()), text=lambda path: files.get(path, ""), of={("flux-system", "flux-system")}
    )


def test_variables_that_a_commit_has_changed_since_are_told(build: Build) -> None:
    assert unused(build, at="11") == "has not been built with WORD of ConfigMap flux-system/words as it is now"
    assert unused(build, at="11", keys=["SHAPE"]).startswith("has not been built with SHAPE of")
    assert unused(build, at="9") == ""


def test_variables_that_nothing_wants_or_that_are_no_part_of_the_commit_are_not(build: Build) -> None:
    assert unused(build, at="11", keys=["COLOUR", "WOR", "WORDS"]) == ""
    assert unused(build, at="11", labels={}) == ""
    assert unused(build, at="11", there=False) == ""
    assert unused(build, at="") == ""
