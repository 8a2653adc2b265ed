"""Docker, as far as the `kind` backend needs it: is there a daemon that can run nodes, and what of a lab is in it."""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fluxlab.errors import FluxlabError, UnknownError
from fluxlab.waiting import wait_until

from .root import ID_LABEL, LAB_LABEL

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container
    from docker.models.networks import Network

KIND_LABEL = "io.x-k8s.kind.cluster"
"""By which kind knows the nodes of a cluster."""
OWN_IMAGE = "fluxlab/node"
"""The repository of node images that `make node-image` makes."""
THEIR_IMAGE = "kind's node image"
ENTRYPOINT = "/usr/local/bin/entrypoint"
"""What every node image begins with, kind's and fluxlab's."""
MINIMUM_MEMORY_BYTES = 3_000_000_000
FREE_DISK_BYTES = 3_000_000_000
"""A node image has 1 GB, and each node a copy of most of it (/var)."""
FIRST_WITHOUT_CGROUP_V1 = 35
"""The minor version of Kubernetes since which kubelet does not start there, unless it is told to as in OWN_IMAGE."""
CALL_SECONDS = 10
REMOVAL_SECONDS = 60
EXTRA = "pip install 'fluxlab[kind]'"


class DockerError(UnknownError):
    """There is no Docker that could run nodes."""


@contextmanager
def daemon(*, timeout_seconds: int = CALL_SECONDS) -> "Iterator[docker.DockerClient]":
    """A connection to the daemon. Raises DockerError that says what is missing, and what errors it answers with."""
    try:
        import docker  # noqa: PLC0415 # an extra
        from docker.errors import APIError, DockerException  # noqa: PLC0415
        from requests.exceptions import RequestException  # noqa: PLC0415
    except ImportError:
        raise DockerError("backend kind needs Docker's library and pytest-kind", hint=EXTRA) from None
    where = os.environ.get("DOCKER_HOST", "/var/run/docker.sock")
    try:
        client = docker.from_env(timeout=timeout_seconds)
    except DockerException as error:
        reason = str(error)
        hint = "start Docker, or let DOCKER_HOST name a daemon"
        if "Permission denied" in reason:
            hint = f"may you use {where}? `sudo usermod -aG docker $USER`, and log in again"
        raise DockerError(f"no Docker daemon answers at {where}", facts=[reason], hint=hint) from None
    try:
        yield client
    except (APIError, RequestException) as error:
        raise DockerError(f"Docker at {where} failed", facts=[str(error)], hint="docker info") from error
    finally:
        client.close()


def node_image(client: "docker.DockerClient", wanted: str) -> str:
    """The image for nodes: the wanted one, else fluxlab's own if Docker has one, else kind's default (empty)."""
    if wanted:
        return wanted
    tags = sorted(tag for image in client.images.list(name=OWN_IMAGE) for tag in image.tags)
    return str(tags[-1]) if tags else ""


def check(client: "docker.DockerClient", *, wanted: str) -> None:
    """Raise DockerError when it cannot run nodes of that image, and FluxlabError when that is none or not there."""
    info, image = client.info(), node_image(client, wanted)
    memory = int(info.get("MemTotal", 0))
    if memory < MINIMUM_MEMORY_BYTES:
        raise DockerError(
            f"Docker has {memory / 1e9:.1f} GB of memory, and a node needs {MINIMUM_MEMORY_BYTES / 1e9:g}"
        )
    if any("rootless" in str(option) for option in info.get("SecurityOptions", ())):
        raise DockerError("a rootless Docker cannot run privileged nodes", hint="let DOCKER_HOST name another daemon")
    if info.get("CgroupVersion") == "1" and _needs_cgroup_v2(image):
        raise DockerError(
            f"Docker's machine has cgroup v1, with which kubelet does not start in {image or THEIR_IMAGE}",
            hint="boot it with systemd.unified_cgroup_hierarchy=1, or: make node-image",
        )
    _check_disk(str(info.get("DockerRootDir", "")))
    if image:
        _check_image(client, image)


def _needs_cgroup_v2(image: str) -> bool:
    """As far as its name tells. Without one it is kind's own, which does."""
    if not image or re.search(rf"(^|/){OWN_IMAGE}:", image):
        return not image
    version = re.search(r":v?1\.(\d+)", image)
    return version is not None and int(version[1]) >= FIRST_WITHOUT_CGROUP_V1


def _check_disk(folder: str) -> None:
    """Nothing is known here of another machine's disk, nor of the virtual one that Docker Desktop has."""
    if not os.environ.get("DOCKER_HOST", "unix://").startswith("unix://"):
        return
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return
    if free < FREE_DISK_BYTES:
        needed = f"nodes need {FREE_DISK_BYTES / 1e9:g}"
        raise DockerError(f"{folder} has {free / 1e9:.1f} GB free, and {needed}", hint="docker system df")


