"""Flux's controllers as pods of a real cluster: the lab's way out reaches them by Secrets, and a patch names those.

Git holds the patch, as Flux's documentation has it for proxies, and none of the values.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from fluxlab.commands import run
from fluxlab.documents import Json, JsonObject

from .flux_components import read_manifests
from .flux_controllers import CONTROLLERS, NAMESPACE, RETRIES, WayOut
from .objects import KubeObject
from .resources import SECRET

_AUTHORITIES = "fluxlab-authorities"
_FOLDER = "/etc/fluxlab"
_FILE = "authorities.pem"
IN_CLUSTER = (".svc", ".cluster.local", ".cluster.local.")
"""Names inside a cluster, to which no proxy leads."""


def _variables(controller: str) -> str:
    return f"fluxlab-way-out-{controller}"


def kustomize_fields(labels: Mapping[str, str]) -> Mapping[str, Json]:
    """What a kustomization.yaml beside gotk-components.yaml needs for that."""
    return {
        "labels": [{"pairs": dict(labels)}],
        "patches": [
            {"patch": _dump(patch), "target": {"kind": "Deployment", "name": controller}}
            for controller in CONTROLLERS
            for patch in _patches(controller)
        ],
    }


def _patches(controller: str) -> Iterator[Json]:
    yield {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": controller},
        "spec": {"template": {"spec": _pod(controller)}},
    }
    if controller != "notification-controller":
        yield [{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": flag} for flag in RETRIES]


def _pod(controller: str) -> JsonObject:
    manager: JsonObject = {
        "name": "manager",
        "envFrom": [{"secretRef": {"name": _variables(controller)}}],
        "volumeMounts": [{"name": _AUTHORITIES, "mountPath": _FOLDER, "readOnly": True}],
    }
    volume: JsonObject = {"name": _AUTHORITIES, "secret": {"secretName": _AUTHORITIES}}
    return {"containers": [manager], "volumes": [volume]}


def secrets(way_out: WayOut, *, api_address: str, labels: Mapping[str, str]) -> Sequence[KubeObject]:
    """The Secrets that the patch names. `api_address` is the API server's in the cluster: a proxy must not be asked."""
    file = f"{_FOLDER}/{_FILE}"
    found = [_secret(_AUTHORITIES, {_FILE: way_out.authorities.read_text()}, labels)]
    for controller, proxy in way_out.proxy_url.items():
        variables = {
            "HTTPS_PROXY": proxy,
            "HTTP_PROXY": proxy,
            "NO_PROXY": ",".join((*IN_CLUSTER, api_address)),
            "SSL_CERT_FILE": file,
            "GIT_SSL_CAINFO": file,
        }
        found.append(_secret(_variables(controller), variables, labels))
    return found


def _secret(name: str, values: Mapping[str, str], labels: Mapping[str, str]) -> KubeObject:
    metadata: JsonObject = {"name": name, "namespace": NAMESPACE, "labels": dict(labels)}
    return KubeObject(
        {"apiVersion": SECRET.api_version, "kind": SECRET.kind, "metadata": metadata, "stringData": dict(values)}
    )


def components(manifests: Path, labels: Mapping[str, str], *, kubectl: Path) -> Sequence[KubeObject]:
    """Flux's components as the lab's repository builds them, made by kubectl's kustomize. Raises CommandError."""
    with TemporaryDirectory() as folder:
        name = "gotk-components.yaml"
        (Path(folder) / name).write_text(manifests.read_text())
        (Path(folder) / "kustomization.yaml").write_text(_dump({"resources": [name], **kustomize_fields(labels)}))
        return read_manifests(run([kubectl, "kustomize", folder]).stdout)


def _dump(value: Json) -> str:
    return yaml.dump(value, Dumper=yaml.CSafeDumper, sort_keys=False)
