"""What git alone decides is built once; what depends on a cluster's variables, anew each time."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import trustme

from fluxlab.cluster import Cluster
from fluxlab.clusters.objects import KubeObject, dig, having
from fluxlab.clusters.root import Root
from fluxlab.documents import Json, JsonObject
from fluxlab.drift import builds
from fluxlab.drift.builds import KEPT_BUILDS, Builds, Files, Trees
from fluxlab.errors import UnknownError
from fluxlab.repository import Repository

URL = "https://github.com/acme/shop"


class Named(Cluster):
    """A cluster of which only the name is asked, and the one source that it has."""

    def __init__(self, name: str, *, source: KubeObject | None = None) -> None:
        self.name = name
        self.root = Root()
        self._source = source

    def find(self, kind: str, place: str) -> KubeObject | None:
        assert (kind, place) == ("GitRepository", "flux-system/shop")
        return self._source


class Bare(Repository):
    """A repository in which every revision is a commit."""

    def __init__(self) -> None:
        self.url = f"{URL}.git"

    def resolve(self, revision: str) -> str:
        return revision


class Folders(Trees):
    """The folders of commits, without files in them."""

    def __init__(self) -> None:
        pass

    def at(self, files: Files) -> Path:
        return Path(files.commit + files.ignore)


def kustomization(*, uid: str = "one", generation: int = 1, variables: Sequence[Json] = ()) -> KubeObject:
    spec: Json = {"postBuild": {"substituteFrom": list(variables)}} if variables else {}
    metadata: Json = {"name": "apps", "namespace": "flux-system", "uid": uid, "generation": generation}
    return KubeObject({"kind": "Kustomization", "metadata": metadata, "spec": spec})


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commits that flux was asked to build, in that order; it builds one object that bears the commit's name."""
    asked: list[str] = []

    def build(_: KubeObject, *, cluster: Cluster, tree: Path) -> Sequence[KubeObject]:
        asked.append(f"{cluster.name} {tree}")
        if str(tree) == "bad":
            raise UnknownError("it cannot be built")
        return [KubeObject({"kind": "ConfigMap", "metadata": {"name": str(tree)}})]

    monkeypatch.setattr(builds, "built", build)
    return asked


def names(known: Builds, subject: KubeObject, commit: str, *, cluster: str = "here", ignore: str = "") -> list[str]:
    files = Files(commit=commit, ignore=ignore)
    return [one.name for one in known.of(subject, files, cluster=Named(cluster), trees=Folders())]


def test_other_rules_of_the_source_are_another_build(built: list[str]) -> None:
    known = Builds()
    assert [names(known, kustomization(), "a", ignore=rules) for rules in ("", "/b", "")] == [["a"], ["a/b"], ["a"]]
    assert len(built) == 2


def test_what_was_built_of_a_commit_is_not_built_again(built: list[str]) -> None:
    known = Builds()
    assert [names(known, kustomization(), "a") for _ in range(3)] == [["a"]] * 3
    assert built == ["here a"]


def test_another_commit_cluster_object_or_spec_is_built(built: list[str]) -> None:
    known = Builds()
    names(known, kustomization(), "a")
    assert names(known, kustomization(), "b") == ["b"]
    names(known, kustomization(), "a", cluster="there")
    names(known, kustomization(uid="another"), "a")
    names(known, kustomization(generation=2), "a")
    assert built == ["here a", "here b", "there a", "here a", "here a"]


def test_what_takes_variables_from_the_cluster_is_built_each_time(built: list[str]) -> None:
    known, subject = Builds(), kustomization(variables=[{"kind": "Secret", "name": "words"}])
    assert [names(known, subject, "a") for _ in range(2)] == [["a"]] * 2
    assert built == ["here a"] * 2


def test_what_cannot_be_built_is_tried_again(built: list[str]) -> None:
    known = Builds()
    for _ in range(2):
        with pytest.raises(UnknownError):
            names(known, kustomization(), "bad")
    assert built == ["here bad"] * 2


def test_what_was_not_asked_for_in_a_long_time_is_forgotten(built: list[str]) -> None:
    known = Builds()
    for number in range(KEPT_BUILDS):
        names(known, kustomization(), f"{number}")
    names(known, kustomization(), "0")
    names(known, kustomization(), "more")
    del built[:]
    names(known, kustomization(), "0")
    assert built == []
    names(known, kustomization(), "1")
    assert built == ["here 1"]


