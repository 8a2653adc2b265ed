"""Where each part of a local cluster listens, and where the others reach it: directly, or through a link."""

from fluxlab.ports import Ports

from .control_plane import ControlPlanePorts
from .flux_controllers import CONTROLLERS, ControllerPorts, FluxPorts, artifacts_port
from .links import Links

CONSUMERS = ("kube-controller-manager", "kube-scheduler", "kwok", *CONTROLLERS)
"""Who asks the API."""


class Wiring:
    """The ports of one cluster, reserved by name: a lab that is resumed has the same ones again."""

    def __init__(self, cluster: str, ports: Ports, *, gateway_port: int, links: bool) -> None:
        """With `links` the hops between its parts, and to the gateway, lead through toxiproxy."""

        def reserve(name: str) -> int:
            return ports.reserve(f"{cluster}/{name}")

        self.control_plane = ControlPlanePorts.reserve(ports, cluster)
        self.flux = FluxPorts.reserve(ports, cluster)
        self.controllers = {
            name: ControllerPorts(health=reserve(f"{name}/health"), metrics=reserve(f"{name}/metrics"))
            for name in CONTROLLERS
        }
        self.kubelet = reserve("kubelet")
        self.links = Links(enabled=links, reserve=reserve)
        self._gateway = gateway_port
        self._declare_links()

    def _declare_links(self) -> None:
        """Name all hops: toxiproxy begins with them."""
        self.links.port("api", "etcd", self.control_plane.etcd)
        for consumer in CONSUMERS:
            self.api(consumer)
        for controller in CONTROLLERS:
            self.gateway(controller)
            if controller != "notification-controller":
                self.links.port(controller, "events", self.flux.events)
        self.artifacts()
        self.receiver()

    def api(self, consumer: str) -> int:
        """Where a consumer reaches the API."""
        return self.links.port(consumer, "api", self.control_plane.api)

    def gateway(self, controller: str) -> int:
        """Where a controller reaches the gateway."""
        return self.links.port(controller, "gateway", self._gateway)

    def artifacts(self) -> int:
        """Where artifacts are fetched."""
        return artifacts_port(self.flux, self.links)

    def receiver(self) -> int:
        """Where the news of pushes goes."""
        return self.links.port("pushes", "receiver", self.flux.receiver)
