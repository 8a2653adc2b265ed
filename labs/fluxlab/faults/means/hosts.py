"""What faults of the git server and of chart repositories share: the gateway is wrong for their host."""

import shlex
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from random import Random
from typing import ClassVar, Literal

from pydantic import Field

from fluxlab.clusters.capabilities import Capability
from fluxlab.faults.base import Fault, Ground, Injection, NoParameters, P, Parameters, Plan
from fluxlab.host_rules import CertificateProblem, Effect, Hang, HostRule, Reply, WrongCertificate
from fluxlab.state import LabFolder

from .web import Failure, Visit, visit

PATIENCE_SECONDS = 20.0
"""Longer than any sound answer takes on a busy machine."""
SILENCE_SECONDS = 4.0


@dataclass(frozen=True, kw_only=True)
class Site:
    """A host that the gateway answers for, and what a controller asks it first."""

    host: str
    url: str
    folder: LabFolder
    token: str = ""

    def visit(self, url: str = "", *, patience_seconds: float = PATIENCE_SECONDS) -> Visit:
        """Ask for a URL of the host (default: that first one) as a controller does."""
        return visit(self.folder, url or self.url, token=self.token, patience_seconds=patience_seconds)


class HostFault(Fault[P]):
    """Rules of the gateway for a host, under the id of the injection; a client of the host sees what they do.

    The supervisor holds them: with its end they are gone, and taking them out again changes nothing.
    """

    needs = frozenset({Capability.MAPPED_HOSTS})
    effect: ClassVar[Effect]
    """What becomes of the answers, where it is always the same."""
    paths: ClassVar[str] = "*"
    """A pattern of those that it is about."""

    @abstractmethod
    def sites(self, ground: Ground) -> Sequence[Site]:
        """The hosts that it can be done to."""

    def effects(self, ground: Ground, injection: Injection[P]) -> Mapping[str, Effect]:
        """What becomes of the answers, by a pattern of paths, where that depends on parameters."""
        del ground, injection
        return {self.paths: self.effect}

    @abstractmethod
    def seen(self, site: Site, parameters: P) -> str:
        """What a client sees of it; nothing when it sees none of it."""

    def candidates(self, ground: Ground) -> Sequence[str]:
        return sorted(site.host for site in self.sites(ground))

    def plan(self, ground: Ground, target: str, parameters: P, random: Random) -> Plan:
        del ground, parameters, random
        return Plan(touches=frozenset({f"host:{target}"}))

    def inject(self, ground: Ground, injection: Injection[P]) -> None:
        for paths, effect in self.effects(ground, injection).items():
            ground.control.put_rule(HostRule(id=injection.id, host=injection.target, paths=paths, effect=effect))

    def injected(self, ground: Ground, injection: Injection[P]) -> str:
        site = self._site(ground, injection)
        return self.seen(site, injection.parameters) if site else ""

    def heal(self, ground: Ground, injection: Injection[P]) -> None:
        ground.control.lift_rules(injection.id)

    def healed(self, ground: Ground, injection: Injection[P]) -> str:
        site = self._site(ground, injection)
        if site is None:
            return "the host is not there any more"
        found = site.visit()
        if not found.good or self.seen(site, injection.parameters):
            return ""
        return f"{found.url} answers with {found.size} bytes within {found.seconds:.3f} s"

    def by_hand(self, ground: Ground, injection: Injection[P]) -> Sequence[str]:
        socket = shlex.quote(str(ground.folder.control_socket))
        order = shlex.quote(f'{{"argument": "{injection.id}"}}')
        return [f"curl --unix-socket {socket} --data {order} http://localhost/rules/lift"]

    def _site(self, ground: Ground, injection: Injection[P]) -> Site | None:
        return next((site for site in self.sites(ground) if site.host == injection.target), None)


class UnavailableParameters(Parameters):
    """How it refuses."""

    status_code: int = Field(503, ge=500, le=599, description="of every answer")


class Unavailable(HostFault[UnavailableParameters]):
    """Every answer is an error of the server."""

    parameters = UnavailableParameters

    def effects(self, ground: Ground, injection: Injection[UnavailableParameters]) -> Mapping[str, Effect]:
        del ground
        status = injection.parameters.status_code
        return {"*": Reply(status=status, text=_phrase(status))}

    def seen(self, site: Site, parameters: UnavailableParameters) -> str:
        found = site.visit()
        return f"{found.url} answers with {found.status}" if found.status == parameters.status_code else ""


def _phrase(status: int) -> str:
    known = {one.value: one.phrase for one in HTTPStatus}
    return known.get(status, "Server Error")


class Hanging(HostFault[NoParameters]):
    """Connections are accepted, TLS is spoken, and no request is answered."""

    effect = Hang()

    def seen(self, site: Site, parameters: NoParameters) -> str:
        del parameters
        found = site.visit(patience_seconds=SILENCE_SECONDS)
        silent = found.failure is Failure.SILENCE and not found.status
        return f"{found.url} is asked, and {found.trouble}" if silent else ""


class CertificateParameters(Parameters):
    """Why it must not be believed."""

    # Not the enumeration itself: its values would be missing where parameters are described.
    problem: Literal[CertificateProblem.OTHER_NAME, CertificateProblem.FOREIGN_AUTHORITY] = Field(
        CertificateProblem.OTHER_NAME, description="what is wrong with it"
    )


class BadCertificate(HostFault[CertificateParameters]):
    """The host shows a certificate that nobody must believe."""

    parameters = CertificateParameters

    def effects(self, ground: Ground, injection: Injection[CertificateParameters]) -> Mapping[str, Effect]:
        del ground
        return {"*": WrongCertificate(problem=injection.parameters.problem)}

    def seen(self, site: Site, parameters: CertificateParameters) -> str:
        del parameters
        found = site.visit()
        return f"{found.url}: {found.trouble}" if found.failure is Failure.CERTIFICATE else ""