def _check_image(client: "docker.DockerClient", image: str) -> None:
    from docker.errors import ImageNotFound  # noqa: PLC0415 # as above

    try:
        found = client.images.get(image)
    except ImageNotFound:
        hint = f"docker pull {image}, or: make node-image"
        raise FluxlabError(f"Docker has no node image {image}", hint=hint) from None
    begins = " ".join(found.attrs["Config"].get("Entrypoint") or ())
    if begins.partition(" ")[0] != ENTRYPOINT:
        facts = [f"it begins with {begins or 'nothing'}, and a node image with {ENTRYPOINT}"]
        raise FluxlabError(f"{image} is no node image", facts=facts, hint="kindest/node, or: make node-image")


@dataclass(frozen=True)
class Nodes:
    """The nodes of one kind cluster, and the network that a lab made for them."""

    cluster: str
    network: str
    labels: dict[str, str]
    """Of the network: by them the lab knows its own."""

    def make_network(self, client: "docker.DockerClient") -> str:
        """Make the network, if it is not there; returns this machine's address in it, which only its nodes reach."""
        found = self._own_network(client) or client.networks.create(
            self.network,
            driver="bridge",
            labels=self.labels,
            options={"com.docker.network.bridge.enable_ip_masquerade": "true"},
        )
        found.reload()
        gateways = [str(pool.get("Gateway", "")) for pool in (found.attrs["IPAM"].get("Config") or ())]
        address = next((gateway for gateway in gateways if gateway.count(".") == 3), "")  # noqa: PLR2004 # IPv4
        if not address:
            raise FluxlabError(f"network {self.network} has no IPv4 address", hint=f"docker network rm {self.network}")
        return address

    def _own_network(self, client: "docker.DockerClient") -> "Network | None":
        for found in client.networks.list(names=[self.network]):
            if found.name == self.network and self._is_own(found):
                return found
        return None

    def _is_own(self, network: "Network") -> bool:
        mine = self.labels.get(ID_LABEL)
        return mine is not None and (network.attrs.get("Labels") or {}).get(ID_LABEL) == mine

    def all(self, client: "docker.DockerClient") -> "Sequence[Container]":
        """The nodes, running or not."""
        found = client.containers.list(all=True, filters={"label": f"{KIND_LABEL}={self.cluster}"})
        return [one for one in found if one.attrs["HostConfig"]["NetworkMode"] == self.network]

    def wake(self, client: "docker.DockerClient") -> Sequence[str]:
        """Have all nodes run; returns the names of those that did not."""
        sleeping = [node for node in self.all(client) if node.status != "running"]
        for node in sleeping:
            if node.status == "paused":
                node.unpause()
            else:
                node.start()
        return [str(node.name) for node in sleeping]

    def check_free(self, client: "docker.DockerClient") -> None:
        """Raise FluxlabError when a cluster of that name is there which is not this lab's: it is never touched."""
        own = {one.id for one in self.all(client)} if self._own_network(client) else set()
        found = client.containers.list(all=True, filters={"label": f"{KIND_LABEL}={self.cluster}"})
        if foreign := [one.name for one in found if one.id not in own]:
            raise FluxlabError(
                f"there is a kind cluster {self.cluster} already, which this lab did not make",
                facts=[f"its nodes: {', '.join(map(str, foreign))}"],
                hint=f"another name for the lab, or, if nobody needs it: kind delete cluster --name={self.cluster}",
            )

    def remove(self, client: "docker.DockerClient") -> None:
        """Remove nodes, their volumes and the network; what somebody is about to make in it, too."""
        from docker.errors import APIError, NotFound  # noqa: PLC0415 # as above

        last = ""

        def gone() -> bool:
            nonlocal last
            try:
                network = self._own_network(client)
                nodes = self.all(client)
                for node in nodes:
                    node.remove(force=True, v=True)
                if network:
                    network.remove()
            except NotFound:
                return False  # somebody else was faster: look again
            except APIError as error:
                last = str(error)
                return False
            return network is None and not nodes

        wait_until(
            gone,
            what=f"the nodes of kind cluster {self.cluster} are removed",
            timeout_seconds=REMOVAL_SECONDS,
            interval_seconds=0.2,
            state=lambda: last,
        )


def labels(lab: str, lab_id: str) -> dict[str, str]:
    """What marks a lab's own things, in Docker as in clusters."""
    return {LAB_LABEL: lab, ID_LABEL: lab_id}
