"""Deployments and their like with names for what tests ask of them."""

from collections.abc import Sequence

from .objects import KubeObject, items_at, number_at, text_at


class Workload(KubeObject):
    """A Deployment, StatefulSet or DaemonSet."""

    @property
    def replicas(self) -> int:
        """The pods that it wants."""
        if self.kind == "DaemonSet":
            return number_at(self.raw, "status", "desiredNumberScheduled")
        return number_at(self.raw, "spec", "replicas")

    @property
    def ready_replicas(self) -> int:
        """The pods that are Ready."""
        return number_at(self.raw, "status", "numberReady" if self.kind == "DaemonSet" else "readyReplicas")

    @property
    def updated_replicas(self) -> int:
        """The pods that are made from the current template."""
        field = "updatedNumberScheduled" if self.kind == "DaemonSet" else "updatedReplicas"
        return number_at(self.raw, "status", field)

    @property
    def images(self) -> Sequence[str]:
        """The images of its containers, in their order."""
        containers = items_at(self.raw, "spec", "template", "spec", "containers")
        return [text_at(container, "image") for container in containers]
