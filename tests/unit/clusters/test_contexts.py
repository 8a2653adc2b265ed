"""A context of somebody's kubeconfig in a lab's folder; here kubectl is a script that says what the test has it say."""

import base64
import shlex
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from fluxlab.clusters.contexts import import_context
from fluxlab.clusters.kubeconfig import read_kubeconfig

DATA = {key: base64.b64encode(key.encode()).decode() for key in ("authority", "certificate", "key")}
CLUSTER = {"server": "https://shared.example.org", "certificate-authority-data": DATA["authority"]}
USER = {"client-certificate-data": DATA["certificate"], "client-key-data": DATA["key"]}
FILES = ("kubeconfig", "access/ca.crt", "access/client.crt", "access/client.key")


@pytest.fixture
def kubectl(tmp_path: Path) -> Path:
    content = yaml.dump(
        {
            "current-context": "shared",
            "clusters": [{"name": "one", "cluster": CLUSTER}],
            "users": [{"name": "ada", "user": USER}],
        }
    )
    program = tmp_path / "kubectl"
    program.write_text(f"#!/bin/sh\nprintf %s {shlex.quote(content)}\n")
    program.chmod(0o755)
    return program


def test_what_was_inlined_is_in_files_for_their_owner_only(kubectl: Path, tmp_path: Path) -> None:
    access = read_kubeconfig(import_context("", kubeconfig="", folder=tmp_path / "shared", kubectl=kubectl))
    assert access.server == CLUSTER["server"]
    assert access.authority is not None
    assert access.authority.read_text() == "authority"
    assert access.client is not None
    assert (access.client.certificate.read_text(), access.client.key.read_text()) == ("certificate", "key")
    assert {stat.S_IMODE((tmp_path / "shared" / name).stat().st_mode) for name in FILES} == {0o600}


def test_the_way_to_somebodys_cluster_outlives_a_power_cut(
    kubectl: Path, tmp_path: Path, lasts: Callable[[Path], bool]
) -> None:
    import_context("", kubeconfig="", folder=tmp_path / "shared", kubectl=kubectl)
    assert [name for name in FILES if not lasts(tmp_path / "shared" / name)] == []
