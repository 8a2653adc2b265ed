"""One toxic of toxiproxy in a link, and what a client at the link's port sees of it."""

import shlex
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from math import ceil
from random import Random
from typing import ClassVar

from pydantic import Field

from fluxlab.clusters.capabilities import Capability
from fluxlab.clusters.links import provider_of, proxy_socket
from fluxlab.clusters.programs import ETCD, LINK_PROXY
from fluxlab.clusters.toxics import LinkProxy, Stream, Toxic
from fluxlab.errors import FluxlabError
from fluxlab.faults.base import Fault, Ground, Injection, Layer, NoParameters, P, Parameters, Plan
from fluxlab.faults.means.programs import etcd_answers, have_etcd_answer

from .tcp import PATIENCE_SECONDS, TIMES, Client, End

SILENCE_SECONDS = 3.0
BOTH = (Stream.UPSTREAM, Stream.DOWNSTREAM)


def _client(ground: Ground, link: str) -> Client:
    port = next((one.port for one in ground.state().links if one.name == link), None)
    if port is None:
        raise FluxlabError(f"cluster {ground.cluster.name} has no link {link} (any more)", hint="fluxlab status")
    return Client(provider=provider_of(link), port=port)


class LinkFault(Fault[P]):
    """A toxic of one type in a link, named by the injection; a client at the link's port sees what it does."""

    layer = Layer.LINKS
    needs = frozenset({Capability.LINKS})
    toxic: ClassVar[str]
    """Its type, as toxiproxy names it."""
    streams: ClassVar[Sequence[Stream]] = (Stream.DOWNSTREAM,)

    @abstractmethod
    def attributes(self, parameters: P) -> Mapping[str, int]:
        """The toxic's own."""

    @abstractmethod
    def seen(self, client: Client, parameters: P) -> str:
        """What a client sees of it; nothing when it sees none of it."""

    def gone(self, client: Client, parameters: P) -> bool:
        """Whether a client sees that it is not there, of a link that answers."""
        return not self.seen(client, parameters)

    def lacks(self, ground: Ground) -> str:
        alone = "" if ground.links else "the lab has no links: start it from a lab file with `links: true`"
        return super().lacks(ground) or alone

    def candidates(self, ground: Ground) -> Sequence[str]:
        return sorted(link.name for link in ground.state().links)

    def plan(self, ground: Ground, target: str, parameters: P, random: Random) -> Plan:
        del ground, parameters, random
        return Plan(touches=frozenset({f"link:{target}"}))

    def inject(self, ground: Ground, injection: Injection[P]) -> None:
        attributes = self.attributes(injection.parameters)
        for name, stream in self._names(injection):
            toxic = Toxic(name=name, type=self.toxic, stream=stream, attributes=attributes)
            _proxy(ground).add(injection.target, toxic)

    def injected(self, ground: Ground, injection: Injection[P]) -> str:
        return self.seen(_client(ground, injection.target), injection.parameters)

    def heal(self, ground: Ground, injection: Injection[P]) -> None:
        for name, _ in self._names(injection):
            _proxy(ground).remove(injection.target, name)
        if any(part.name.endswith(f"/{LINK_PROXY}") and part.state == "dead" for part in ground.state().components):
            ground.control.repair(ground.cluster.name)  # the toxics went with it, and so did all links
        elif provider_of(injection.target) == ETCD:
            have_etcd_answer(ground, injection)

    def healed(self, ground: Ground, injection: Injection[P]) -> str:
        client = _client(ground, injection.target)
        found = client.ask()
        if found.end is not End.WHOLE or not self.gone(client, injection.parameters):
            return ""
        seen = f"{found.received} bytes are answered within {found.seconds:.3f} s"
        if provider_of(injection.target) != ETCD:
            return seen
        return f"{seen}; {served}" if (served := etcd_answers(ground)) else ""

    def by_hand(self, ground: Ground, injection: Injection[P]) -> Sequence[str]:
        socket = shlex.quote(str(proxy_socket(ground.folder.cluster(ground.cluster.name))))
        return [
            f"curl --unix-socket {socket} -X DELETE http://localhost/proxies/{injection.target}/toxics/{name}"
            for name, _ in self._names(injection)
        ]

    def _names(self, injection: Injection[P]) -> Sequence[tuple[str, Stream]]:
        """The toxics of an injection: one for each stream."""
        return [(f"{injection.id}-{stream}", stream) for stream in self.streams]


def _proxy(ground: Ground) -> LinkProxy:
    return LinkProxy(ground.folder.cluster(ground.cluster.name))


class LatencyParameters(Parameters):
    """How late."""

    latency_milliseconds: int = Field(1000, ge=100, le=10_000, description="by how much every answer is late")


class LinkLatency(LinkFault[LatencyParameters]):
    """Every answer is late."""

    name = "link-latency"
    summary = "what comes back over a link is late by a fixed time"
    expect = "nothing fails, all that leads over the link takes longer"
    parameters = LatencyParameters
    toxic = "latency"

    def attributes(self, parameters: LatencyParameters) -> Mapping[str, int]:
        return {"latency": parameters.latency_milliseconds, "jitter": 0}

    def seen(self, client: Client, parameters: LatencyParameters) -> str:
        late = parameters.latency_milliseconds / 1000
        found = client.fastest(patience_seconds=late + PATIENCE_SECONDS)
        delayed = found.end is End.WHOLE and found.seconds >= late
        return f"the fastest of {TIMES} answers takes {found.seconds:.3f} s" if delayed else ""


