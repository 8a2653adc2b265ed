"""The command lines of etcd, Kubernetes and KWOK on loopback with mutual TLS: pure, from paths and ports to arguments.

Flags are those of etcd 3.6, Kubernetes 1.36 and KWOK 0.8, as their own `--help` documents them.
"""

from dataclasses import dataclass, fields
from pathlib import Path

from fluxlab.files import KeyPairFiles, write_private
from fluxlab.pki import Authority
from fluxlab.ports import Ports

from .kubeconfig import write_kubeconfig
from .links import Links

ADMINISTRATORS = "system:masters"
SERVICE_NETWORK = "10.96.0.0/16"
POD_NETWORK = "10.244.0.1/16"
# Enough for any lab: the clients' own defaults (20 to 50 requests per second) dominate a rollout otherwise.
CLIENT_LIMITS = ("--kube-api-qps=1000", "--kube-api-burst=2000")

AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
"""


@dataclass(frozen=True, kw_only=True)
class ControlPlanePorts:
    """One loopback port for each listener."""

    etcd: int
    etcd_peer: int
    api: int
    controller_manager: int
    scheduler: int
    kwok: int

    @classmethod
    def reserve(cls, ports: Ports, cluster: str) -> "ControlPlanePorts":
        """Reserve them all."""
        return cls(**{field.name: ports.reserve(f"{cluster}/{field.name}") for field in fields(cls)})


class ControlPlaneFiles:
    """What the programs read: key pairs of a cluster's own authority, kubeconfigs, the audit policy."""

    def __init__(self, folder: Path, *, name: str) -> None:
        self.folder = folder
        self.name = name
        authority = Authority(folder / "pki")
        self.authority = authority.certificate_file
        self.etcd = authority.issue("etcd", user="etcd")
        names = ("localhost", "127.0.0.1", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "10.96.0.1")
        self.api = authority.issue("api", *names, user="kube-apiserver", group=ADMINISTRATORS)
        self.service_accounts = authority.issue("service-accounts", user="service-accounts")
        self.kubelet = authority.issue("kubelet", user="kubelet")
        self.authority_keys = KeyPairFiles(certificate=self.authority, key=folder / "pki" / "ca.key")
        self._issuer = authority
        self.audit_policy = write_private(folder / "audit-policy.yaml", AUDIT_POLICY)
        self.audit_log = folder / "audit.log"

    def kubeconfig(self, user: str, *, port: int, group: str | None = None, file: Path | None = None) -> Path:
        """The kubeconfig of one user, whose name (and group) the API server reads from the certificate."""
        client = self._issuer.issue(user.rsplit(":", maxsplit=1)[-1], user=user, group=group)
        server = f"https://127.0.0.1:{port}"
        target = file or self.folder / "kubeconfigs" / f"{user.rsplit(':', maxsplit=1)[-1]}.yaml"
        return write_kubeconfig(target, context=self.name, server=server, authority=self.authority, client=client)


def etcd(files: ControlPlaneFiles, ports: ControlPlanePorts, *, data: Path) -> list[str]:
    """Arguments of etcd. No fsync: what a power cut destroys here is a lab, and every start waits for the disk."""
    client, peer = f"https://127.0.0.1:{ports.etcd}", f"https://127.0.0.1:{ports.etcd_peer}"
    pair = files.etcd
    return [
        "--name=lab",
        f"--data-dir={data}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=lab={peer}",
        "--client-cert-auth",
        f"--trusted-ca-file={files.authority}",
        f"--cert-file={pair.certificate}",
        f"--key-file={pair.key}",
        "--peer-client-cert-auth",
        f"--peer-trusted-ca-file={files.authority}",
        f"--peer-cert-file={pair.certificate}",
        f"--peer-key-file={pair.key}",
        "--unsafe-no-fsync",
        # The only member elects itself after a random part of the election timeout: of one second, unless told.
        "--heartbeat-interval=20",
        "--election-timeout=100",
        "--logger=zap",
        "--log-outputs=stderr",
        "--log-level=warn",
    ]


