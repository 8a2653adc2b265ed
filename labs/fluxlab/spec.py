"""The description of a lab: a YAML file, or nothing at all for the defaults."""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from .errors import FluxlabError, UsageError
from .files import absolute_paths
from .model_files import read_model
from .places import parse_place
from .state import NAME

HOST_URL = re.compile(r"https://[a-z0-9.-]+\.[a-z]{2,}(/[A-Za-z0-9._~-]+)*")
REPOSITORY_SLASHES = 3  # the two before the host, and one before the path
BRANCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")


def _name(value: str) -> str:
    if not NAME.fullmatch(value):
        raise ValueError("must be 1 to 40 lower-case letters, digits and dashes")
    return value


Name = Annotated[str, AfterValidator(_name)]


def is_folder(scenario: str) -> bool:
    """Whether what is said of a scenario is its folder, such as ./mine, and no name."""
    return "/" in scenario


def _scenario(value: str) -> str:
    if not is_folder(value):
        return _name(value)
    if not value.isprintable():
        raise ValueError("must be a name or a folder, such as otel-demo or ./mine")
    return value


def _path(value: str) -> str:
    parts = value.split("/")
    # Neither git nor what is written to `git fast-import` must read it as anything else.
    misread = value.startswith("-") or not value.isprintable() or set(value) & set('"\\')
    if misread or any(part in {"", ".", "..", ".git"} for part in parts):
        raise ValueError("must be a plain relative path, such as clusters/staging")
    return value


def _address(value: str) -> str:
    try:
        unusable = bool(value) and ipaddress.IPv4Address(value).is_unspecified
    except ValueError:
        unusable = True
    if unusable:
        raise ValueError("must be one IPv4 address of this machine, such as 172.18.0.1")
    return value


def _url(value: str) -> str:
    if not HOST_URL.fullmatch(value):
        raise ValueError("must be a public URL without a slash at its end, such as https://charts.example.com/stable")
    return value


def _charts_url(value: str) -> str:
    scheme, separator, rest = value.partition("oci://")
    if separator and not scheme:
        _url(f"https://{rest}")
        return value
    return _url(value)


def _repository_url(value: str) -> str:
    if not HOST_URL.fullmatch(value) or value.count("/") < REPOSITORY_SLASHES:
        raise ValueError("must be a public URL, such as https://github.com/acme/fleet.git")
    return value


def _secret(value: str) -> str:
    try:
        if value:
            parse_place(value, kind="Secret")
    except UsageError as error:
        raise ValueError(error.what) from None
    return value


def _branch(value: str) -> str:
    # Narrower than git check-ref-format: what it allows beyond this makes trouble in URLs and shells.
    parts = value.split("/")
    if not BRANCH.fullmatch(value) or ".." in value or any(part.endswith((".", ".lock")) or not part for part in parts):
        raise ValueError("must be a branch name of letters, digits, dots, dashes, underscores and slashes")
    return value


