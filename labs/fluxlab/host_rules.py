"""What is wrong with a host that the gateway answers for: rules, as they are put in and told on the private socket."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class CertificateProblem(StrEnum):
    """Why a client must not believe the certificate that it is shown."""

    OTHER_NAME = "other-name"
    """It is for another host."""
    FOREIGN_AUTHORITY = "foreign-authority"
    """It is of an authority that nobody here knows."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Reply(_Model):
    """Always this answer, whatever is asked."""

    kind: Literal["reply"] = "reply"
    status: int
    text: str
    headers: dict[str, str] = {}
    content_type: str = "text/plain; charset=utf-8"


class Hang(_Model):
    """No answer, until the rule is taken out."""

    kind: Literal["hang"] = "hang"


class Delay(_Model):
    """The answer begins that much later."""

    kind: Literal["delay"] = "delay"
    seconds: float


class Cut(_Model):
    """The connection is reset in the middle of the answer."""

    kind: Literal["cut"] = "cut"


class Truncate(_Model):
    """A whole answer, of which only the first part is there."""

    kind: Literal["truncate"] = "truncate"
    keep_percent: int


class Alter(_Model):
    """One bit of the answer is another one."""

    kind: Literal["alter"] = "alter"


class Pad(_Model):
    """YAML comments at the end make the answer that large."""

    kind: Literal["pad"] = "pad"
    megabytes: int


class WrongCertificate(_Model):
    """The certificate is one that a client must not believe."""

    kind: Literal["wrong-certificate"] = "wrong-certificate"
    problem: CertificateProblem


Effect = Annotated[
    Reply | Hang | Delay | Cut | Truncate | Alter | Pad | WrongCertificate,
    Field(discriminator="kind"),
]


class HostRule(_Model):
    """One thing that is wrong with a host. Several rules may have one id: they are taken out together."""

    id: str
    host: str
    paths: str = "*"
    """Which paths, as a shell's pattern: `*/index.yaml`. A certificate is the whole host's."""
    effect: Effect
