"""What people do with Helm to a release that helm-controller owns."""

import json
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

from fluxlab.clusters.inventory import inventory
from fluxlab.clusters.kinds import Kinds
from fluxlab.clusters.objects import KubeObject, dig, items_at, number_at, text_at
from fluxlab.clusters.resources import HELM_RELEASE, SECRET
from fluxlab.commands import CommandError
from fluxlab.documents import Json, JsonObject
from fluxlab.faults.base import Fault, Ground, Injection, Layer, Plan
from fluxlab.faults.means.followers import followers
from fluxlab.faults.means.originals import give_back, original
from fluxlab.faults.means.places import place_of, remove, uid_of
from fluxlab.flux.helm_storage import newest, secret_name
from fluxlab.places import parse_place

from .owners import Owner, disown, managers
from .people import Person, Who

HELM = "helm"
"""The field manager of the helm command line."""


class ReleaseByHand(Fault[Who]):
    """Somebody takes Helm to what helm-controller has released."""

    layer = Layer.HUMANS
    parameters = Who
    proof_seconds = 100.0

    def candidates(self, ground: Ground) -> Sequence[str]:
        found = followers(ground, HELM_RELEASE.kind)
        return sorted(place_of(one) for one in found if _is_in_reach(one))

    def plan(self, ground: Ground, target: str, parameters: Who, random: Random) -> Plan:
        del parameters, random
        release = ground.cluster.helm_release(target)
        last = newest(release)
        name, namespace, revision = text_at(last, "name"), text_at(last, "namespace"), number_at(last, "version")
        secret = ground.api.get(SECRET, secret_name(name, revision), namespace=namespace)
        # Helm 3, and a Helm 4 that applies on the client's side, own what they have installed.
        by_helm = {uid_of(one): original(one) for one in _objects(ground, release) if HELM in managers(one)}
        undo: dict[str, Json] = {"name": name, "namespace": namespace, "revision": revision, "uid": uid_of(secret)}
        return Plan(touches=frozenset({f"object:{release}"}), undo={**undo, "by_helm": by_helm})

    def heal(self, ground: Ground, injection: Injection[Who]) -> None:
        owner = _owner(injection)
        owner.reconcile(ground, injection.id)
        for one in _objects(ground, owner.find(ground)):
            if kept := _kept(injection, one):
                resource, strangers = Kinds(ground.api).find(one.kind), {*managers(one)} - {*managers(KubeObject(kept))}
                give_back(ground.api, resource, kept, besides=strangers)
            else:
                disown(ground, one, HELM)

    def healed(self, ground: Ground, injection: Injection[Who]) -> str:
        release = _owner(injection).find(ground)
        if release is None:
            return "the HelmRelease is not there any more"
        revision = number_at(newest(release), "version")
        kept = [one for one in revisions(ground, injection) if number_at(one, "revision") >= revision]
        ours = not any(HELM in managers(one) for one in _objects(ground, release) if not _kept(injection, one))
        deployed = [text_at(one, "status") for one in kept] == ["deployed"]
        return f"{release}: {release.condition('Ready')}" if release.ready and deployed and ours else ""

    def by_hand(self, ground: Ground, injection: Injection[Who]) -> Sequence[str]:
        return [_owner(injection).by_hand(ground)]


class HelmRollback(ReleaseByHand):
    """`helm rollback`."""

    name = "human-helm-rollback"
    summary = "somebody rolls a release back (helm rollback)"
    expect = "at its next look helm-controller upgrades once more, in any mode, with a plain UpgradeSucceeded"

    def inject(self, ground: Ground, injection: Injection[Who]) -> None:
        whole = [one for one in revisions(ground, injection) if text_at(one, "status") == "superseded"]
        earlier = max((number_at(one, "revision") for one in whole), default=number_at(injection.undo, "revision"))
        words = ("rollback", injection.text("name"), str(earlier), "--namespace", injection.text("namespace"))
        Person.of(ground, injection).helm(*words, "--force-conflicts")

    def injected(self, ground: Ground, injection: Injection[Who]) -> str:
        later = number_at(injection.undo, "revision") + 1
        for one in revisions(ground, injection):
            told = text_at(one, "description")
            if number_at(one, "revision") == later and told.startswith("Rollback to"):
                return f"Helm's history has revision {later}: {told}"
        return ""