def applied_from(*, observed: Json = "", **spec: Json) -> Sequence[Files]:
    """What a Kustomization has applied from a source of this kind."""
    source: Json = {"url": URL, **spec}
    raw: JsonObject = {"kind": "GitRepository", "spec": source, "status": {"observedIgnore": observed}}
    cluster = Named("here", source=KubeObject(raw))
    follows: Json = {"sourceRef": {"kind": "GitRepository", "name": "shop"}}
    metadata: Json = {"name": "apps", "namespace": "flux-system"}
    status: Json = {"lastAppliedRevision": "main@sha1:abc"}
    apps = KubeObject({"kind": "Kustomization", "metadata": metadata, "spec": follows, "status": status})
    return Trees(Bare(), Path()).applied(apps, cluster=cluster)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("include", [{"repository": {"name": "library"}}]),
        ("sparseCheckout", ["deploy"]),
        ("recurseSubmodules", True),
    ],
)
def test_of_a_source_that_has_other_files_than_the_commit_it_is_not_known_what_was_applied(
    field: str, value: Json
) -> None:
    with pytest.raises(UnknownError) as caught:
        applied_from(**{field: value})
    assert caught.value.what == (
        "Kustomization flux-system/apps is built from GitRepository flux-system/shop, "
        f"whose .spec.{field} has it hold other files than the commit"
    )


def test_a_source_that_leaves_these_fields_empty_has_the_files_of_the_commit() -> None:
    assert applied_from(ignore="", include=[], sparseCheckout=[], recurseSubmodules=False) == [Files(commit="abc")]


def test_a_source_with_rules_has_what_they_leave_of_the_commit() -> None:
    assert applied_from(ignore="/old", observed="/old") == [Files(commit="abc", ignore="/old")]


@pytest.mark.parametrize(("now", "then"), [("/old", ""), ("", "/old"), ("/old", "/new")])
def test_while_a_source_has_not_followed_its_rules_it_is_not_known_what_was_applied(now: str, then: str) -> None:
    with pytest.raises(UnknownError, match=r"whose .spec.ignore has changed since it made its artifact"):
        applied_from(ignore=now, observed=then)


class Commits(Bare):
    """A repository whose commits have one file each, which is called as they are, and rules."""

    def check_out(self, commit: str, target: Path) -> None:
        target.mkdir()
        for name, text in ((commit, "x"), ("more", "x"), (".sourceignore", "/more\n")):
            (target / name).write_text(text)


def test_an_artifact_is_made_once_for_a_commit_and_its_rules(tmp_path: Path) -> None:
    trees = Trees(Commits(), tmp_path)
    first, again, other = (
        trees.at(Files(commit=commit, ignore=ignore)) for commit, ignore in (("a", ""), ("a", ""), ("a", "!/more"))
    )
    assert first == again
    assert [sorted(one.name for one in folder.iterdir()) for folder in (first, other)] == [
        [".sourceignore", "a"],
        [".sourceignore", "a", "more"],
    ]


class Printing(Cluster):
    """A cluster for which flux builds one definition, with this caBundle for its conversion webhook."""

    def __init__(self, bundle: str, *, kind: str) -> None:
        client: JsonObject = {"service": {"name": "hook"}, "caBundle": bundle}
        self.definition: JsonObject = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": "gadgets.example.org"},
            "spec": {"conversion": {"strategy": "Webhook", "webhook": {"clientConfig": client}}},
        }

    def flux(self, *_: str, **__: object) -> str:
        return json.dumps(self.definition)


def bundle_of(bundle: str, *, kind: str = "CustomResourceDefinition") -> Json:
    """The caBundle of a definition that is built with this one, and with nothing else changed."""
    cluster = Printing(bundle, kind=kind)
    [found] = builds.built(kustomization(), cluster=cluster, tree=Path())
    place = ("spec", "conversion", "webhook", "clientConfig", "caBundle")
    assert having(found.raw, place, bundle) == cluster.definition
    return dig(found.raw, *place)


def encoded(*pem: bytes) -> str:
    return base64.b64encode(b"".join(pem)).decode()


AUTHORITY = trustme.CA()
NO_CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nZm9v\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("bundle", ["Cg==", "no base64", encoded(NO_CERTIFICATE), encoded(b"\xff")])
def test_an_authority_that_is_none_is_left_out_as_kustomize_controller_does_before_it_applies(bundle: str) -> None:
    assert bundle_of(bundle) is None
    assert bundle_of(bundle, kind="Gadget") == bundle


@pytest.mark.parametrize(
    "bundle",
    ["", encoded(AUTHORITY.cert_pem.bytes()), encoded(b"# ours\n", NO_CERTIFICATE, AUTHORITY.cert_pem.bytes())],
)
def test_an_authority_that_has_a_certificate_is_kept(bundle: str) -> None:
    assert bundle_of(bundle) == bundle
