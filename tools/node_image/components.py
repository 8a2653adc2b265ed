"""The programs inside a node: those of Kubernetes, containerd, the CNI plugins, and two small ones of fluxlab's."""

from pathlib import Path

from fluxlab.toolchain import COMPONENTS, Component
from fluxlab.toolchain.components import STANDARD_LIBRARY, kubernetes

SOURCES = Path(__file__).parent / "components"
FROM_TOOLCHAIN = ("etcd", "kubernetes", "kubectl")
"""What a lab on the local backend runs too: built once for both."""
CNI_PLUGINS = ("ptp", "loopback", "host-local", "portmap")
CONTAINERD = ("containerd", "containerd-shim-runc-v2", "ctr")


def _containerd(name: str) -> Component:
    module = "github.com/containerd/containerd/v2"
    return Component(
        name=name,
        package=f"{module}/cmd/{name}",
        module=module,
        variables=(f"{module}/version.Version=v{{version}}",),
        version_arguments=("-v",),
        version_output="v{version}",
        sources=SOURCES,
    )


def _cni_plugin(name: str, *, kind: str) -> Component:
    """A plugin tells its version when nobody asks it for anything else."""
    module = "github.com/containernetworking/plugins"
    return Component(
        name=name,
        package=f"{module}/plugins/{kind}/{name}",
        module=module,
        variables=(f"{module}/pkg/utils/buildversion.BuildVersion=v{{version}}",),
        version_arguments=(),
        version_output="plugin v{version}",
        sources=SOURCES,
    )


NODE_COMPONENTS: tuple[Component, ...] = (
    *(component for component in COMPONENTS if component.name in FROM_TOOLCHAIN),
    kubernetes("kubeadm", version_arguments=("version", "-o", "short"), sources=SOURCES),
    kubernetes("kubelet", sources=SOURCES),
    kubernetes("kube-proxy", sources=SOURCES),
    *(_containerd(name) for name in CONTAINERD),
    Component(
        name="crictl",
        package="sigs.k8s.io/cri-tools/cmd/crictl",
        module="sigs.k8s.io/cri-tools",
        variables=("sigs.k8s.io/cri-tools/pkg/version.Version=v{version}",),
        version_output="v{version}",
        sources=SOURCES,
    ),
    _cni_plugin("ptp", kind="main"),
    _cni_plugin("loopback", kind="main"),
    _cni_plugin("host-local", kind="ipam"),
    _cni_plugin("portmap", kind="meta"),
    Component(
        name="podnet",
        package="github.com/vishvananda/netlink",
        module="github.com/vishvananda/netlink",
        variables=("main.version={version}",),
        version_arguments=("-version",),
        sources=SOURCES,
    ),
    Component(
        name="coredns",
        package="github.com/coredns/coredns/coremain",
        module="github.com/coredns/coredns",
        version_arguments=("-version",),
        sources=SOURCES,
    ),
    Component(
        name="local-path-provisioner",
        package="github.com/rancher/local-path-provisioner",
        module="github.com/rancher/local-path-provisioner",
        variables=("main.VERSION=v{version}",),
        version_output="v{version}",
        sources=SOURCES,
    ),
    Component(
        name="pause",
        package="os/signal",
        module=STANDARD_LIBRARY,
        variables=("main.version={version}",),
        version_arguments=("-version",),
        sources=SOURCES,
    ),
)
