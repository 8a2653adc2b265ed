"""The Secret by which a Receiver knows that a push is one: with another token in it, no news of a push is believed."""

import base64
import http.client
import json
from collections.abc import Sequence
from contextlib import closing
from random import Random
from urllib.parse import urlsplit

from fluxlab.clusters.capabilities import Capability
from fluxlab.clusters.objects import KubeObject, dig, text_at
from fluxlab.clusters.resources import RECEIVER, SECRET
from fluxlab.faults.base import Fault, Ground, Injection, Layer, NoParameters, Plan
from fluxlab.faults.means.borrowing import Field, is_borrowed
from fluxlab.faults.means.places import find_at, place_of
from fluxlab.faults.means.programs import find_process, stopped
from fluxlab.flux.requests import Request, have_answered
from fluxlab.places import parse_place
from fluxlab.servers.signatures import signature

CONTROLLER = "notification-controller"
HMAC = "generic-hmac"
TOKEN = "token"  # noqa: S105 # the key of a Secret
_ADDRESS = "--receiverAddr"
_PATIENCE_SECONDS = 5.0
_LOOKED_SECONDS = 10.0


class ReceiverSecretWrong(Fault[NoParameters]):
    """The token in the Secret of a Receiver is another one than the git server has."""

    name = "receiver-secret-wrong"
    layer = Layer.CONTROLLERS
    summary = (
        "the Secret of a Receiver holds another token than the one that the git server signs the news of a push with"
    )
    expect = (
        "the news is answered with 400, and only the log of notification-controller says why (`unable to validate "
        "payload`): the Receiver stays Ready, and a push is found at the source's interval; once the Receiver is "
        "reconciled with the other token, the answer is 404, because its path comes from the token"
    )
    needs = frozenset({Capability.PROCESSES})

    def candidates(self, ground: Ground) -> Sequence[str]:
        return sorted(place_of(one) for one in ground.api.list(RECEIVER) if _listens(ground, one))

    def plan(self, ground: Ground, target: str, parameters: NoParameters, random: Random) -> Plan:
        del parameters, random
        namespace, name = parse_place(target)
        receiver = ground.api.get(RECEIVER, name, namespace=namespace)
        secret = _secret_of(receiver)
        value = _value(find_at(ground.api, SECRET, secret))
        undo = {"secret": secret, "path": _path(receiver), **_field(secret).remembered(ground.api, value)}
        touches = {f"object:Receiver {target}", f"object:Secret {secret}", f"process:{CONTROLLER}"}
        return Plan(touches=frozenset(touches), undo=undo)

    def inject(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        _field(injection.text("secret")).set(ground.api, _wrong(injection))

    def injected(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        status = _tell(ground, injection.text("path"), token=injection.text("value"))
        refused = status in {http.client.BAD_REQUEST, http.client.NOT_FOUND}
        return f"{CONTROLLER} answers {status} to news signed with the git server's token" if refused else ""

    def heal(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        place = injection.text("secret")
        field = _field(place)
        if _value(find_at(ground.api, SECRET, place)) == _wrong(injection):
            field.set(ground.api, injection.text("value"))
        # A lab that is resumed sets another token, and owns it as `stringData`: so no value tells whose it is.
        field.disown(ground.api, injection.undo)
        receiver = find_at(ground.api, RECEIVER, injection.target)
        if receiver and not receiver.suspended and self._is_elsewhere(ground, injection, receiver):
            request = Request(api=ground.api, resource=RECEIVER, subject=receiver, who=injection.id)
            have_answered([request], _LOOKED_SECONDS)

    def _is_elsewhere(self, ground: Ground, injection: Injection[NoParameters], receiver: KubeObject) -> bool:
        """Whether a Receiver was reconciled with the other token meanwhile: then it listens at another path."""
        before = _value(find_at(ground.api, SECRET, injection.text("secret"))) == injection.text("value")
        return before and _path(receiver) != injection.text("path")

    def healed(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        receiver, secret = (
            find_at(ground.api, RECEIVER, injection.target),
            find_at(ground.api, SECRET, injection.text("secret")),
        )
        if receiver is None or secret is None:
            return f"the {SECRET.kind if receiver else RECEIVER.kind} is not there any more"
        value, before = _value(secret), injection.text("value")
        if value == _wrong(injection) or is_borrowed(secret, _field(injection.text("secret")).steps):
            return ""
        if receiver.suspended:
            return f"{secret} holds nothing of the fault; {receiver} is suspended by somebody"
        path = injection.text("path") if value == before else _path(receiver)
        if _tell(ground, path, token=value) == http.client.OK:
            return f"{CONTROLLER} takes news that is signed with {'the same' if value == before else 'a newer'} token"
        return stopped(ground, CONTROLLER)

    def by_hand(self, ground: Ground, injection: Injection[NoParameters]) -> Sequence[str]:
        place = f"--lab {ground.folder.name} --cluster {ground.cluster.name}"
        return [f"fluxlab secret set {place} {injection.text('secret')} {TOKEN}", *super().by_hand(ground, injection)]


def _listens(ground: Ground, receiver: KubeObject) -> bool:
    """Whether a Receiver believes what is signed by a token that can be changed."""
    if text_at(receiver.raw, "spec", "type") != HMAC or receiver.suspended or not (receiver.ready and _path(receiver)):
        return False
    secret = find_at(ground.api, SECRET, _secret_of(receiver))
    return secret is not None and not secret.deleting and not dig(secret.raw, "immutable") and bool(_value(secret))


def _secret_of(receiver: KubeObject) -> str:
    return f"{receiver.namespace}/{text_at(receiver.raw, 'spec', 'secretRef', 'name')}"


def _path(receiver: KubeObject) -> str:
    return text_at(receiver.raw, "status", "webhookPath")


def _value(secret: KubeObject | None) -> str:
    """A Secret's token, as Base64."""
    return text_at(secret.raw, "data", TOKEN) if secret else ""


def _wrong(injection: Injection[NoParameters]) -> str:
    """The token that nobody signs with, as Base64: whatever else is there, somebody has set since."""
    return base64.b64encode(injection.id.encode()).decode()


def _field(secret: str) -> Field:
    namespace, name = parse_place(secret)
    return Field(
        resource=SECRET,
        namespace=namespace,
        name=name,
        steps=("f:data", f"f:{TOKEN}"),
        manifest=lambda value: {"data": {TOKEN: value}},
    )


def _tell(ground: Ground, path: str, *, token: str) -> int:
    """What is answered to the news of a push, which is signed with a token (Base64); 0 when nothing is.

    Flux looks at the Receiver's sources if it believes that, and finds nothing new.
    """
    process = find_process(ground, CONTROLLER)
    if process is None:
        return 0
    flags = dict(word.split("=", maxsplit=1) for word in process.cmdline() if "=" in word)
    address = urlsplit(f"//{flags[_ADDRESS]}")
    body = json.dumps({"who": "a proof of a fault"}).encode()
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=_PATIENCE_SECONDS)
    with closing(connection):
        try:
            connection.request(
                "POST", path, body=body, headers={"X-Signature": signature(base64.b64decode(token), body)}
            )
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
