"""What becomes of the pods of one workload from now on, and of those that are there already.

New pods are marked as they are created, by an admission policy of the API server; what the mark means is played by a
Stage of KWOK (`clusters/stages.yaml`), or by the scheduler. With the policy and the marks everything is gone.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from fluxlab.clusters.api import ApiError, KubeApi, ignore_missing
from fluxlab.clusters.objects import KubeObject, dig, having, items_at
from fluxlab.clusters.resources import NAMESPACE, POD, Resource
from fluxlab.documents import Json, JsonObject
from fluxlab.faults.base import Injection
from fluxlab.waiting import wait_until

from .places import remove

FAULT = "fluxlab.dev/fault"
"""The annotation by which the Stages know what to play with a pod."""
IMAGE_PULL = "pod-image-pull"
"""What it says to have them play an image that is missing."""
NODE_FAULT = "fluxlab.dev/node-fault"
"""The same for nodes and the pods on them."""
NOWHERE = "fluxlab.dev/nowhere"
"""A label that no node has."""
_ADMISSION = "admissionregistration.k8s.io"
POLICY = Resource(
    kind="MutatingAdmissionPolicy", plural="mutatingadmissionpolicies", group=_ADMISSION, namespaced=False
)
BINDING = Resource(
    kind="MutatingAdmissionPolicyBinding", plural="mutatingadmissionpolicybindings", group=_ADMISSION, namespaced=False
)
_OBSERVED_SECONDS = 20.0
"""How long the API server may take to notice that a policy has come or gone."""


@dataclass(frozen=True, kw_only=True)
class Fate:
    """What new pods in a namespace get, if they are selected."""

    name: str
    """Of the policy and its binding."""
    namespace: str
    selector: Json
    """Which pods, by their labels."""
    template: Json
    """From which such pods are made."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    node_selector: Mapping[str, str] = field(default_factory=dict)
    image: str = ""
    """Only those of which a container has this image."""

    def manifests(self) -> tuple[JsonObject, JsonObject]:
        """The policy and its binding."""
        metadata = {"name": self.name}
        policy: JsonObject = {
            "apiVersion": POLICY.api_version,
            "kind": POLICY.kind,
            "metadata": metadata,
            "spec": {
                "reinvocationPolicy": "Never",
                "matchConstraints": {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}},
                    "objectSelector": self.selector,
                    "resourceRules": [
                        {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
                    ],
                },
                "matchConditions": self._conditions(),
                "mutations": list(self._mutations()),
            },
        }
        binding: JsonObject = {
            "apiVersion": BINDING.api_version,
            "kind": BINDING.kind,
            "metadata": metadata,
            "spec": {"policyName": self.name},
        }
        return policy, binding

    def _conditions(self) -> list[JsonObject]:
        if not self.image:
            return []
        return [{"name": "image", "expression": f"object.spec.containers.exists(c, c.image == {_cel(self.image)})"}]

    def _mutations(self) -> Iterator[JsonObject]:
        if self.annotations:
            expression = f"Object{{metadata: Object.metadata{{annotations: {_cel_map(self.annotations)}}}}}"
            yield {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}
        if self.node_selector:  # an atomic map, which cannot be merged
            change = f'op: "add", path: "/spec/nodeSelector", value: {_cel_map(self.node_selector)}'
            yield {"patchType": "JSONPatch", "jsonPatch": {"expression": f"[JSONPatch{{{change}}}]"}}

    def probe(self) -> JsonObject:
        """A pod that would have this fate, and is let in where the workload's own are."""
        containers = items_at(self.template, "spec", "containers")
        if self.image:
            containers = [having(containers[0], ("image",), self.image), *containers[1:]]
        pod = having(self.template, ("metadata", "generateName"), "fluxlab-probe-")
        return {"apiVersion": "v1", "kind": "Pod", **having(pod, ("spec", "containers"), [*containers])}

    def meets(self, pod: KubeObject) -> bool:
        """Whether a pod has this fate."""
        marks = dig(pod.raw, "metadata", "annotations"), dig(pod.raw, "spec", "nodeSelector")
        wanted = self.annotations, self.node_selector
        return all(
            isinstance(there, Mapping) and set(want.items()) <= set(there.items())
            for there, want in zip(marks, wanted, strict=True)
            if want
        )


def selected_by(deployment: KubeObject) -> Mapping[str, Json]:
    """What undo information has to tell of a Deployment, so that its pods can be given a fate."""
    return {key: dig(deployment.raw, "spec", key) for key in ("selector", "template")}


def fate_of(injection: Injection[Any], namespace: str) -> Fate:
    """The fate, of which nothing is known yet, of the pods that an injection remembers as selected."""
    undo, name = injection.undo, f"fluxlab-{injection.id}"
    return Fate(name=name, namespace=namespace, selector=undo["selector"], template=undo["template"])


def begin(api: KubeApi, fate: Fate) -> None:
    """Have all new pods meet a fate; returns once the API server sees to it. Raises WaitTimeoutError or ApiError."""
    for resource, manifest in zip((POLICY, BINDING), fate.manifests(), strict=True):
        api.apply(resource.path(name=fate.name), manifest)
    _await(lambda: fate.meets(_as_if_created(api, fate)), fate, "observes")


def end(api: KubeApi, fate: Fate) -> None:
    """Have no new pod meet a fate any more; returns once that is so. Raises WaitTimeoutError or ApiError."""
    remove(api, BINDING, fate.name)
    remove(api, POLICY, fate.name)
    if api.find(NAMESPACE, fate.namespace):
        _await(lambda: _is_forgotten(api, fate), fate, "forgets")


def is_fixed(api: KubeApi, fate: Fate) -> bool:
    """Whether anything is there that would have new pods meet a fate."""
    return any(api.find(resource, fate.name) for resource in (POLICY, BINDING))


def _await(probe: Callable[[], bool], fate: Fate, does: str) -> None:
    wait_until(
        probe,
        what=f"the API server {does} {POLICY.kind} {fate.name}",
        timeout_seconds=_OBSERVED_SECONDS,
        interval_seconds=0.05,
    )


def _is_forgotten(api: KubeApi, fate: Fate) -> bool:
    """Whether a new pod has another fate, such as to be refused by whatever else there is: a quota, a standard."""
    try:
        return not fate.meets(_as_if_created(api, fate))
    except ApiError as error:
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        return fate.name not in str(error)


def _as_if_created(api: KubeApi, fate: Fate) -> KubeObject:
    """What the API server makes of a new pod, without keeping it."""
    path = POD.path(namespace=fate.namespace)
    return KubeObject(api.request("POST", path, body=fate.probe(), query={"dryRun": "All"}))


def mark(api: KubeApi, resource: Resource, subject: KubeObject, annotations: Mapping[str, str | None]) -> None:
    """Set annotations of an object, None takes one away; nothing is done when it has gone."""
    patch: JsonObject = {"metadata": {"annotations": annotations}}
    ignore_missing(lambda: api.merge(resource, subject.name, patch, namespace=subject.namespace or None))


def marked(subject: KubeObject, annotation: str) -> str:
    """What an annotation says; empty when it is not there."""
    return str(dig(subject.raw, "metadata", "annotations", annotation) or "")


def _cel(text: str) -> str:
    return json.dumps(text)


def _cel_map(entries: Mapping[str, str]) -> str:
    return f"{{{', '.join(f'{_cel(key)}: {_cel(value)}' for key, value in entries.items())}}}"
