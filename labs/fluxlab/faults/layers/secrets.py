"""Faults of Secrets: missing, empty, malformed, rotated. Old values stand in the fault's record, and nowhere else."""

import base64
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any, ClassVar, Generic

from pydantic import Field

from fluxlab.clusters.managed_fields import owners_of
from fluxlab.clusters.objects import KubeObject, dig, having, items_at, text_at
from fluxlab.clusters.resources import HELM_RELEASE, KUSTOMIZATION, SECRET
from fluxlab.clusters.secret import WATCHED
from fluxlab.documents import Json, JsonObject
from fluxlab.errors import UsageError
from fluxlab.faults.base import Fault, FaultTypes, Ground, Injection, Layer, NoParameters, P, Parameters, Plan
from fluxlab.faults.means.borrowing import BORROWER, WRITE_SECONDS, hand_over, is_borrowed
from fluxlab.faults.means.followers import followers
from fluxlab.faults.means.originals import is_original, original, recreate, written_since
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
        namespace, name = parse_place(target)
        before = ground.api.get(SECRET, name, namespace=namespace)
        readers = {str(subject): reading(subject) for at, subject in consumers(ground) if at == target}
        values = self.values(before, parameters, random)
        undo: dict[str, Json] = {"secret": original(before), "readers": readers, "values": {**values}}
        return Plan(touches=frozenset({f"object:Secret {target}"}), undo=undo)

    def values(self, secret: KubeObject, parameters: P, random: Random) -> Mapping[str, str]:
        """What the Secret will hold instead, in base64 by key. Raises UsageError for parameters that do not fit it."""
        del secret, parameters, random
        return {}

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
        _await_another_second(ground, injection)
        remove(ground.api, SECRET, name, namespace=namespace)

    def shows(self, secret: KubeObject | None, injection: Injection[NoParameters]) -> bool:
        del injection
        return secret is None

    def heal(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        recreate(ground.api, SECRET, _kept(injection))

    def healed(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        found, kept = _find(ground, injection.target), _kept(injection)
        if found is None or found.deleting:
            return ""
        if is_original(found, kept):
            return "the Secret is there, and holds what it held"
        others = written_since(found, kept)
        return f"the Secret is there: {', '.join(others)} has written it since" if others else ""


class ValueFault(SecretFault[OfKey]):
    """Another value than before."""

    parameters = OfKey

    def values(self, secret: KubeObject, parameters: OfKey, random: Random) -> Mapping[str, str]:
        data = dig(secret.raw, "data")
        known = sorted(data) if isinstance(data, Mapping) else []
        if parameters.key and parameters.key not in known:
            raise UsageError(f"{secret} has no key {parameters.key}", facts=[f"it has {', '.join(known)}"])
        meant = [one for one in known if parameters.key in {"", one}]
        given = {key: _encoded(self.value(_value(secret.raw, key), random)) for key in meant}
        changed = {key: value for key, value in given.items() if value != dig(secret.raw, "data", key)}
        if not changed:
            facts = [f"it has that value already: {one}" for one in meant]
            raise UsageError(f"{self.name} has nothing to change in {secret}", facts=facts)
        return changed

    @abstractmethod
    def value(self, before: str, random: Random) -> str:
        """What takes the place of a value."""

    def inject(self, ground: Ground, injection: Injection[OfKey]) -> None:
        _await_another_second(ground, injection)
        _set(ground, injection, _given(injection))

    def shows(self, secret: KubeObject | None, injection: Injection[OfKey]) -> bool:
        given = _given(injection)
        return secret is not None and all(dig(secret.raw, "data", key) == given[key] for key in given)

    def heal(self, ground: Ground, injection: Injection[OfKey]) -> None:
        found, kept = _find(ground, injection.target), _kept(injection)
        if found and (keys := self._left(found, injection)):
            _set(ground, injection, {key: text_at(kept, "data", key) for key in keys})
        wait_until(
            lambda: self._hand_over(ground, injection),
            what=f"Secret {injection.target} belongs to those whose it was",
            timeout_seconds=WRITE_SECONDS,
            interval_seconds=0.1,
        )

    def _hand_over(self, ground: Ground, injection: Injection[OfKey]) -> bool:
        found, kept = _find(ground, injection.target), _kept(injection)
        if found is None or not (keys := _borrowed(found, injection)):
            return True
        places = [_steps(key) for key in (".", *keys)]  # and the map itself, which goes with its values
        hand_over(ground.api, _path(injection), found, {steps: owners_of(kept, steps) for steps in places})
        return False

    def _left(self, secret: KubeObject, injection: Injection[OfKey]) -> Sequence[str]:
        """The keys that hold what the fault has put there, and not what somebody else wants."""
        given, theirs = _given(injection), _theirs(secret, injection)
        same = [key for key in given if dig(secret.raw, "data", key) == given[key] and key not in theirs]
        return list(dict.fromkeys([*_borrowed(secret, injection), *same]))

    def healed(self, ground: Ground, injection: Injection[OfKey]) -> str:
        found = _find(ground, injection.target)
        if found is None:
            return "the Secret is not there any more"
        if _borrowed(found, injection):
            return ""
        kept, theirs = _kept(injection), _theirs(found, injection)
        told = {key: _become(found.raw, kept, key) or theirs.get(key, "") for key in _given(injection)}
        return f"the Secret: {', '.join(f'{key} {what}' for key, what in told.items())}" if all(told.values()) else ""


class SecretEmpty(ValueFault):
    """No value."""

    name = "secret-empty"
    summary = "the values of a Secret that Flux reads from are empty"
    expect = (
        "a Kustomization substitutes the empty text and says Ready=True, unless what comes out is no valid manifest; a "
        "HelmRelease upgrades without these values; noticed at once if it is labelled to be watched"
    )
    told = "the API server gives out empty values"

    def value(self, before: str, random: Random) -> str:
        del before, random
        return ""


class SecretMalformed(ValueFault):
    """A value that breaks what it is put into."""

    name = "secret-malformed"
    summary = "the values of a Secret that Flux reads from begin with * and hold a line feed and a $"
    expect = (
        "a Kustomization that puts it where a value begins says BuildFailed, also in quotes: they go before it is "
        "put in; a HelmRelease that takes it for a file of values says ValuesError; what runs goes on; noticed at once "
        "if it is labelled to be watched"
    )
    told = "the API server gives out values that break YAML"

    def value(self, before: str, random: Random) -> str:
        del before, random
        return MALFORMED


class SecretRotated(ValueFault):
    """A new value, which is none that nobody can know: whoever knows the seed can work it out."""

    name = "secret-rotated"
    summary = "the values of a Secret that Flux reads from are other ones"
    expect = (
        "what was made of the old values is made anew: at once if it is labelled to be watched, else at the next "
        "interval, and nothing says that it is late; a HelmRelease to which the value is a whole file says ValuesError"
    )
    told = "the API server gives out other values than before"

    def value(self, before: str, random: Random) -> str:
        drawn = random.randbytes(16).hex()
        return drawn if drawn != before else self.value(before, random)  # that of a fault that was given up


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


def _given(injection: Injection[Any]) -> Mapping[str, str]:
    """What the fault puts in the place of values, in base64 by key: of those only that become other ones."""
    given = injection.undo["values"]
    return {key: str(value) for key, value in given.items()} if isinstance(given, Mapping) else {}


def _borrowed(secret: KubeObject, injection: Injection[Any]) -> Sequence[str]:
    """The keys whose values are the fault's own still."""
    return [key for key in _given(injection) if is_borrowed(secret, _steps(key))]


def _theirs(secret: KubeObject, injection: Injection[Any]) -> Mapping[str, str]:
    """The keys whose values somebody else has written since, and that in words."""
    writers = {key: written_since(secret, _kept(injection), _steps(key)) for key in _given(injection)}
    return {key: f"is what {', '.join(who)} has written since" for key, who in writers.items() if who}


def _become(secret: JsonObject, kept: JsonObject, key: str) -> str:
    """That a value is the one of before, or has gone: who takes one away leaves no trace. Nothing for another one."""
    now = dig(secret, "data", key)
    if now is None:
        return "is not there any more"
    return "has the value of before" if now == text_at(kept, "data", key) else ""


def _path(injection: Injection[Any]) -> str:
    namespace, name = parse_place(injection.target)
    return SECRET.path(namespace=namespace, name=name)


def _set(ground: Ground, injection: Injection[OfKey], values: Mapping[str, str]) -> None:
    """Have the Secret hold values, whosever they are, by a manager of its own: whoever sets one since owns it."""
    manifest: JsonObject = {**_named(injection), "data": {**values}}
    ground.api.apply(_path(injection), manifest, field_manager=BORROWER)


def _await_another_second(ground: Ground, injection: Injection[Any]) -> None:
    """Until whoever writes the Secret has another time than all who did before: the API server tells whole seconds."""
    before = {text_at(one, "time") for one in items_at(_kept(injection), "metadata", "managedFields")}
    wait_until(
        lambda: _server_time(ground, injection) not in before,
        what=f"the API server has another time than when Secret {injection.target} was written",
        timeout_seconds=WRITE_SECONDS,
        interval_seconds=0.1,
    )


def _server_time(ground: Ground, injection: Injection[Any]) -> str:
    """What the API server would write down for who wrote the Secret now; nothing is written."""
    manifest = having(_named(injection), ("metadata", "annotations"), {BORROWER: ""})
    would_be = ground.api.apply(_path(injection), manifest, field_manager=BORROWER, dry_run=True)
    managed = items_at(would_be.raw, "metadata", "managedFields")
    return next((text_at(one, "time") for one in managed if text_at(one, "manager") == BORROWER), "")


def _named(injection: Injection[Any]) -> JsonObject:
    namespace, name = parse_place(injection.target)
    names: JsonObject = {"name": name, "namespace": namespace}
    return {"apiVersion": SECRET.api_version, "kind": SECRET.kind, "metadata": names}


def _steps(key: str) -> tuple[str, str]:
    """Where a value is, or all of them (`.`), as a field set of managed fields has it."""
    return "f:data", key if key == "." else f"f:{key}"


def _is_watched(injection: Injection[Any]) -> bool:
    labels = KubeObject(_kept(injection)).labels
    return WATCHED.items() <= labels.items()


def _encoded(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


def _value(secret: JsonObject, key: str) -> str:
    return base64.b64decode(text_at(secret, "data", key)).decode(errors="replace")


FAULTS: FaultTypes = (SecretMissing, SecretEmpty, SecretMalformed, SecretRotated)
