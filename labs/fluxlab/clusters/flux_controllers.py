"""Flux's controllers as processes: from a Deployment, as `flux bootstrap` installs it, to arguments and environment.

What a user patches into the Deployment (flags, feature gates, variables) holds for the process too; only what
cannot be the same outside a cluster is replaced: addresses, folders, leader election.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import chain
from pathlib import Path

from fluxlab.ports import Ports

from .control_plane import CLIENT_LIMITS
from .links import Links
from .objects import KubeObject, dig, items_at, number_at, text_at

NAMESPACE = "flux-system"
CONTROLLERS = ("source-controller", "kustomize-controller", "helm-controller", "notification-controller")
# A new object is only marked with a finalizer and comes back after the first retry delay, 750 ms by default; what
# waits for another object looks again every 30 s. Where a Deployment sets these flags itself, its values hold.
RETRIES = ("--min-retry-delay=50ms", "--requeue-dependency=1s")
# Leader election needs a pod's identity; the addresses are names of the cluster's DNS, which does not exist here.
_REPLACED = (
    "--enable-leader-election",
    "--events-addr",
    "--health-addr",
    "--metrics-addr",
    "--receiverAddr",
    "--storage-addr",
    "--storage-adv-addr",
    "--storage-path",
)


@dataclass(frozen=True, kw_only=True)
class FluxPorts:
    """Loopback ports that the controllers share knowledge of."""

    artifacts: int
    events: int
    receiver: int

    @classmethod
    def reserve(cls, ports: Ports, cluster: str) -> "FluxPorts":
        """Reserve them all."""
        return cls(**{field.name: ports.reserve(f"{cluster}/{field.name}") for field in fields(cls)})


@dataclass(frozen=True, kw_only=True)
class ControllerPorts:
    """The ports of one controller's own endpoints."""

    health: int
    metrics: int


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a Deployment asks of the process behind it."""

    running: bool
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    revision: str
    """Changes whenever the pod template does: a rollout restart is a change of an annotation there."""


def wanted(deployment: KubeObject) -> Wanted:
    """Read a controller's Deployment."""
    template = dig(deployment.raw, "spec", "template")
    container = next(iter(items_at(template, "spec", "containers")), None)
    return Wanted(
        running=number_at(deployment.raw, "spec", "replicas") > 0,
        arguments=tuple(argument for argument in items_at(container, "args") if isinstance(argument, str)),
        environment={
            text_at(variable, "name"): text_at(variable, "value")
            for variable in items_at(container, "env")
            if dig(variable, "value") is not None
        },
        revision=repr(template),
    )


def arguments(
    name: str, given: Sequence[str], *, flux: FluxPorts, own: ControllerPorts, storage: Path, links: Links
) -> list[str]:
    """The arguments of the process: the Deployment's, with what cannot be the same here replaced."""
    kept = [words for words in _flags(given) if _name(words) not in _REPLACED]
    names = {_name(words) for words in kept}
    defaults = (*CLIENT_LIMITS, *(RETRIES if name != "notification-controller" else ()))
    added = [default for default in defaults if default.split("=", maxsplit=1)[0] not in names]
    return [
        *chain.from_iterable(kept),
        *added,
        f"--health-addr=127.0.0.1:{own.health}",
        f"--metrics-addr=127.0.0.1:{own.metrics}",
        *_addresses(name, flux=flux, storage=storage, links=links),
    ]


def _flags(given: Sequence[str]) -> Iterator[list[str]]:
    """The arguments by flag: a value may follow its flag as a word of its own."""
    flag: list[str] = []
    for word in given:
        if word.startswith("-") and flag:
            yield flag
            flag = []
        flag.append(word)
    if flag:
        yield flag


def _name(flag: Sequence[str]) -> str:
    return flag[0].split("=", maxsplit=1)[0]


def _addresses(name: str, *, flux: FluxPorts, storage: Path, links: Links) -> list[str]:
    if name == "notification-controller":
        return [f"--events-addr=127.0.0.1:{flux.events}", f"--receiverAddr=127.0.0.1:{flux.receiver}"]
    events = f"--events-addr=http://127.0.0.1:{links.port(name, 'events', flux.events)}/"
    if name != "source-controller":
        return [events]
    return [
        events,
        f"--storage-path={storage}",
        f"--storage-addr=127.0.0.1:{flux.artifacts}",
        f"--storage-adv-addr=127.0.0.1:{artifacts_port(flux, links)}",
    ]


def artifacts_port(flux: FluxPorts, links: Links) -> int:
    """Where artifacts are fetched: one address for all consumers, because it stands in the sources' status."""
    return links.port("consumers", "artifacts", flux.artifacts)


@dataclass(frozen=True, kw_only=True)
class WayOut:
    """How controllers reach the hosts that manifests name."""

    proxy_url: Mapping[str, str]
    """For each controller the gateway's URL with its own credentials."""
    authorities: Path
    """A PEM bundle: the gateway's authority and, for allowed hosts, the system's."""


def environment(
    name: str, given: Mapping[str, str], *, kubeconfig: Path, scratch: Path, way_out: WayOut, path: str
) -> dict[str, str]:
    """The environment of the process: nothing of the user's, whose variables may hold secrets."""
    proxy = way_out.proxy_url[name]
    authorities = str(way_out.authorities)
    return {
        **given,
        "PATH": path,
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "TUF_ROOT": str(scratch),
        "KUBECONFIG": str(kubeconfig),
        "RUNTIME_NAMESPACE": NAMESPACE,
        "HTTPS_PROXY": proxy,
        "HTTP_PROXY": proxy,
        "NO_PROXY": "",
        "SSL_CERT_FILE": authorities,
        "GIT_SSL_CAINFO": authorities,  # kustomize runs git for remote bases
    }
