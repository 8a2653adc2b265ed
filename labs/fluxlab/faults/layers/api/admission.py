"""Faults of admission: the API server refuses what is written, on somebody's word, or because nobody gives it."""

from abc import abstractmethod
from collections.abc import Sequence
from enum import StrEnum
from random import Random
from typing import Any, TypeVar

from pydantic import Field

from fluxlab.clusters.flux_controllers import NAMESPACE as FLUX_SYSTEM
from fluxlab.clusters.kinds import Kinds
from fluxlab.clusters.objects import KubeObject, text_at
from fluxlab.clusters.resources import CONFIG_MAP, NAMESPACE, Resource
from fluxlab.commands import CommandError
from fluxlab.documents import JsonObject
from fluxlab.errors import UsageError
from fluxlab.faults.base import Ground, Injection, Layer, Parameters, Plan
from fluxlab.manifests import dump

from .objects import Objects, manifest

_GROUP = "admissionregistration.k8s.io"
WEBHOOK = Resource(
    kind="ValidatingWebhookConfiguration", plural="validatingwebhookconfigurations", group=_GROUP, namespaced=False
)
POLICY = Resource(
    kind="ValidatingAdmissionPolicy", plural="validatingadmissionpolicies", group=_GROUP, namespaced=False
)
BINDING = Resource(
    kind="ValidatingAdmissionPolicyBinding", plural="validatingadmissionpolicybindings", group=_GROUP, namespaced=False
)
NOBODY = "https://127.0.0.1:1/"
"""The API server's own loopback, so that nothing gets out; a port that only root could listen on, and nobody does."""
EVERYTHING = "*"
_SPARED = ("default", "kube-", FLUX_SYSTEM)
"""Where Kubernetes and the lab keep what they need to start and to heal."""


class Operation(StrEnum):
    """What is done to an object."""

    CREATE = "CREATE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"


class Covered(Parameters):
    """What is refused."""

    resource: str = Field(
        CONFIG_MAP.plural, pattern=r"^(\*|[a-z]+)$", description="the plural name of a kind, or * for all kinds"
    )


class Denied(Covered):
    """What is refused, and to whom."""

    operation: Operation = Field(Operation.UPDATE, description="what is refused")
    user: str = Field(
        f"system:serviceaccount:{FLUX_SYSTEM}:kustomize-controller",
        pattern=r"^[A-Za-z0-9:._@-]+$",
        description="to whom",
    )


C = TypeVar("C", bound=Covered)


class Refusal(Objects[C]):
    """Writes in one namespace are refused. The refusal quotes the injection's id, by which a proof knows it."""

    layer = Layer.API

    @abstractmethod
    def refused(self, injection: Injection[C]) -> tuple[Operation, str]:
        """What is refused, and to whom; to everybody where nobody is named."""

    def candidates(self, ground: Ground) -> Sequence[str]:
        return sorted(one.name for one in ground.api.list(NAMESPACE) if not one.name.startswith(_SPARED))

    def plan(self, ground: Ground, target: str, parameters: C, random: Random) -> Plan:
        del random
        found = Kinds(ground.api).find(_tried(parameters))
        if not found.namespaced:
            raise UsageError(f"{self.name}: {found.plural} are in no namespace, and only those in {target} are refused")
        if not ground.cluster.list(found.plural, namespace=target):
            raise UsageError(f"{self.name}: there are no {found.plural} in namespace {target}")
        covered = EVERYTHING if parameters.resource == EVERYTHING else found.plural
        return Plan(touches=frozenset({f"object:Namespace {target}"}), undo={"covered": covered})

    def injected(self, ground: Ground, injection: Injection[C]) -> str:
        words = self._try(ground, injection) or ""
        return words if injection.id in words else ""

    def healed(self, ground: Ground, injection: Injection[C]) -> str:
        words = self._try(ground, injection)
        if words is not None:
            return "" if words else "such a write is taken"
        left = any(ground.api.find(resource, made.name) for resource, made in self.objects(injection))
        return "" if left else "nothing is there any more that could be refused, nor what would refuse it"

    def _try(self, ground: Ground, injection: Injection[C]) -> str | None:
        """With what words such a write is refused now: none when it is taken, None when there is nothing to try it on.

        Nothing is written.
        """
        resource, namespace = _tried(injection.parameters), injection.target
        operation, user = self.refused(injection)
        found = ground.cluster.list(resource, namespace=namespace)
        if not found:
            return None
        words, stdin = _trial(operation, resource, found[0])
        acting = [f"--as={user}"] if user else []
        try:
            ground.cluster.kubectl(*words, "--dry-run=server", f"--namespace={namespace}", *acting, stdin=stdin)
        except CommandError as error:
            return error.stderr.strip() or str(error)
        return ""