class HelmUninstall(ReleaseByHand):
    """`helm uninstall`."""

    name = "human-helm-uninstall"
    summary = "somebody uninstalls a release (helm uninstall)"
    expect = (
        "its objects are gone until helm-controller's next look, which installs it anew with a plain InstallSucceeded"
    )

    def plan(self, ground: Ground, target: str, parameters: Who, random: Random) -> Plan:
        plan = super().plan(ground, target, parameters, random)
        release = ground.cluster.helm_release(target)
        uids = [uid_of(one) for one in _objects(ground, release)]
        return Plan(touches=plan.touches, undo={**plan.undo, "objects": uids})

    def inject(self, ground: Ground, injection: Injection[Who]) -> None:
        words = ("uninstall", injection.text("name"), "--namespace", injection.text("namespace"))
        Person.of(ground, injection).helm(*words)

    def heal(self, ground: Ground, injection: Injection[Who]) -> None:
        # Of an uninstallation that was cut off Helm keeps a Secret, and helm-controller never gets over that: to each
        # request it answers that the release "has no deployed releases". Without the Secret it installs anew.
        namespace, query = injection.text("namespace"), {"labelSelector": _cut_off(injection)}
        for secret in ground.api.list(SECRET, namespace=namespace, query=query):
            remove(ground.api, SECRET, secret.name, namespace=namespace)
        super().heal(ground, injection)

    def by_hand(self, ground: Ground, injection: Injection[Who]) -> Sequence[str]:
        words = ("delete", "secret", "-n", injection.text("namespace"), "-l", _cut_off(injection))
        return [ground.typed("kubectl", *words), *super().by_hand(ground, injection)]

    def injected(self, ground: Ground, injection: Injection[Who]) -> str:
        there = {uid_of(one) for one in _objects(ground, _owner(injection).find(ground))}
        before = items_at(injection.undo, "objects")
        if there & set(before) or _has_secret(ground, injection):
            return ""
        return f"none of the release's {len(before)} objects is there any more, nor its Secret"


class DeletesReleaseSecret(ReleaseByHand):
    """`kubectl delete secret sh.helm.release.v1...`."""

    name = "human-deletes-release-secret"
    summary = "somebody deletes the Secret in which Helm keeps the newest revision of a release"
    expect = "at its next look helm-controller does not know the release any more and installs it over what is there"

    def inject(self, ground: Ground, injection: Injection[Who]) -> None:
        secret = secret_name(injection.text("name"), number_at(injection.undo, "revision"))
        words = ("delete", "secret", secret, f"--namespace={injection.text('namespace')}", "--ignore-not-found")
        Person.of(ground, injection).kubectl(*words)

    def injected(self, ground: Ground, injection: Injection[Who]) -> str:
        if _has_secret(ground, injection):
            return ""
        known = [number_at(one, "revision") for one in revisions(ground, injection)]
        return f"Helm knows {f'revisions {known}' if known else 'no release'} of that name"


def revisions(ground: Ground, injection: Injection[Who]) -> Sequence[Json]:
    """What `helm history` tells of a release, oldest first; nothing when Helm does not know it."""
    try:
        words = ("history", injection.text("name"), "--namespace", injection.text("namespace"), "--output=json")
        told: Json = json.loads(Person.of(ground, injection).helm(*words))
    except CommandError as error:
        if "not found" in error.stderr:
            return ()
        raise
    return items_at({"told": told}, "told")


def _cut_off(injection: Injection[Who]) -> str:
    """Selects the Secret that Helm keeps of an uninstallation that was cut off."""
    return f"owner=helm,name={injection.text('name')},status=uninstalling"


def _is_in_reach(release: KubeObject) -> bool:
    """Whether Helm's command line, which knows one namespace only, can do something to a release."""
    here = text_at(newest(release), "namespace") == text_at(release.raw, "status", "storageNamespace") != ""
    return here and release.ready and not release.suspended


def _owner(injection: Injection[Any]) -> Owner:
    return Owner.at(HELM_RELEASE.kind, *parse_place(injection.target))


def _kept(injection: Injection[Any], subject: KubeObject) -> JsonObject:
    """An object as it was, if Helm's command line had something of it; empty if it had not, or it is another one."""
    kept = dig(injection.undo, "by_helm", uid_of(subject))
    return kept if isinstance(kept, Mapping) else {}


def _has_secret(ground: Ground, injection: Injection[Who]) -> bool:
    name = secret_name(injection.text("name"), number_at(injection.undo, "revision"))
    found = ground.api.find(SECRET, name, namespace=injection.text("namespace"))
    return found is not None and uid_of(found) == dig(injection.undo, "uid")


def _objects(ground: Ground, release: KubeObject | None) -> Iterator[KubeObject]:
    """What a release is made of, as far as it is there."""
    kinds = Kinds(ground.api)
    for entry in inventory(release) if release else ():
        plural = kinds.find(entry.kind)
        if found := ground.api.find(plural, entry.name, namespace=entry.namespace or None):
            yield found