def api_server(files: ControlPlaneFiles, ports: ControlPlanePorts, *, links: Links) -> list[str]:
    """Arguments of kube-apiserver. The endpoint reconciler is off: on loopback there is no address to advertise."""
    etcd_port = links.port("api", "etcd", ports.etcd)
    return [
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={ports.api}",
        "--endpoint-reconciler-type=none",
        f"--etcd-servers=https://127.0.0.1:{etcd_port}",
        f"--etcd-cafile={files.authority}",
        f"--etcd-certfile={files.etcd.certificate}",
        f"--etcd-keyfile={files.etcd.key}",
        f"--tls-cert-file={files.api.certificate}",
        f"--tls-private-key-file={files.api.key}",
        f"--client-ca-file={files.authority}",
        f"--kubelet-certificate-authority={files.authority}",
        f"--kubelet-client-certificate={files.api.certificate}",
        f"--kubelet-client-key={files.api.key}",
        "--kubelet-preferred-address-types=InternalIP",
        "--anonymous-auth=false",  # not even /version for whoever else is on this machine
        "--authorization-mode=Node,RBAC",
        "--allow-privileged=true",
        f"--service-cluster-ip-range={SERVICE_NETWORK}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={files.service_accounts.key}",
        f"--service-account-signing-key-file={files.service_accounts.key}",
        f"--audit-policy-file={files.audit_policy}",
        f"--audit-log-path={files.audit_log}",
        "--audit-log-maxsize=50",
        "--audit-log-maxbackup=4",
        # On loopback the packing of answers only costs: 6 % of all processor time until the demo is there.
        "--feature-gates=APIResponseCompression=false",
        "--max-requests-inflight=2000",
        "--max-mutating-requests-inflight=1000",
    ]


def _serving(files: ControlPlaneFiles, port: int) -> list[str]:
    # A given key pair spares each of them the making of a self-signed one (RSA: 0.2 s of CPU).
    return [
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--tls-cert-file={files.api.certificate}",
        f"--tls-private-key-file={files.api.key}",
        "--authorization-always-allow-paths=/healthz,/readyz,/livez,/metrics",
        "--leader-elect=false",
        *CLIENT_LIMITS,
    ]


def controller_manager(files: ControlPlaneFiles, ports: ControlPlanePorts, *, links: Links) -> list[str]:
    """Arguments of kube-controller-manager."""
    user = "system:kube-controller-manager"
    kubeconfig = files.kubeconfig(
        user, port=links.port("kube-controller-manager", "api", ports.api), group=ADMINISTRATORS
    )
    return [
        f"--kubeconfig={kubeconfig}",
        f"--root-ca-file={files.authority}",
        f"--service-account-private-key-file={files.service_accounts.key}",
        f"--cluster-signing-cert-file={files.authority_keys.certificate}",
        f"--cluster-signing-key-file={files.authority_keys.key}",
        *_serving(files, ports.controller_manager),
    ]


def scheduler(files: ControlPlaneFiles, ports: ControlPlanePorts, *, links: Links) -> list[str]:
    """Arguments of kube-scheduler."""
    kubeconfig = files.kubeconfig("system:kube-scheduler", port=links.port("kube-scheduler", "api", ports.api))
    return [f"--kubeconfig={kubeconfig}", *_serving(files, ports.scheduler)]


def kwok(
    files: ControlPlaneFiles, ports: ControlPlanePorts, *, links: Links, stages: Path, kubelet_port: int
) -> list[str]:
    """Arguments of KWOK, which plays the kubelet of every node; logs and exec are answered at `kubelet_port`."""
    kubeconfig = files.kubeconfig("kwok", port=links.port("kwok", "api", ports.api), group=ADMINISTRATORS)
    return [
        f"--kubeconfig={kubeconfig}",
        f"--config={stages}",
        "--manage-all-nodes=true",
        f"--cidr={POD_NETWORK}",
        "--node-ip=127.0.0.1",
        # Where nodes say their kubelet is; without an own address KWOK would listen there, on all interfaces.
        f"--node-port={kubelet_port}",
        f"--server-address=127.0.0.1:{ports.kwok}",
        # No node leases: a restarted KWOK would do nothing until those of its predecessor expire.
    ]


def link_proxy(*, socket: Path, config: Path) -> list[str]:
    """Arguments of fluxlab's toxiproxy, in the folder of its socket."""
    return [f"-socket={socket.name}", f"-config={config}"]
