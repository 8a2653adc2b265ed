"""Faults of stored artifacts: what is fetched over HTTP, and what Flux says of it."""

import hashlib
import urllib.error
import urllib.request
from typing import Any

import pytest
from tests.integration.conftest import Observer
from tests.integration.faults.sight import condition

from fluxlab.lab import Lab

SOURCES = {
    "GitRepository flux-system/flux-system": ("gitrepository", "flux-system", "kustomization", "shop"),
    "HelmChart flux-system/flux-system-cart": ("helmchart", "flux-system-cart", "helmrelease", "cart"),
}


def _artifact(observer: Observer, kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = observer.get(kind, name, "-n", "flux-system")["status"]["artifact"]
    return found


def _fetch(artifact: dict[str, Any]) -> bytes:
    with urllib.request.urlopen(artifact["url"], timeout=10) as answer:  # noqa: S310 # source-controller's own
        content: bytes = answer.read()
        return content


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _reconcile(observer: Observer, kind: str, name: str, when: str) -> None:
    observer.kubectl(
        "annotate", "--overwrite", kind, name, "-n", "flux-system", f"reconcile.fluxcd.io/requestedAt={when}"
    )


@pytest.mark.parametrize("source", SOURCES)
def test_a_lost_artifact_is_missed_and_comes_back_whole(shop: Lab, observer: Observer, source: str) -> None:
    kind, name, _, _ = SOURCES[source]
    with shop.fault("artifact-lost", target=source, for_=60), pytest.raises(urllib.error.HTTPError, match="404"):
        _fetch(_artifact(observer, kind, name))
    artifact = _artifact(observer, kind, name)
    assert _digest(_fetch(artifact)) == artifact["digest"]


@pytest.mark.parametrize("source", SOURCES)
def test_a_corrupt_artifact_has_one_other_byte(shop: Lab, observer: Observer, source: str) -> None:
    kind, name, _, _ = SOURCES[source]
    artifact = _artifact(observer, kind, name)
    whole, places = _fetch(artifact), list[int]()
    assert _digest(whole) == artifact["digest"]
    for _ in range(2):
        with shop.fault("artifact-corrupt", target=source, for_=60, seed=7) as fault:
            broken = _fetch(artifact)
            assert len(broken) == len(whole)
            (place,) = [at for at, (one, other) in enumerate(zip(broken, whole, strict=True)) if one != other]
            assert f"byte {place} of {len(whole)} of {artifact['url']}" in fault.proof
        assert _fetch(artifact) == whole
        places.append(place)
    assert places[0] == places[1]


@pytest.mark.parametrize(
    ("fault", "said"), [("artifact-lost", "artifact not found"), ("artifact-corrupt", "failed to verify archive")]
)
def test_flux_says_that_it_cannot_have_the_artifact_and_is_ready_again(
    shop: Lab, observer: Observer, fault: str, said: str
) -> None:
    def ready() -> str:
        return condition(observer, "kustomization", "shop", "Ready")

    # Its source is looked at every minute, at which the fault would end by itself: just after that there is time.
    _reconcile(observer, "gitrepository", "flux-system", f"before {fault}")
    shop.wait_until(
        lambda: (
            observer.get("gitrepository", "flux-system", "-n", "flux-system")["status"].get("lastHandledReconcileAt")
            == f"before {fault}"
        ),
        what="the source was just looked at",
    )
    with shop.fault(fault, target="GitRepository flux-system/flux-system", for_=60):
        _reconcile(observer, "kustomization", "shop", f"during {fault}")
        shop.wait_until(lambda: said in ready(), what=f"Flux says {said}")
        assert ready().startswith("False ArtifactFailed")
        assert condition(observer, "gitrepository", "flux-system", "Ready").startswith("True")
    shop.wait_until(lambda: ready().startswith("True"), what="it is Ready again")
