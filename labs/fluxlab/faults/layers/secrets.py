"""Faults of Secrets: missing, empty, malformed, rotated. Old values stand in the fault's record, and nowhere else."""

import base64
import secrets
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any, ClassVar, Generic

from pydantic import Field

from fluxlab.clusters.managed_fields import owners_of
from fluxlab.clusters.objects import KubeObject, dig, items_at, text_at
from fluxlab.clusters.resources import HELM_RELEASE, KUSTOMIZATION, SECRET
from fluxlab.clusters.secret import WATCHED
from fluxlab.documents import Json, JsonObject
from fluxlab.errors import UsageError
from fluxlab.faults.base import Fault, FaultTypes, Ground, Injection, Layer, NoParameters, P, Parameters, Plan
from fluxlab.faults.means.borrowing import BORROWER, WRITE_SECONDS, hand_over, is_borrowed
from fluxlab.faults.means.followers import followers
from fluxlab.faults.means.originals import original, recreate
from fluxlab.faults.means.places import find_at, remove
from fluxlab.places import parse_place
from fluxlab.waiting import wait_until

MALFORMED = "*not an alias\n$(no command)"
"""No text that could stand in YAML as it is."""
_NAMED_BY: Mapping[str, tuple[str, ...]] = {
    KUSTOMIZATION.kind: ("spec", "postBuild", "substituteFrom"),
    HELM_RELEASE.kind: ("spec", "valuesFrom"),
}


class OfKey(Parameters):
    """Which value."""

    key: str = Field(default="", description="the key whose value it is; all of them when empty")


def consumers(ground: Ground) -> Iterator[tuple[str, KubeObject]]:
    """The places of Secrets that Flux reads values from, and what reads them."""
    for subject in followers(ground):
        for reference in items_at(subject.raw, *_NAMED_BY[subject.kind]):
            if text_at(reference, "kind") == "Secret":
                yield f"{subject.namespace}/{text_at(reference, 'name')}", subject


class SecretFault(Fault[P], Generic[P]):
    """Something with a Secret that a Kustomization or a HelmRelease reads values from."""

    layer = Layer.SECRETS
    told: ClassVar[str]
    """What the API server says then, in words; never a value."""

    def candidates(self, ground: Ground) -> Sequence[str]:
        return sorted(place for place in {place for place, _ in consumers(ground)} if self._usable(ground, place))

    def _usable(self, ground: Ground, place: str) -> bool:
        found = _find(ground, place)
        return found is not None and not found.deleting and self.fits_secret(found)

    def fits_secret(self, secret: KubeObject) -> bool:
        """Whether it can be done to a Secret."""
        return dig(secret.raw, "immutable") is not True and bool(dig(secret.raw, "data"))

    def plan(self, ground: Ground, target: str, parameters: P, random: Random) -> Plan:
        del random
        namespace, name = parse_place(target)
        before = ground.api.get(SECRET, name, namespace=namespace)
        self.check(before, parameters)
        readers = {str(subject): reading(subject) for at, subject in consumers(ground) if at == target}
        undo: dict[str, Json] = {"secret": original(before), "readers": readers}
        return Plan(touches=frozenset({f"object:Secret {target}"}), undo=undo)

    def check(self, secret: KubeObject, parameters: P) -> None:
        """Raise UsageError for parameters that do not fit the Secret."""

    @abstractmethod
    def inject(self, ground: Ground, injection: Injection[P]) -> None: ...

    def injected(self, ground: Ground, injection: Injection[P]) -> str:
        found = _find(ground, injection.target)
        if not self.shows(found, injection):
            return ""
        if not _is_watched(injection):
            return f"{self.told}; nobody has noticed yet: it does not carry the label {next(iter(WATCHED))}"
        before = injection.undo["readers"]
        noticed = [
            f"{subject} has looked: {_ready(subject)}"
            for at, subject in consumers(ground)
            if at == injection.target and reading(subject) != dig(before, str(subject))
        ]
        return f"{self.told}; {', '.join(noticed)}" if noticed else ""

    @abstractmethod
    def shows(self, secret: KubeObject | None, injection: Injection[P]) -> bool:
        """Whether the API server gives out what the fault has made of the Secret."""

    def by_hand(self, ground: Ground, injection: Injection[P]) -> Sequence[str]:
        keys = dig(_kept(injection), "data")
        return [
            f"fluxlab secret set --lab {ground.folder.name} {injection.target} {key}"
            for key in (keys if isinstance(keys, Mapping) else ())
        ]