class BandwidthParameters(Parameters):
    """How little."""

    kilobytes_per_second: int = Field(8, ge=4, le=50, description="what goes through, each way, of each connection")


class LinkBandwidth(LinkFault[BandwidthParameters]):
    """Little goes through at a time."""

    name = "link-bandwidth"
    summary = "a link carries only so many kilobytes per second, each way, of each connection"
    expect = "what is small goes through; lists, artifacts and charts take long, and may reach a timeout"
    parameters = BandwidthParameters
    toxic = "bandwidth"
    streams = BOTH

    def attributes(self, parameters: BandwidthParameters) -> Mapping[str, int]:
        return {"rate": parameters.kilobytes_per_second}

    def seen(self, client: Client, parameters: BandwidthParameters) -> str:
        found = client.fastest(patience_seconds=PATIENCE_SECONDS)
        size = found.sent + found.received
        slowest = size / (1000 * parameters.kilobytes_per_second)
        slow = found.end is End.WHOLE and found.seconds >= 0.7 * slowest
        return f"{size} bytes take {found.seconds:.3f} s" if slow else ""


class LinkHang(LinkFault[NoParameters]):
    """Nothing goes through, and nobody is told."""

    name = "link-hang"
    summary = "connections over a link are accepted and stay open, and everything that is sent is lost"
    expect = "no signal until a timeout of whoever uses the link: up to a minute of silence"
    toxic = "timeout"
    streams = BOTH

    def attributes(self, parameters: NoParameters) -> Mapping[str, int]:
        del parameters
        return {"timeout": 0}

    def seen(self, client: Client, parameters: NoParameters) -> str:
        del parameters
        found = client.ask(patience_seconds=SILENCE_SECONDS)
        silent = found.end is End.SILENT and not found.pieces
        return f"connected, and not a byte came in {found.seconds:.1f} s" if silent else ""


class LinkReset(LinkFault[NoParameters]):
    """Whoever says something is cut off."""

    name = "link-reset"
    summary = "connections over a link are accepted, and reset as soon as something is sent"
    expect = "`connection reset by peer` or `EOF` at once, from whoever uses the link"
    toxic = "reset_peer"
    streams = BOTH

    def attributes(self, parameters: NoParameters) -> Mapping[str, int]:
        del parameters
        return {"timeout": 0}

    def seen(self, client: Client, parameters: NoParameters) -> str:
        del parameters
        found = client.ask()
        return "connected, and reset before a byte came" if found.end is End.RESET and not found.pieces else ""


class SlicesParameters(Parameters):
    """How small, and how far apart."""

    slice_bytes: int = Field(40, ge=1, le=50, description="the largest piece")
    delay_milliseconds: int = Field(5, ge=5, le=1000, description="the pause after each piece")


class LinkSlices(LinkFault[SlicesParameters]):
    """What comes back is in pieces."""

    name = "link-slices"
    summary = "what comes back over a link comes in small pieces, with a pause after each"
    expect = "nothing fails, all that is large takes long"
    parameters = SlicesParameters
    toxic = "slicer"

    def attributes(self, parameters: SlicesParameters) -> Mapping[str, int]:
        delay_microseconds = 1000 * parameters.delay_milliseconds
        return {"average_size": parameters.slice_bytes, "size_variation": 0, "delay": delay_microseconds}

    def seen(self, client: Client, parameters: SlicesParameters) -> str:
        pieces = client.ask().pieces
        small = len(pieces) > 1 and max(pieces) <= parameters.slice_bytes
        return f"an answer comes in {len(pieces)} pieces of up to {max(pieces)} bytes" if small else ""

    def gone(self, client: Client, parameters: SlicesParameters) -> bool:
        # By time: to a client that is busy for a moment several slices are one piece.
        found = client.fastest(patience_seconds=PATIENCE_SECONDS)
        pauses = ceil(found.received / parameters.slice_bytes) - 1
        quick = found.seconds < pauses * parameters.delay_milliseconds / 1000
        return found.end is End.WHOLE and (quick or not pauses)


class LimitParameters(Parameters):
    """How much."""

    limit_bytes: int = Field(64, ge=1, le=80, description="what of the answers on one connection goes through")


class LinkLimit(LinkFault[LimitParameters]):
    """A connection ends after so many bytes."""

    name = "link-limit"
    summary = "connections over a link are closed after a number of bytes has come back"
    expect = "`unexpected EOF` from whoever uses the link"
    parameters = LimitParameters
    toxic = "limit_data"

    def attributes(self, parameters: LimitParameters) -> Mapping[str, int]:
        return {"bytes": parameters.limit_bytes}

    def seen(self, client: Client, parameters: LimitParameters) -> str:
        found = client.ask()
        cut = found.end is End.CLOSED and found.received == parameters.limit_bytes
        return f"an answer breaks off after {found.received} bytes" if cut else ""
