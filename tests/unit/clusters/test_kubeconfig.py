"""Kubeconfig files: what they hold and who may read them."""

import stat
from pathlib import Path

import pytest
import yaml

from fluxlab.clusters.kubeconfig import Access, read_kubeconfig, write_kubeconfig
from fluxlab.files import KeyPairFiles

SERVER = "https://127.0.0.1:20001"
FOLDER = Path("/a: b #c")  # YAML must quote it
AUTHORITY = FOLDER / "ca.crt"
CLIENT = KeyPairFiles(certificate=FOLDER / "admin.crt", key=FOLDER / "admin.key")


def written(file: Path) -> Path:
    return write_kubeconfig(file, context="lab", server=SERVER, authority=AUTHORITY, client=CLIENT)


def test_a_kubeconfig_is_what_kubectl_documents(tmp_path: Path) -> None:
    file = written(tmp_path / "x" / "kubeconfig")
    content = yaml.safe_load(file.read_text())
    assert (content["apiVersion"], content["kind"], content["current-context"]) == ("v1", "Config", "lab")
    assert content["contexts"] == [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}]
    assert content["clusters"] == [
        {"name": "lab", "cluster": {"server": SERVER, "certificate-authority": str(AUTHORITY)}}
    ]
    assert content["users"] == [
        {
            "name": "lab",
            "user": {"client-certificate": str(CLIENT.certificate), "client-key": str(CLIENT.key)},
        }
    ]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    access = Access(server=SERVER, authority=AUTHORITY, client=CLIENT)
    assert read_kubeconfig(written(tmp_path / "kubeconfig")) == access


def test_without_the_file_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_kubeconfig(tmp_path / "missing")
