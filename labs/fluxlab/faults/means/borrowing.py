"""One field of a Deployment that a fault sets for a while and gives back: its value, and whose it was."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from fluxlab.clusters.api import ApiError, KubeApi
from fluxlab.clusters.managed_fields import handed_over, owners_of
from fluxlab.clusters.objects import KubeObject, items_at
from fluxlab.clusters.resources import DEPLOYMENT
from fluxlab.documents import Json, JsonObject
from fluxlab.waiting import wait_until

BORROWER = "fluxlab-fault"
"""The field manager that sets such a field, and nothing else."""
WRITE_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of a Deployment."""

    namespace: str
    name: str
    steps: Sequence[str]
    """Where it is, as a field set of managed fields has it: `f:spec`, `f:replicas`."""
    manifest: Callable[[Json], JsonObject]
    """What else than kind and name is to be applied so that it has a value, or None for none."""

    def remembered(self, api: KubeApi, value: Json) -> Mapping[str, Json]:
        """What giving it back needs to know: the value that it has now, and its owners."""
        return {"value": value, "owners": owners_of(self._live(api).raw, self.steps)}

    def set(self, api: KubeApi, value: Json) -> None:
        """Have it another value, whosever it is."""
        names: JsonObject = {"apiVersion": DEPLOYMENT.api_version, "kind": DEPLOYMENT.kind}
        metadata: JsonObject = {"name": self.name, "namespace": self.namespace}
        manifest = {**names, "metadata": metadata, **self.manifest(value)}
        api.apply(self._path, manifest, field_manager=BORROWER)

    def give_back(self, api: KubeApi, remembered: Mapping[str, Json]) -> None:
        """Have it as it was, unless somebody else has set it since, and nothing left of who borrowed it.

        Raises WaitTimeoutError when others write the object all the time.
        """
        if self._is_borrowed(self._live(api)):
            self.set(api, remembered["value"])
        owners = [owner for owner in items_at(remembered, "owners") if isinstance(owner, Mapping)]
        wait_until(
            lambda: self._hand_over(api, owners),
            what=f"{DEPLOYMENT.kind} {self.namespace}/{self.name} belongs to those whose it was",
            timeout_seconds=WRITE_SECONDS,
            interval_seconds=0.1,
        )

    def _hand_over(self, api: KubeApi, owners: Sequence[JsonObject]) -> bool:
        live = self._live(api)
        if not self._is_borrowed(live):
            return True
        given = handed_over(live.raw, self.steps, owners, giver=BORROWER)
        try:
            api.request("PUT", self._path, body=given, query={"fieldManager": BORROWER})
        except ApiError as error:
            if error.status != HTTPStatus.CONFLICT:
                raise
        return False

    @property
    def _path(self) -> str:
        return DEPLOYMENT.path(namespace=self.namespace, name=self.name)

    def _live(self, api: KubeApi) -> KubeObject:
        return api.get(DEPLOYMENT, self.name, namespace=self.namespace)

    def _is_borrowed(self, live: KubeObject) -> bool:
        return any(owner.get("manager") == BORROWER for owner in owners_of(live.raw, self.steps))


def replicas_of(namespace: str, name: str) -> Field:
    """How many pods a Deployment has."""
    return Field(
        namespace=namespace,
        name=name,
        steps=("f:spec", "f:replicas"),
        manifest=lambda value: {"spec": {"replicas": value}},
    )
