"""Faults of the git server: it does not answer, answers wrongly, or says something else than before."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field

from fluxlab.faults.base import Ground, Impossible, Injection, Layer, NoParameters, P, Parameters
from fluxlab.faults.means.hosts import PATIENCE_SECONDS, BadCertificate, Hanging, HostFault, Site, Unavailable
from fluxlab.faults.means.web import Failure
from fluxlab.host_rules import Cut, Delay, Effect, Reply

REFS = "/info/refs?service=git-upload-pack"
"""What a git client asks first."""


class GitFault(HostFault[P]):
    """A fault of the host of the repository that the cluster reconciles."""

    layer = Layer.GIT

    def sites(self, ground: Ground) -> Sequence[Site]:
        return [
            Site(
                host=urlsplit(repository.url).netloc,
                url=f"{repository.url}{REFS}",
                folder=ground.folder,
                token=(ground.folder.repositories / f"{repository.name}.token").read_text().strip(),
            )
            for repository in ground.status().repositories
        ]


class GitUnavailable(GitFault[Any], Unavailable):
    """The git server is there and cannot serve."""

    name = "git-unavailable"
    summary = "the git server answers every request with an error of its own (5xx)"
    expect = (
        "GitOperationFailed at the next fetch, which a push causes at once; the last artifact stays, and all that is "
        "built from it goes on"
    )


class GitHang(GitFault[NoParameters], Hanging):
    """The git server accepts, and says nothing."""

    name = "git-hang"
    summary = "the git server accepts connections and never answers"
    expect = (
        "no signal until the GitRepository's timeout (60 s by default): then GitOperationFailed `context deadline "
        "exceeded`; requests under way are answered as soon as it is healed"
    )


class SlowParameters(Parameters):
    """How late."""

    delay_seconds: float = Field(5, ge=1, le=120, description="before each answer")


class GitSlow(GitFault[SlowParameters]):
    """The git server takes its time."""

    name = "git-slow"
    summary = "the git server begins each answer late"
    expect = "nothing fails while a fetch stays below the GitRepository's timeout: commits arrive later"
    parameters = SlowParameters

    def effects(self, ground: Ground, injection: Injection[SlowParameters]) -> Mapping[str, Effect]:
        del ground
        return {"*": Delay(seconds=injection.parameters.delay_seconds)}

    def seen(self, site: Site, parameters: SlowParameters) -> str:
        found = site.visit(patience_seconds=parameters.delay_seconds + PATIENCE_SECONDS)
        late = found.good and found.seconds >= parameters.delay_seconds
        return f"{found.url} answers after {found.seconds:.1f} s" if late else ""


class GitReset(GitFault[NoParameters]):
    """The git server breaks off in the middle of a sentence."""

    name = "git-reset"
    summary = "connections to the git server are cut in the middle of each answer"
    expect = "GitOperationFailed `unexpected EOF` at the next fetch; the last artifact stays"
    effect = Cut()

    def seen(self, site: Site, parameters: NoParameters) -> str:
        del parameters
        found = site.visit()
        cut = found.failure is Failure.BROKEN and found.status
        return f"{found.url} breaks off after {found.size} bytes: {found.trouble}" if cut else ""


class GitAuthRevoked(GitFault[NoParameters]):
    """The git server does not know the token any more."""

    name = "git-auth-revoked"
    summary = "the git server rejects the token with which Flux reads the repository (401)"
    expect = "GitOperationFailed `authentication required` at the next fetch; the last artifact stays"
    effect = Reply(
        status=HTTPStatus.UNAUTHORIZED,
        text="Invalid username or token. Password authentication is not supported for Git operations.",
        headers={"WWW-Authenticate": 'Basic realm="GitHub"'},
    )

    def seen(self, site: Site, parameters: NoParameters) -> str:
        del parameters
        found = site.visit()
        refused = found.status == HTTPStatus.UNAUTHORIZED and "www-authenticate" in found.headers
        return f"{found.url} answers the lab's token with 401" if refused else ""


class GitWrongCertificate(GitFault[Any], BadCertificate):
    """The git server cannot prove who it is."""

    name = "git-wrong-certificate"
    summary = "the git server shows a TLS certificate for another name, or of a foreign authority"
    expect = "GitOperationFailed with an x509 error at the next fetch; the last artifact stays"


class GitHostKeyChanged(Impossible):
    """The git server has another SSH host key than the one that Flux knows."""

    name = "git-host-key-changed"
    layer = Layer.GIT
    summary = "the git server's SSH host key is another one than the known_hosts of the Secret have"
    expect = "GitOperationFailed, the host key does not match; it heals when known_hosts has the new key"
    impossible = "the lab's git server speaks HTTP only: without SSH there is no host key"
