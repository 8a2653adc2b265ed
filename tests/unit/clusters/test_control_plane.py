"""Command lines of the control plane: loopback only, mutual TLS everywhere, an audit log without secrets."""

import ipaddress
import re
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from fluxlab.clusters.control_plane import (
    ControlPlaneFiles,
    ControlPlanePorts,
    api_server,
    controller_manager,
    etcd,
    kwok,
    scheduler,
)
from fluxlab.clusters.links import Links

PORTS = ControlPlanePorts(etcd=20001, etcd_peer=20002, api=20003, controller_manager=20004, scheduler=20005, kwok=20006)
NO_LINKS = Links(enabled=False, reserve=lambda _: 0)
KUBELET = 20007
# Ranges inside the simulated cluster; nothing listens there.
NETWORKS = {"service-cluster-ip-range", "cidr"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ControlPlaneFiles:
    return ControlPlaneFiles(tmp_path_factory.mktemp("cluster"), name="lab")


@pytest.fixture(scope="module")
def commands(files: ControlPlaneFiles) -> dict[str, list[str]]:
    return {
        "etcd": etcd(files, PORTS, data=Path("/data")),
        "kube-apiserver": api_server(files, PORTS, links=NO_LINKS),
        "kube-controller-manager": controller_manager(files, PORTS, links=NO_LINKS),
        "kube-scheduler": scheduler(files, PORTS, links=NO_LINKS),
        "kwok": kwok(files, PORTS, links=NO_LINKS, stages=Path("/stages.yaml"), kubelet_port=KUBELET),
    }


def flags(words: Sequence[str]) -> dict[str, str]:
    found = {}
    for word in words:
        name, _, value = word.removeprefix("--").partition("=")
        assert word.startswith("--")
        assert name not in found
        found[name] = value
    return found


def test_every_address_is_on_loopback(commands: dict[str, list[str]]) -> None:
    addresses = 0
    for words in commands.values():
        for name, value in flags(words).items():
            if name in NETWORKS or value.startswith("/"):
                continue
            for found in re.findall(r"\d+\.\d+\.\d+\.\d+|\[[0-9a-f:]+\]|::", value):
                assert ipaddress.ip_address(found.strip("[]")).is_loopback, (name, value)
                addresses += 1
            for url in re.findall(r"https?://[^,]+", value):
                assert urlsplit(url).hostname in {"127.0.0.1", "kubernetes.default.svc.cluster.local"}, (name, value)
                assert url.startswith("https://")
    assert addresses >= 12


# The flag by which each program says where it listens, from its own --help; without it, all of them listen everywhere.
@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (
            "etcd",
            {
                "listen-client-urls": "https://127.0.0.1:20001",
                "advertise-client-urls": "https://127.0.0.1:20001",
                "listen-peer-urls": "https://127.0.0.1:20002",
                "initial-advertise-peer-urls": "https://127.0.0.1:20002",
            },
        ),
        (
            "kube-apiserver",
            {"bind-address": "127.0.0.1", "advertise-address": "127.0.0.1", "secure-port": "20003"},
        ),
        ("kube-controller-manager", {"bind-address": "127.0.0.1", "secure-port": "20004"}),
        ("kube-scheduler", {"bind-address": "127.0.0.1", "secure-port": "20005"}),
        ("kwok", {"server-address": "127.0.0.1:20006", "node-ip": "127.0.0.1", "node-port": "20007"}),
    ],
)
def test_each_program_is_told_where_to_listen(
    commands: dict[str, list[str]], program: str, expected: dict[str, str]
) -> None:
    assert expected.items() <= flags(commands[program]).items()


def test_no_two_programs_listen_on_the_same_port(commands: dict[str, list[str]]) -> None:
    listening = ("listen-client-urls", "listen-peer-urls", "secure-port", "server-address", "node-port")
    ports = [
        value.rpartition(":")[2]
        for words in commands.values()
        for name, value in flags(words).items()
        if name in listening
    ]
    assert sorted(map(int, ports)) == list(range(20001, 20008))


def test_etcd_asks_everybody_for_a_certificate(commands: dict[str, list[str]], files: ControlPlaneFiles) -> None:
    given = flags(commands["etcd"])
    assert given["client-cert-auth"] == given["peer-client-cert-auth"] == ""
    assert given["trusted-ca-file"] == given["peer-trusted-ca-file"] == str(files.authority)
    assert given["data-dir"] == "/data"


def test_the_api_server_asks_and_authorises(commands: dict[str, list[str]], files: ControlPlaneFiles) -> None:
    given = flags(commands["kube-apiserver"])
    assert given["client-ca-file"] == given["etcd-cafile"] == str(files.authority)
    assert given["authorization-mode"] == "Node,RBAC"
    assert given["etcd-servers"] == "https://127.0.0.1:20001"
    assert given["kubelet-certificate-authority"] == str(files.authority)
    assert given.get("anonymous-auth") != "true"
    assert "disable-admission-plugins" not in given


def test_the_audit_log_holds_no_bodies(commands: dict[str, list[str]]) -> None:
    given = flags(commands["kube-apiserver"])
    policy = yaml.safe_load(Path(given["audit-policy-file"]).read_text())
    assert (policy["apiVersion"], policy["kind"]) == ("audit.k8s.io/v1", "Policy")
    assert policy["rules"] == [{"level": "Metadata"}]
    assert given["audit-log-path"]


def test_the_audit_log_has_bounds(commands: dict[str, list[str]]) -> None:
    given = flags(commands["kube-apiserver"])
    megabytes = int(given["audit-log-maxsize"])  # 0 would be 100
    files = int(given["audit-log-maxbackup"])  # 0 would be all that there ever were
    assert megabytes > 0
    assert files > 0
    assert megabytes * (files + 1) <= 250


def test_every_file_that_is_named_is_there(commands: dict[str, list[str]], files: ControlPlaneFiles) -> None:
    for words in commands.values():
        for value in flags(words).values():
            if value.startswith(str(files.folder)) and value != str(files.audit_log):
                assert Path(value).is_file(), value


@pytest.mark.parametrize(
    ("program", "user", "group"),
    [
        ("kube-controller-manager", "system:kube-controller-manager", "system:masters"),
        ("kube-scheduler", "system:kube-scheduler", None),
        ("kwok", "kwok", "system:masters"),
    ],
)
def test_each_client_has_a_certificate_of_its_own(
    commands: dict[str, list[str]], files: ControlPlaneFiles, program: str, user: str, group: str | None
) -> None:
    content = yaml.safe_load(Path(flags(commands[program])["kubeconfig"]).read_text())
    assert content["clusters"][0]["cluster"] == {
        "server": "https://127.0.0.1:20003",
        "certificate-authority": str(files.authority),
    }
    subject = dict(entry[0] for entry in decode(Path(content["users"][0]["user"]["client-certificate"]))["subject"])
    assert subject["commonName"] == user
    assert (subject.get("organizationName") == "system:masters") == (group is not None)


def decode(certificate: Path) -> dict[str, list[tuple[tuple[str, str], ...]]]:
    """The certificate as the ssl module shows a peer's."""
    reader: Callable[[str], dict[str, list[tuple[tuple[str, str], ...]]]] = ssl._ssl._test_decode_cert  # type: ignore[attr-defined]
    return reader(str(certificate))


def test_the_api_serves_the_names_by_which_pods_know_it(files: ControlPlaneFiles) -> None:
    names = {name for _, name in decode(files.api.certificate)["subjectAltName"]}
    assert {"localhost", "127.0.0.1", "kubernetes.default.svc", "10.96.0.1"} <= names
