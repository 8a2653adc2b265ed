"""Kubeconfig files: what they hold and who may read them."""

import stat
from pathlib import Path

import pytest
import yaml

from fluxlab.clusters.kubeconfig import Access, read_kubeconfig, write_kubeconfig
from fluxlab.files import KeyPairFiles


@pytest.fixture
def access(tmp_path: Path) -> Access:
    folder = tmp_path / "a: b #c"  # YAML must quote it
    return Access(
        server="https://127.0.0.1:20001",
        authority=folder / "ca.crt",
        client=KeyPairFiles(certificate=folder / "admin.crt", key=folder / "admin.key"),
    )


def test_a_kubeconfig_is_what_kubectl_documents(tmp_path: Path, access: Access) -> None:
    file = write_kubeconfig(tmp_path / "x" / "kubeconfig", context="lab", access=access)
    content = yaml.safe_load(file.read_text())
    assert (content["apiVersion"], content["kind"], content["current-context"]) == ("v1", "Config", "lab")
    assert content["contexts"] == [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}]
    assert content["clusters"] == [
        {"name": "lab", "cluster": {"server": access.server, "certificate-authority": str(access.authority)}}
    ]
    assert content["users"] == [
        {
            "name": "lab",
            "user": {"client-certificate": str(access.client.certificate), "client-key": str(access.client.key)},
        }
    ]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_it_is_read_as_it_was_written(tmp_path: Path, access: Access) -> None:
    assert read_kubeconfig(write_kubeconfig(tmp_path / "kubeconfig", context="lab", access=access)) == access


def test_without_the_file_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_kubeconfig(tmp_path / "missing")