def _tried(parameters: Covered) -> str:
    return CONFIG_MAP.plural if parameters.resource == EVERYTHING else parameters.resource


def _trial(operation: Operation, resource: str, subject: KubeObject) -> tuple[Sequence[str], str | None]:
    """What kubectl is told, and by which input."""
    match operation:
        case Operation.CREATE:
            copied = {key: value for key, value in subject.raw.items() if key not in {"metadata", "status"}}
            return ("create", "--filename=-"), dump({**copied, "metadata": {"name": "fluxlab-tries"}})
        case Operation.UPDATE:
            return ("annotate", f"{resource}/{subject.name}", "--overwrite", "fluxlab.dev/tries=this"), None
        case Operation.DELETE:
            return ("delete", f"{resource}/{subject.name}", "--wait=false"), None


def _rule(injection: Injection[Any], *operations: Operation) -> JsonObject:
    return {
        "apiGroups": ["*"],
        "apiVersions": ["*"],
        "resources": [text_at(injection.undo, "covered")],
        "operations": list(operations),
        # A namespaceSelector exempts nothing that is in no namespace (MatchNamespaceSelector of the API server).
        "scope": "Namespaced",
    }


def _in(namespace: str) -> JsonObject:
    return {"matchLabels": {"kubernetes.io/metadata.name": namespace}}


class WebhookDead(Refusal[Covered]):
    """A webhook that fails closed, and that nobody serves."""

    name = "webhook-dead"
    summary = "a validating webhook for one namespace does not answer, and fails closed: nothing is created or changed"
    expect = (
        "Kustomizations fail within their interval with ReconciliationFailed `failed calling webhook`, and are Ready "
        "again at their next try; a HelmRelease says StateError, Drifted=False beside it, and one that is upgraded "
        "meanwhile may stay Stalled"
    )
    parameters = Covered

    def refused(self, injection: Injection[Covered]) -> tuple[Operation, str]:
        del injection
        return Operation.UPDATE, ""

    def objects(self, injection: Injection[Covered]) -> Sequence[tuple[Resource, KubeObject]]:
        webhook: JsonObject = {
            "name": f"{injection.id}.fluxlab.dev",
            "clientConfig": {"url": NOBODY},
            "rules": [_rule(injection, Operation.CREATE, Operation.UPDATE)],
            "namespaceSelector": _in(injection.target),
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "timeoutSeconds": 1,
            "admissionReviewVersions": ["v1"],
        }
        return [(WEBHOOK, manifest(WEBHOOK, injection.id, webhooks=[webhook]))]


class AdmissionDeny(Refusal[Denied]):
    """A policy that denies one user one thing."""

    name = "admission-deny"
    summary = "a ValidatingAdmissionPolicy denies one user one operation on one kind, in one namespace"
    expect = (
        "kustomize-controller is refused within an interval: ReconciliationFailed `denied request`, and what it had "
        "applied stays; it is Ready again at its next try"
    )
    parameters = Denied

    def refused(self, injection: Injection[Denied]) -> tuple[Operation, str]:
        return injection.parameters.operation, injection.parameters.user

    def objects(self, injection: Injection[Denied]) -> Sequence[tuple[Resource, KubeObject]]:
        denied = injection.parameters
        policy: JsonObject = {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "namespaceSelector": _in(injection.target),
                "resourceRules": [_rule(injection, denied.operation)],
            },
            "matchConditions": [{"name": "user", "expression": f"request.userInfo.username == '{denied.user}'"}],
            "validations": [{"expression": "false", "message": f"denied by {injection.id}"}],
        }
        binding: JsonObject = {"policyName": injection.id, "validationActions": ["Deny"]}
        return [
            (POLICY, manifest(POLICY, injection.id, spec=policy)),
            (BINDING, manifest(BINDING, injection.id, spec=binding)),
        ]
