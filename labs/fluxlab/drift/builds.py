"""What a Kustomization wants: built by the flux command line from what its source made of the commit it applied."""

import base64
import re
import ssl
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from threading import Lock

import yaml

from fluxlab.cluster import Cluster
from fluxlab.clusters.objects import KubeObject, dig, having, items_at, text_at
from fluxlab.clusters.resources import GIT_REPOSITORY
from fluxlab.commands import CommandError
from fluxlab.errors import UnknownError
from fluxlab.repository import Repository

from .applied import applied_revisions
from .artifacts import keep_artifact
from .manifests import manifests_in

KEPT_BUILDS = 64
_OTHER_FILES = ("include", "sparseCheckout", "recurseSubmodules")
"""Fields of a GitRepository by which its artifact has other files than the commit and its rules say."""
_CA_BUNDLE = ("spec", "conversion", "webhook", "clientConfig", "caBundle")
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Files:
    """The files of a commit of which a source makes an artifact."""

    commit: str
    ignore: str = ""
    """The rules of the source itself by which some of them are left out."""


class Trees:
    """Artifacts of a repository's commits, each made once. Thread-safe."""

    def __init__(self, repository: Repository, folder: Path) -> None:
        self._repository = repository
        self._folder = folder
        self._lock = Lock()
        self._made: dict[Files, Path] = {}

    def applied(self, kustomization: KubeObject, *, cluster: Cluster) -> Sequence[Files]:
        """What a Kustomization may have applied, of commits as `applied_revisions` has them.

        Raises UnknownError when they are none of the repository's, not all of what was applied, or nothing was applied.
        """
        kind, name, namespace = (
            text_at(kustomization.raw, "spec", "sourceRef", key) for key in ("kind", "name", "namespace")
        )
        place = f"{namespace or kustomization.namespace}/{name}"
        source = cluster.find(kind, place) if kind == GIT_REPOSITORY.kind else None
        if source is None and kind == GIT_REPOSITORY.kind:
            raise UnknownError(f"{kustomization} is built from {kind} {place}, which is not there")
        url = text_at(source.raw, "spec", "url") if source else ""
        if url.removesuffix(".git") != (cluster.root.url or self._repository.url).removesuffix(".git"):
            raise UnknownError(f"{kustomization} is built from {kind} {place}, which is not the lab's repository")
        if field := next((one for one in _OTHER_FILES if source and dig(source.raw, "spec", one)), ""):
            why = f"whose .spec.{field} has it hold other files than the commit"
            raise UnknownError(f"{kustomization} is built from {kind} {place}, {why}")
        ignore = text_at(source.raw, "spec", "ignore") if source else ""
        if source and ignore != text_at(source.raw, "status", "observedIgnore"):
            why = "whose .spec.ignore has changed since it made its artifact"
            raise UnknownError(f"{kustomization} is built from {kind} {place}, {why}")
        revisions = applied_revisions(kustomization)
        if not revisions:
            raise UnknownError(f"{kustomization} has applied nothing yet")
        commits = [self._repository.resolve(revision.rpartition(":")[2]) for revision in revisions]
        return [Files(commit=commit, ignore=ignore) for commit in commits]

    def at(self, files: Files) -> Path:
        """The folder with what a source's artifact holds."""
        with self._lock:
            if files not in self._made:
                tree = Path(mkdtemp(prefix="artifact-", dir=self._folder)) / "tree"
                self._repository.check_out(files.commit, tree)
                keep_artifact(tree, ignore=files.ignore)
                self._made[files] = tree
            return self._made[files]


_Key = tuple[str, str, int, Files]
"""Cluster, UID, generation and what it is built of."""


class Builds:
    """What Kustomizations build of artifacts, each built once where git alone decides. Thread-safe."""

    def __init__(self) -> None:
        self._known: OrderedDict[_Key, Sequence[KubeObject]] = OrderedDict()
        self._lock = Lock()

    def of(self, kustomization: KubeObject, files: Files, *, cluster: Cluster, trees: Trees) -> Sequence[KubeObject]:
        """As `built` of an artifact. Raises UnknownError."""
        # By its generation, not by its spec: flux asks for it again, and may see a later one than was seen here.
        uid, generation = text_at(kustomization.raw, "metadata", "uid"), kustomization.generation
        key = cluster.name, uid, generation, files
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        made = built(kustomization, cluster=cluster, tree=trees.at(files))
        if not items_at(kustomization.raw, "spec", "postBuild", "substituteFrom"):  # these may change at any time
            with self._lock:
                self._known[key] = made
                while len(self._known) > KEPT_BUILDS:
                    self._known.popitem(last=False)
        return made


def path_of(kustomization: KubeObject) -> str:
    """The folder that a Kustomization builds, below the repository's root."""
    return text_at(kustomization.raw, "spec", "path").removeprefix("./").strip("/")


def built(
    kustomization: KubeObject, *, cluster: Cluster, tree: Path, definition: Path | None = None
) -> Sequence[KubeObject]:
    """What a Kustomization applies of an artifact's files, with the variables that the cluster holds.

    `definition` is a file in which the Kustomization stands as it would be, instead of as it is in the cluster.

    Raises UnknownError when it cannot be built, or not as the controller does.
    """
    path = path_of(kustomization)
    words = ["build", "kustomization", kustomization.name, f"--namespace={kustomization.namespace}"]
    if definition:
        words.append(f"--kustomization-file={definition}")
    try:
        # Strict, as the controller is; in memory, which it allows below its working directory only, because it
        # otherwise writes into the tree.
        text = cluster.flux(*words, f"--path={path or '.'}", "--strict-substitute", "--in-memory-build", cwd=tree)
    except CommandError as error:
        said = [line for line in error.stderr.splitlines() if line.strip()]
        raise UnknownError(f"{kustomization} cannot be built: {said[-1] if said else error.what}") from None
    try:
        return list(map(_as_applied, manifests_in(text)))
    except yaml.YAMLError as error:
        raise UnknownError(f"{kustomization}: what flux built of it is no YAML", facts=[str(error)]) from None


def _as_applied(manifest: KubeObject) -> KubeObject:
    """Without what is written for an authority and is none, such as `caBundle: Cg==`: controller-gen writes that for
    others to fill in, and the controller takes it out of definitions before its own dry run (fluxcd/pkg ssa,
    utils/cert_validation.go), because the API server refuses it.
    """
    is_definition = manifest.kind.lower() == "customresourcedefinition"
    if not is_definition or not manifest.api_version.startswith("apiextensions.k8s.io/"):
        return manifest
    bundle = text_at(manifest.raw, *_CA_BUNDLE)
    return manifest if not bundle or _has_certificate(bundle) else KubeObject(having(manifest.raw, _CA_BUNDLE, None))


def _has_certificate(bundle: str) -> bool:
    """Whether one of the blocks of a PEM file, in base64, can be read, which is all that the API server asks for."""
    try:
        pem = base64.b64decode("".join(bundle.splitlines()), validate=True).decode("latin-1")
    except ValueError:
        return False
    return any(map(_is_certificate, _CERTIFICATE.findall(pem)))


def _is_certificate(pem: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError, TypeError):  # the last one for what is not ASCII
        return False
    return True