class SecretMissing(SecretFault[NoParameters]):
    """Deleted."""

    name = "secret-missing"
    summary = "a Secret that Flux reads values from is deleted"
    expect = (
        "a Kustomization says BuildFailed (`substitute from ... not found`), a HelmRelease ValuesError; where it is "
        "optional, defaults are applied and Ready stays True; noticed at once if it was labelled to be watched, else "
        "at the next interval"
    )
    told = "the API server does not know the Secret"

    def fits_secret(self, secret: KubeObject) -> bool:
        # One with a finalizer stays for as long as somebody likes, and goes for good then.
        return super().fits_secret(secret) and not items_at(secret.raw, "metadata", "finalizers")

    def inject(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        namespace, name = parse_place(injection.target)
        remove(ground.api, SECRET, name, namespace=namespace)

    def shows(self, secret: KubeObject | None, injection: Injection[NoParameters]) -> bool:
        del injection
        return secret is None

    def heal(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        recreate(ground.api, SECRET, _kept(injection))

    def healed(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        found = _find(ground, injection.target)
        return "the Secret is there" if found and not found.deleting else ""


class ValueFault(SecretFault[OfKey]):
    """Another value than before."""

    parameters = OfKey
    becomes: ClassVar[str]
    """What takes the place of a value, where it is always the same."""

    def check(self, secret: KubeObject, parameters: OfKey) -> None:
        data = dig(secret.raw, "data")
        known = sorted(data) if isinstance(data, Mapping) else []
        if parameters.key and parameters.key not in known:
            raise UsageError(f"{secret} has no key {parameters.key}", facts=[f"it has {', '.join(known)}"])
        if not self._keys(secret.raw, parameters):
            facts = [f"it has that value already: {one}" for one in known if parameters.key in {"", one}]
            raise UsageError(f"{self.name} has nothing to change in {secret}", facts=facts)

    def _keys(self, secret: JsonObject, parameters: OfKey) -> Sequence[str]:
        """The keys that are meant, but for those whose values would be as they are."""
        data = dig(secret, "data")
        meant = [parameters.key] if parameters.key else [*data] if isinstance(data, Mapping) else []
        return [key for key in meant if self.value() != _value(secret, key)]

    def keys(self, injection: Injection[OfKey]) -> Sequence[str]:
        """Those whose values become other ones."""
        return self._keys(_kept(injection), injection.parameters)

    def inject(self, ground: Ground, injection: Injection[OfKey]) -> None:
        given = {key: base64.b64encode(self.value().encode()).decode() for key in self.keys(injection)}
        _set(ground, injection, given)

    def value(self) -> str:
        """What takes the place of a value."""
        return self.becomes

    def fits(self, value: str, before: str) -> bool:
        """Whether what is there now is what was put there."""
        return value == self.value() != before

    def shows(self, secret: KubeObject | None, injection: Injection[OfKey]) -> bool:
        return secret is not None and all(
            self.fits(_value(secret.raw, key), _value(_kept(injection), key)) for key in self.keys(injection)
        )

    def heal(self, ground: Ground, injection: Injection[OfKey]) -> None:
        found, kept = _find(ground, injection.target), _kept(injection)
        if found and (keys := self._borrowed(found, injection)):
            _set(ground, injection, {key: text_at(kept, "data", key) for key in keys})
        wait_until(
            lambda: self._hand_over(ground, injection),
            what=f"Secret {injection.target} belongs to those whose it was",
            timeout_seconds=WRITE_SECONDS,
            interval_seconds=0.1,
        )

    def _hand_over(self, ground: Ground, injection: Injection[OfKey]) -> bool:
        found, kept = _find(ground, injection.target), _kept(injection)
        if found is None or not (keys := self._borrowed(found, injection)):
            return True
        places = [_steps(key) for key in (".", *keys)]  # and the map itself, which goes with its values
        hand_over(ground.api, _path(injection), found, {steps: owners_of(kept, steps) for steps in places})
        return False

    def _borrowed(self, secret: KubeObject, injection: Injection[OfKey]) -> Sequence[str]:
        """The keys whose values are the fault's own still."""
        return [key for key in self.keys(injection) if is_borrowed(secret, _steps(key))]

    def healed(self, ground: Ground, injection: Injection[OfKey]) -> str:
        found = _find(ground, injection.target)
        if found is None:
            return "the Secret is not there any more"
        return "" if self._borrowed(found, injection) else "the Secret holds nothing that the fault has put there"


class SecretEmpty(ValueFault):
    """No value."""

    name = "secret-empty"
    summary = "the values of a Secret that Flux reads from are empty"
    expect = (
        "a Kustomization substitutes the empty text and says Ready=True, unless what comes out is no valid manifest; a "
        "HelmRelease upgrades without these values; noticed at once if it is labelled to be watched"
    )
    told = "the API server gives out empty values"
    becomes = ""


class SecretMalformed(ValueFault):
    """A value that breaks what it is put into."""

    name = "secret-malformed"
    summary = "the values of a Secret that Flux reads from begin with * and hold a line feed and a $"
    expect = (
        "a Kustomization that puts it into YAML without quotes says BuildFailed, in double quotes it comes out as "
        "something else; a HelmRelease that takes it for a file of values says ValuesError; what runs goes on; noticed "
        "at once if it is labelled to be watched"
    )
    told = "the API server gives out values that break YAML"
    becomes = MALFORMED


class SecretRotated(ValueFault):
    """A new value."""

    name = "secret-rotated"
    summary = "the values of a Secret that Flux reads from are other ones"
    expect = (
        "what was made of the old values is made anew: at once if it is labelled to be watched, else at the next "
        "interval, and nothing says that it is late; a HelmRelease to which the value is a whole file says ValuesError"
    )
    told = "the API server gives out other values than before"

    def value(self) -> str:
        return secrets.token_hex(16)

    def fits(self, value: str, before: str) -> bool:
        return value not in {"", before}


def reading(subject: KubeObject) -> JsonObject:
    """What in the status of a Kustomization or HelmRelease tells that it was reconciled since."""
    history = items_at(subject.raw, "status", "history")
    newest = history[0] if history else None
    ready = subject.condition("Ready")
    return {
        "ready": [ready.status, ready.reason, ready.message] if ready else [],
        "values": text_at(subject.raw, "status", "lastAttemptedConfigDigest"),
        "newest": [dig(newest, key) for key in ("digest", "totalReconciliations", "version")],
    }


def _ready(subject: KubeObject) -> str:
    """Without its message: it may quote what was substituted."""
    ready = subject.condition("Ready")
    return f"Ready={ready.status} {ready.reason}" if ready else "it says nothing"


def _find(ground: Ground, place: str) -> KubeObject | None:
    return find_at(ground.api, SECRET, place)


def _kept(injection: Injection[Any]) -> JsonObject:
    kept = injection.undo["secret"]
    return kept if isinstance(kept, Mapping) else {}


def _path(injection: Injection[Any]) -> str:
    namespace, name = parse_place(injection.target)
    return SECRET.path(namespace=namespace, name=name)


def _set(ground: Ground, injection: Injection[OfKey], values: Mapping[str, str]) -> None:
    """Have the Secret hold values, whosever they are, by a manager of its own: whoever sets one since owns it."""
    namespace, name = parse_place(injection.target)
    metadata = {"name": name, "namespace": namespace}
    manifest: JsonObject = {
        "apiVersion": SECRET.api_version,
        "kind": SECRET.kind,
        "metadata": metadata,
        "data": {**values},
    }
    ground.api.apply(_path(injection), manifest, field_manager=BORROWER)


def _steps(key: str) -> tuple[str, str]:
    """Where a value is, or all of them (`.`), as a field set of managed fields has it."""
    return "f:data", key if key == "." else f"f:{key}"


def _is_watched(injection: Injection[Any]) -> bool:
    labels = KubeObject(_kept(injection)).labels
    return WATCHED.items() <= labels.items()


def _value(secret: JsonObject, key: str) -> str:
    return base64.b64decode(text_at(secret, "data", key)).decode(errors="replace")


FAULTS: FaultTypes = (SecretMissing, SecretEmpty, SecretMalformed, SecretRotated)