HOST_PATTERN = r"^[a-z0-9.-]+$"
Host = Annotated[str, Field(pattern=HOST_PATTERN)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Backend = Literal["local", "kind", "existing"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)
OF_BACKEND = {"image": "kind", "context": "existing", "kubeconfig": "existing", "address": "existing"}
"""Fields of a cluster that mean something on one backend only."""


class ClusterSpec(_Model):
    """One Kubernetes control plane with Flux, and the path of the repository that it reconciles."""

    name: Name = "flux-playground"
    backend: Backend = "local"
    nodes: int = Field(default=1, ge=1, le=200, description="local: simulated nodes; kind: containers")
    image: str = Field(default="", description="kind: the node image; default: fluxlab's if there is one, else kind's")
    path: Annotated[str, AfterValidator(_path)] = ""
    context: str = Field(default="", description="existing: the kubeconfig's context; default: its current one")
    kubeconfig: str = Field(default="", description="existing: a file; default: $KUBECONFIG, ~/.kube/config")
    address: Annotated[str, AfterValidator(_address)] = Field(
        default="", description="existing: this machine's address as the cluster's pods reach it; default: 127.0.0.1"
    )

    @model_validator(mode="before")
    @classmethod
    def _default_path(cls, data: object) -> object:
        if isinstance(data, dict) and data.get("path") in (None, ""):
            return {**data, "path": f"clusters/{data.get('name', 'flux-playground')}"}
        return data

    @model_validator(mode="after")
    def _only_of_its_backend(self) -> "ClusterSpec":
        for field, backend in OF_BACKEND.items():
            if getattr(self, field) and self.backend != backend:
                raise ValueError(f"{field} is for backend {backend}, and {self.name} is on backend {self.backend}")
        return self


class RepositorySpec(_Model):
    """A git repository: its public URL, as manifests name it, is answered by the gateway."""

    name: Name = "fleet"
    url: Annotated[str, AfterValidator(_repository_url)] = "https://github.com/acme/fleet.git"
    branch: Annotated[str, AfterValidator(_branch)] = "main"


class ChartRepositorySpec(_Model):
    """A Helm repository at a public URL (https or oci), filled from archives (.tgz) and chart folders."""

    url: Annotated[str, AfterValidator(_charts_url)]
    charts: list[str] = Field(default_factory=list, description="archives or chart folders, relative to the lab file")


SinkKind = Literal["slack", "generic", "generic-hmac", "github"]
WITH_SECRET = ("generic-hmac", "github")
"""The kinds of sinks that tell who knows a token from who does not."""


class SinkSpec(_Model):
    """A public host at which alerts end: the lab answers as the service would, and remembers what came."""

    kind: SinkKind
    host: Host
    secret: Annotated[str, AfterValidator(_secret)] = Field(
        default="", description="github, generic-hmac: NAMESPACE/NAME of a Secret; the lab makes it, new at each start"
    )

    @model_validator(mode="after")
    def _secret_of_its_kind(self) -> "SinkSpec":
        if self.secret and self.kind not in WITH_SECRET:
            raise ValueError(f"secret is for {' and '.join(WITH_SECRET)}: {self.kind} knows none")
        if self.kind == "generic-hmac" and not self.secret:
            raise ValueError("generic-hmac needs a secret, NAMESPACE/NAME: with its key token events are signed")
        return self


class GatewaySpec(_Model):
    """The way out: hosts that are neither mapped (by a repository's URL) nor allowed are refused."""

    allow: list[Host] = Field(default_factory=list)


class LabSpec(_Model):
    """A lab: clusters, the repository they reconcile, charts, registries, the gateway and scenarios to apply."""

    name: Name = "playground"
    clusters: list[ClusterSpec] = Field(default_factory=lambda: [ClusterSpec()], min_length=1)
    repository: RepositorySpec = RepositorySpec()
    charts: list[ChartRepositorySpec] = Field(default_factory=list)
    registries: list[Host] = Field(default_factory=list, description="public hosts of OCI registries")
    alerts: list[SinkSpec] = Field(default_factory=list, description="public hosts at which alerts end")
    gateway: GatewaySpec = GatewaySpec()
    links: bool = Field(default=False, description="TCP hops lead through toxiproxy, so that faults can break them")
    scenarios: list[Annotated[str, AfterValidator(_scenario)]] = Field(
        default_factory=list, description="names, or folders with a slash; applied in this order when the lab starts"
    )

    @model_validator(mode="after")
    def _alerts_at_free_hosts(self) -> "LabSpec":
        others = {
            host_of(self.repository.url): "repository",
            **{host_of(charts.url): "charts" for charts in self.charts},
            **dict.fromkeys(self.registries, "registries"),
            **dict.fromkeys(self.gateway.allow, "gateway.allow"),
        }
        check_free_hosts(self.alerts, others)
        return self

    @model_validator(mode="after")
    def _links_of_its_own(self) -> "LabSpec":
        foreign = [cluster.name for cluster in self.clusters if cluster.backend != "local"]
        if self.links and foreign:
            raise ValueError(f"links: {foreign[0]} is not on backend local, whose parts only can be linked")
        return self

    @model_validator(mode="after")
    def _unique_clusters(self) -> "LabSpec":
        names = [cluster.name for cluster in self.clusters]
        if len(set(names)) != len(names):
            raise ValueError(f"two clusters have the same name: {', '.join(names)}")
        return self

    def changed(self, **changes: object) -> "LabSpec":
        """The same with other values. Raises UsageError when such a lab cannot be."""
        try:
            return LabSpec.model_validate({**self.model_dump(), **changes})
        except ValidationError as error:
            facts = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
            raise UsageError("no such lab can be", facts=facts) from None

    def with_each_cluster(self, **changes: object) -> "LabSpec":
        """The same with other values in each cluster. Raises UsageError when such a lab cannot be."""
        return self.changed(clusters=[{**cluster.model_dump(), **changes} for cluster in self.clusters])

    def below(self, folder: Path) -> "LabSpec":
        """The same with kubeconfigs, which are meant from `folder` on, as a process in any folder finds them."""
        clusters = [
            cluster.model_copy(update={"kubeconfig": absolute_paths(cluster.kubeconfig, folder)})
            for cluster in self.clusters
        ]
        return self.model_copy(update={"clusters": clusters})

    def on_backend(self, backend: str) -> "LabSpec":
        """The same with all clusters on a backend: what they say for another one does not hold there.

        Raises UsageError when such a lab cannot be.
        """
        if backend not in BACKENDS:
            raise UsageError(f"there is no backend {backend!r}", facts=[f"there are: {', '.join(BACKENDS)}"])
        foreign = {field: "" for field, owner in OF_BACKEND.items() if owner != backend}
        return self.with_each_cluster(backend=backend, **foreign)

    def cluster(self, name: str | None = None) -> ClusterSpec:
        """The cluster of that name, or the only one. Raises UsageError otherwise."""
        names = ", ".join(cluster.name for cluster in self.clusters)
        if name is None:
            if len(self.clusters) > 1:
                raise UsageError(f"lab {self.name} has several clusters", facts=[names], hint="add --cluster NAME")
            return self.clusters[0]
        for cluster in self.clusters:
            if cluster.name == name:
                return cluster
        raise UsageError(f"lab {self.name} has no cluster {name!r}", facts=[f"it has {names}"])


def host_of(url: str) -> str:
    """The host of a public URL."""
    return urlsplit(url).hostname or ""


def check_free_hosts(sinks: Sequence[SinkSpec], others: Mapping[str, str]) -> None:
    """See to it that nothing else is at the host of a sink; `others` are hosts, and which field names them.

    Raises ValidationError that names the sink in its list.
    """
    taken, errors = dict(others), list[InitErrorDetails]()
    for number, sink in enumerate(sinks):
        if sink.host in taken:
            said = f"alerts need a host of their own, and {sink.host} is one of {taken[sink.host]}"
            hint = f"allowed is any other than {', '.join(sorted(taken))}"
            error = PydanticCustomError("host_taken", "{said}; {hint}", {"said": said, "hint": hint})
            errors.append(InitErrorDetails(type=error, loc=("alerts", number, "host"), input=sink.host))
        taken.setdefault(sink.host, f"alerts ({sink.kind})")
    if errors:
        raise ValidationError.from_exception_data("alerts", errors)


def stored_spec(file: Path) -> LabSpec:
    """The spec with which a lab was started. Raises FluxlabError when its file is damaged, or another version's."""
    try:
        return LabSpec.model_validate_json(file.read_text())
    except ValidationError as error:
        hint = f"fluxlab down {file.parent.name}"
        raise FluxlabError(f"{file} is damaged", facts=[str(error).splitlines()[0]], hint=hint) from None


def load_spec(file: Path) -> LabSpec:
    """The spec in a lab file. Raises UsageError that names file, line, path and the allowed names."""
    return read_model(file, LabSpec, what="a lab file")
