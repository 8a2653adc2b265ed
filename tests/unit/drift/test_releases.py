"""What a HelmRelease wants is read from Helm's storage; what cannot be read is unknown, never clean."""

import base64
import gzip
import json

import pytest

from fluxlab.clusters.objects import KubeObject
from fluxlab.documents import Json
from fluxlab.drift.releases import contents
from fluxlab.errors import UnknownError
from fluxlab.flux.helm_storage import storage_of

MANIFEST = """\
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: a, labels: {mine: "1"}}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: b, namespace: elsewhere}}
---
"""


def packed(stored: Json) -> str:
    return base64.b64encode(base64.b64encode(gzip.compress(json.dumps(stored).encode()))).decode()


def secret(data: str) -> KubeObject:
    return KubeObject({"kind": "Secret", "data": {"release": data}})


def release(**status: Json) -> KubeObject:
    history: Json = [{"name": "shop", "namespace": "shop", "version": 3}]
    metadata: Json = {"name": "shop", "namespace": "flux-system"}
    return KubeObject({"kind": "HelmRelease", "metadata": metadata, "status": {"history": history, **status}})


def test_a_release_wants_its_manifest_with_helms_marks_in_its_namespace() -> None:
    assert storage_of(release(storageNamespace="helm")) == ("helm", "sh.helm.release.v1.shop.v3")
    one, other = contents(release(), secret(packed({"manifest": MANIFEST})))
    assert (one.namespace, other.namespace) == ("shop", "elsewhere")
    assert one.labels == {"mine": "1", "app.kubernetes.io/managed-by": "Helm"}
    assert one.raw["metadata"]["annotations"] == {  # type: ignore[index, call-overload]
        "meta.helm.sh/release-name": "shop",
        "meta.helm.sh/release-namespace": "shop",
    }


@pytest.mark.parametrize(
    ("data", "told"),
    # With names of their own: gzip writes the time, and workers that collected within two seconds had different tests.
    [
        (None, "is not there"),
        ("", "cannot be read"),
        ("!!!", "cannot be read"),
        (base64.b64encode(base64.b64encode(b"no gzip")).decode(), "cannot be read"),
        (base64.b64encode(base64.b64encode(gzip.compress(b"no json"))).decode(), "cannot be read"),
        (base64.b64encode(base64.b64encode(gzip.compress(b"{}")[:-4])).decode(), "cannot be read"),
        (packed({"manifest": "a: ["}), "cannot be read"),
    ],
    ids=["nothing", "empty", "no base64", "no gzip", "no json", "cut off", "no yaml"],
)
def test_a_storage_that_cannot_be_read_is_unknown(data: str | None, told: str) -> None:
    with pytest.raises(UnknownError, match=told):
        contents(release(), None if data is None else secret(data))


def test_what_has_released_nothing_is_unknown() -> None:
    with pytest.raises(UnknownError, match="has released nothing yet"):
        storage_of(release(history=[]))
