"""Fields that a fault sets for a while and gives back: their values, and whose they were."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from fluxlab.clusters.api import ApiError, KubeApi
from fluxlab.clusters.managed_fields import handed_over, owners_of
from fluxlab.clusters.objects import KubeObject, items_at
from fluxlab.clusters.resources import DEPLOYMENT, Resource
from fluxlab.documents import Json, JsonObject
from fluxlab.waiting import wait_until

BORROWER = "fluxlab-fault"
"""The field manager that sets such fields, and nothing else."""
WRITE_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of a Deployment, or of an object of another kind."""

    resource: Resource = DEPLOYMENT
    namespace: str
    name: str
    steps: Sequence[str]
    """Where it is, as a field set of managed fields has it: `f:spec`, `f:replicas`."""
    manifest: Callable[[Json], JsonObject]
    """What else than kind and name is to be applied so that it has a value, or None for none."""

    def remembered(self, api: KubeApi, value: Json) -> Mapping[str, Json]:
        """What giving it back needs to know: the value that it has now, and its owners."""
        live = api.get(self.resource, self.name, namespace=self.namespace)
        return {"value": value, "owners": owners_of(live.raw, self.steps)}

    def set(self, api: KubeApi, value: Json) -> None:
        """Have it another value, whosever it is."""
        names: JsonObject = {"apiVersion": self.resource.api_version, "kind": self.resource.kind}
        metadata: JsonObject = {"name": self.name, "namespace": self.namespace}
        manifest = {**names, "metadata": metadata, **self.manifest(value)}
        api.apply(self._path, manifest, field_manager=BORROWER)

    def give_back(self, api: KubeApi, remembered: Mapping[str, Json]) -> None:
        """Have it as it was, unless somebody else has set it since, and nothing left of who borrowed it.

        Raises WaitTimeoutError when others write the object all the time.
        """
        live = self._find(api)
        if live and is_borrowed(live, self.steps):
            self.set(api, remembered["value"])
        self.disown(api, remembered)

    def disown(self, api: KubeApi, remembered: Mapping[str, Json]) -> None:
        """Have it belong to those whose it was, unless somebody else has set it since, whatever its value is.

        Raises WaitTimeoutError when others write the object all the time.
        """
        owners = [owner for owner in items_at(remembered, "owners") if isinstance(owner, Mapping)]
        wait_until(
            lambda: self._hand_over(api, owners),
            what=f"{self.resource.kind} {self.namespace}/{self.name} belongs to those whose it was",
            timeout_seconds=WRITE_SECONDS,
            interval_seconds=0.1,
        )

    def _hand_over(self, api: KubeApi, owners: Sequence[JsonObject]) -> bool:
        live = self._find(api)
        if live is None or not is_borrowed(live, self.steps):
            return True
        hand_over(api, self._path, live, {tuple(self.steps): owners})
        return False

    @property
    def _path(self) -> str:
        return self.resource.path(namespace=self.namespace, name=self.name)

    def _find(self, api: KubeApi) -> KubeObject | None:
        return api.find(self.resource, self.name, namespace=self.namespace)


def is_borrowed(live: KubeObject, steps: Sequence[str]) -> bool:
    """Whether a field is what a fault has set it to: whoever else sets it owns it since."""
    return any(owner.get("manager") == BORROWER for owner in owners_of(live.raw, steps))


def hand_over(
    api: KubeApi, path: str, live: KubeObject, owners: Mapping[tuple[str, ...], Sequence[JsonObject]]
) -> None:
    """Give fields of an object to those whose they were; nothing is done when somebody has written it since."""
    given = live.raw
    for steps, whose in owners.items():
        given = handed_over(given, steps, whose, giver=BORROWER)
    try:
        api.request("PUT", path, body=given, query={"fieldManager": BORROWER})
    except ApiError as error:
        if error.status not in {HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND}:
            raise


def replicas_of(namespace: str, name: str) -> Field:
    """How many pods a Deployment has."""
    return Field(
        namespace=namespace,
        name=name,
        steps=("f:spec", "f:replicas"),
        manifest=lambda value: {"spec": {"replicas": value}},
    )


def image_of(namespace: str, name: str, container: str) -> Field:
    """The image of a container of a Deployment."""

    def manifest(value: Json) -> JsonObject:
        return {"spec": {"template": {"spec": {"containers": [{"name": container, "image": value}]}}}}

    entry = f'k:{{"name":"{container}"}}'
    steps = ("f:spec", "f:template", "f:spec", "f:containers", entry, "f:image")
    return Field(namespace=namespace, name=name, steps=steps, manifest=manifest)
