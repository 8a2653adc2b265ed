"""Variables that manifests want and nobody sets: what is waited for, what never comes, and what to type."""

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import pytest

from fluxlab.clusters.api import ApiError, KubeApi
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import Resource
from fluxlab.flux.pending import Outlook, Pending
from fluxlab.flux.substitution import (
    decryption_problem,
    doubtful_values,
    substitution_problem,
    variables_not_in_use,
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


# -- values that come out as something else ---------------------------------------------------------------------------

NO_YAML = "post build failed for 'X/y': envsubst error: YAMLToJSON: yaml: unknown anchor 'anary' referenced"


class Holder(Cluster):
    """Secrets by name, in one namespace; a ConfigMap holds the same."""

    def __init__(self, **secrets: Mapping[str, str]) -> None:
        super().__init__("observability")
        self.secrets = secrets

    def find(self, resource: Resource, name: str, *, namespace: str | None = None) -> KubeObject | None:
        data = {key: b64encode(value.encode()).decode() for key, value in self.secrets[name].items()}
        metadata = {"name": name, "namespace": namespace}
        return KubeObject({"kind": resource.kind, "metadata": metadata, "data": data})


def reading(build: Build, cluster: Holder, *, message: str = "", kind: str = "Secret") -> tuple[KubeObject, Any]:
    """A Kustomization that reads all that a cluster holds, in their order, and with what to look at it."""
    sources = [{"kind": kind, "name": name} for name in cluster.secrets]
    post_build = {"substitute": {"VERSION": "1"}, "substituteFrom": sources}
    conditions = {"Ready": ("False", "BuildFailed", message)} if message else {}
    spec = {"path": "./agent", "postBuild": post_build}
    made = build("Kustomization", "agent", namespace="observability", spec=spec, conditions=conditions)
    return made, {"api": cast("KubeApi", cluster), "text": {"agent": GIT}.__getitem__}


def test_a_value_that_manifests_get_as_something_else_is_told_by_secret_and_key(build: Build) -> None:
    made, where = reading(build, Holder(agent={"TOKEN": "", "REGION": "canary\n", "ZONE": "fine", "UNUSED": "*"}))
    about = "of Secret observability/agent, which Kustomization observability/agent reads,"
    assert list(doubtful_values(made, **where)) == [
        f"TOKEN {about} is empty",
        f"REGION {about} ends with a line feed, which Flux's postBuild leaves out",
    ]


def test_only_the_value_counts_that_is_taken_and_that_no_commit_brings(build: Build) -> None:
    made, where = reading(build, Holder(agent={"TOKEN": "*", "VERSION": "*"}, later={"TOKEN": "fine"}))
    assert list(doubtful_values(made, **where)) == []
    made, where = reading(build, Holder(agent={"TOKEN": "*"}), kind="ConfigMap")
    assert list(doubtful_values(made, **where)) == []


def test_a_build_that_fails_for_a_value_of_a_secret_asks_for_another_value_and_quotes_nothing(build: Build) -> None:
    made, where = reading(build, Holder(agent={"TOKEN": "*canary"}), message=NO_YAML)
    found = substitution_problem(made, **where)
    assert found is not None
    assert found.outlook is Outlook.ASKING
    assert found.why.startswith("cannot be built: TOKEN of Secret observability/agent reads as something else in YAML")
    assert found.next == "fluxlab secret set observability/agent TOKEN"
    assert "anary" not in str(found)


def test_of_secrets_that_nobody_may_read_nothing_is_told(build: Build) -> None:
    class Closed(Holder):
        def find(self, resource: Resource, name: str, *, namespace: str | None = None) -> KubeObject | None:
            raise ApiError(f"{resource} {namespace}/{name}", status=403, message="no")

    made, where = reading(build, Closed(agent={"TOKEN": ""}))
    assert list(doubtful_values(made, **where)) == []


def test_a_build_that_fails_for_no_value_of_a_secret_stays_what_it_is(build: Build) -> None:
    made, where = reading(build, Holder(agent={"TOKEN": "fine"}), message=NO_YAML)
    assert substitution_problem(made, **where) is None


# -- keys that are not there ------------------------------------------------------------------------------------------

KEYS = {"provider": "sops", "secretRef": {"name": "agent"}}


def keyless(build: Build, message: str, *namespaces: str, git: str = "", decryption: Any = KEYS) -> Any:
    spec = {"path": "./agent", "decryption": decryption}
    conditions = {"Ready": ("False", "BuildFailed", message)}
    kustomization = build("Kustomization", "agent", namespace="observability", spec=spec, conditions=conditions)
    text = {"agent": git}.__getitem__
    return decryption_problem(kustomization, api=cast("KubeApi", Cluster(*namespaces)), text=text)


@pytest.mark.parametrize(
    "message",
    [
        'secrets "agent" not found',
        'Secret "agent" not found',
        "cannot get sops decryption Secret 'observability/agent': secrets \"agent\" not found",
    ],
)
def test_a_missing_secret_with_keys_is_asked_for(build: Build, message: str) -> None:
    found = keyless(build, message)
    assert found.outlook is Outlook.ASKING
    assert found.why == "waits for Secret observability/agent with key age.agekey"
    assert found.next == "fluxlab secret set observability/agent age.agekey"


@pytest.mark.parametrize(
    ("git", "key"),
    [
        ("sops:\n  age:\n  - enc: |\n      -----BEGIN AGE ENCRYPTED FILE-----\n", "age.agekey"),
        ("sops:\n  pgp:\n  - enc: |\n      -----BEGIN PGP MESSAGE-----\n", "sops.asc"),
        ("sops:\n  hc_vault:\n  - vault_address: https://vault.example.org\n", "sops.vault-token"),
    ],
)
def test_the_key_is_asked_for_that_opens_what_lies_in_git(build: Build, git: str, key: str) -> None:
    assert keyless(build, 'secrets "agent" not found', git=git).next == f"fluxlab secret set observability/agent {key}"


def test_a_secret_with_keys_that_has_just_come_or_lies_elsewhere_is_told_as_one_with_variables_is(build: Build) -> None:
    found = keyless(build, 'secrets "agent" not found', "observability")
    assert found.outlook is Outlook.WAITING
    assert found.why.endswith("which is there now: Flux will try again")
    found = keyless(build, 'secrets "agent" not found', "default")
    assert found.outlook is Outlook.ASKING
    assert "; there is one in namespace default, but decryption reads no namespace" in found.why


def test_another_secret_or_another_trouble_with_decryption_is_none_of_these(build: Build) -> None:
    assert keyless(build, 'secrets "agent" not found', decryption=None) is None
    assert keyless(build, 'secrets "of-the-controller" not found') is None
    assert keyless(build, "decryption failed for 'Secret/x': cannot get sops data key") is None
    assert keyless(build, NOT_FOUND) is None


# -- what was applied as it stands in git ----------------------------------------------------------------------------


def judged(
    build: Build, *values: str, git: str = "", outlook: Outlook = Outlook.WAITING, cluster: Cluster | None = None
) -> Pending:
    release = build("HelmRelease", "agent", spec={"values": {"list": [{"deep": value} for value in values]}})
    before = Pending(object=str(release), outlook=outlook, why="is not ready")
    by = build("Kustomization", "agent", namespace="flux-system", spec={"path": "./agent"})
    api = cast("KubeApi", cluster or Cluster())
    return with_literal_variables(release, before, by=by, api=api, text={"agent": git}.__getitem__)


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


PUBLISHED = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [release.yaml]
postBuild:
  substituteFrom:
  - {kind: Secret, name: agent}
"""
NEITHER = "; nor would Kustomization flux-system/agent find Secret flux-system/agent"


def test_beside_it_a_secret_that_its_kustomization_would_not_find_is_the_next_mistake(build: Build) -> None:
    found = judged(build, "${TOKEN}", git=PUBLISHED, cluster=Cluster("causely"))
    elsewhere = "; there is one in namespace causely, but substituteFrom reads no namespace but the Kustomization's own"
    assert found.outlook is Outlook.FAILED
    assert "ignored in a kustomization.yaml" in found.why
    assert found.why.endswith(f"{NEITHER}{elsewhere}")


def test_a_secret_that_is_nowhere_is_told_as_well(build: Build) -> None:
    assert judged(build, "${TOKEN}", git=PUBLISHED).why.endswith(NEITHER)


@pytest.mark.parametrize("more", ["name: agent, optional: true", "name: agent"])
def test_a_secret_that_would_be_found_or_need_not_be_is_no_mistake(build: Build, more: str) -> None:
    cluster = Cluster(*(["causely"] if "optional" in more else ["causely", "flux-system"]))
    found = judged(build, "${TOKEN}", git=PUBLISHED.replace("name: agent", more), cluster=cluster)
    assert found.why.endswith("ignored in a kustomization.yaml")


def test_who_may_not_see_secrets_is_told_what_is_known(build: Build) -> None:
    class Closed(Cluster):
        def list(self, resource: Resource, *, query: Mapping[str, str]) -> Sequence[KubeObject]:
            raise ApiError(f"{resource} {query}", status=403, message="no")

    found = judged(build, "${TOKEN}", git=PUBLISHED, cluster=Closed())
    assert found.why.endswith("ignored in a kustomization.yaml")


def test_a_post_build_where_it_belongs_is_none(build: Build) -> None:
    found = judged(build, "${VERSION}", git="kind: Kustomization\nspec:\n  postBuild:\n    substitute: {}\n")
    assert found.outlook is Outlook.WAITING


def test_of_a_release_that_no_kustomization_applied_git_says_nothing(build: Build) -> None:
    release = build("HelmRelease", "agent", spec={"values": {"version": "${VERSION}"}})
    before = Pending(object=str(release), outlook=Outlook.WAITING, why="is not ready")
    nobody = cast("KubeApi", Cluster())
    found = with_literal_variables(
        release, before, by=None, api=nobody, text=lambda _: "postBuild:\n  substitute: {}\n"
    )
    assert found.outlook is Outlook.WAITING
    assert "its spec holds ${VERSION}" in found.why


def test_without_variables_nothing_is_added(build: Build) -> None:
    assert judged(build, "$${ESCAPED}", "$PLAIN", "{}").why == "is not ready"


# -- what has changed since ------------------------------------------------------------------------------------------

OWNED = {"kustomize.toolkit.fluxcd.io/namespace": "flux-system", "kustomize.toolkit.fluxcd.io/name": "flux-system"}
MANIFEST = 'a: "${WORD}"\nb: "$${COLOUR}"\nc: "${SHAPE:=round}"'


def unused(build: Build, *, at: str, keys: Sequence[str] = ("WORD",), **given: Any) -> str:
    """What a Kustomization whose last status is the tenth change was not built with; its variables changed `at`.

    `was` are the values of `keys` at the tenth change, and not known any more if None; `spec` is more of its spec.
    """
    now = dict.fromkeys(keys, "x")
    made = build("ConfigMap", "words", metadata={"resourceVersion": at}, labels=given.get("labels", OWNED))
    then = KubeObject({**made.raw, "data": given.get("was", {})})
    source = {"kind": "ConfigMap", "name": "words"}
    spec = {"path": "./apps", "postBuild": {"substituteFrom": [source], **given.get("post_build", {})}}
    child = build("Kustomization", "child", spec={**spec, **given.get("spec", {})}, metadata={"resourceVersion": "10"})

    class Api:
        def find(self, resource: Resource, name: str, *, namespace: str | None = None) -> KubeObject | None:
            assert (resource.kind, namespace) == ("ConfigMap", "flux-system")
            found = {"words": KubeObject({**made.raw, "data": now}), **given.get("others", {})}
            return found.get(name) if given.get("there", True) else None

        def list(
            self, resource: Resource, *, namespace: str | None = None, query: Mapping[str, str]
        ) -> Sequence[KubeObject]:
            assert (resource.kind, namespace) == ("ConfigMap", "flux-system")
            assert query["fieldSelector"] == "metadata.name=words"
            assert (query["resourceVersion"], query["resourceVersionMatch"]) == ("10", "Exact")
            if status := given.get("refused"):
                raise ApiError("list", status=status, message="")
            return [] if given.get("was", {}) is None else [then]

    files = {"apps": MANIFEST, "base": "d: ${BASE}"}
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


def test_of_many_variables_only_those_are_told_that_have_another_value_since(build: Build) -> None:
    keys = ["WORD", "SHAPE", "OTHER"]
    assert unused(build, at="11", keys=keys, was={"WORD": "x", "SHAPE": "x", "OTHER": "y"}) == ""
    told = unused(build, at="11", keys=keys, was={"WORD": "x", "SHAPE": "y", "OTHER": "x"})
    assert told == "has not been built with SHAPE of ConfigMap flux-system/words as it is now"


def test_a_variable_that_is_there_no_more_is_told(build: Build) -> None:
    told = unused(build, at="11", keys=["OTHER"], was={"WORD": "x", "OTHER": "x"})
    assert told == "has not been built with WORD (gone) of ConfigMap flux-system/words as it is now"


def test_all_variables_of_what_was_not_there_yet_are_new(build: Build) -> None:
    assert unused(build, at="11", was=None).startswith("has not been built with WORD of")


@pytest.mark.parametrize("status", [410, 403])
def test_what_variables_were_and_cannot_be_read_any_more_is_not_taken_for_what_they_are(
    build: Build, status: int
) -> None:
    assert unused(build, at="11", was={"WORD": "x"}, refused=status).startswith("has not been built with WORD of")


def test_variables_that_something_else_overrides_are_not_told(build: Build) -> None:
    keys = ["WORD", "SHAPE"]
    assert unused(build, at="11", keys=keys, post_build={"substitute": dict.fromkeys(keys, "z")}) == ""
    later = build("ConfigMap", "later", metadata={"resourceVersion": "9"}, labels=OWNED)
    others = {"later": KubeObject({**later.raw, "data": {"WORD": "z"}})}
    both = {"substituteFrom": [{"kind": "ConfigMap", "name": name} for name in ("words", "later")]}
    assert "with SHAPE of" in unused(build, at="11", keys=keys, post_build=both, others=others)
    reversed_ = {"substituteFrom": list(reversed(both["substituteFrom"]))}
    assert "with WORD, SHAPE of" in unused(build, at="11", keys=keys, post_build=reversed_, others=others)


def test_variables_in_the_patches_and_components_of_a_kustomization_are_wanted(build: Build) -> None:
    patched = {"patches": [{"patch": "- {op: add, path: /spec/x, value: '${PATCHED}'}"}], "components": ["../base"]}
    assert "with BASE, PATCHED of" in unused(build, at="11", keys=["BASE", "PATCHED"], spec=patched)
