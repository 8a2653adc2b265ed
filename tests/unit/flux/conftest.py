"""Objects as the API returns them, written out by hand: data for what only reads."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from fluxlab.clusters.objects import KubeObject

Build = Callable[..., KubeObject]


def build(
    kind: str,
    name: str,
    *,
    namespace: str = "flux-system",
    generation: int = 2,
    observed: int | None = None,
    spec: Mapping[str, Any] | None = None,
    status: Mapping[str, Any] | None = None,
    conditions: Mapping[str, tuple[str, str, str] | tuple[str, str, str, int]] | None = None,
    labels: Mapping[str, str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    since: str = "",
) -> KubeObject:
    """An object; `conditions` are (status, reason, message) by type, at the current generation unless a fourth says."""
    entries: list[dict[str, Any]] = [
        {
            "type": type_,
            "status": entry[0],
            "reason": entry[1],
            "message": entry[2],
            **({"lastTransitionTime": since} if since else {}),
            "observedGeneration": entry[3] if len(entry) > 3 else generation,
        }
        for type_, entry in (conditions or {}).items()
    ]
    return KubeObject(
        {
            "apiVersion": "example/v1",
            "kind": kind,
            "metadata": {
                "name": name,
                "namespace": namespace,
                "generation": generation,
                "labels": dict(labels or {}),
                **(metadata or {}),
            },
            "spec": dict(spec or {}),
            "status": {
                "observedGeneration": generation if observed is None else observed,
                "conditions": entries,
                **(status or {}),
            },
        }
    )


@pytest.fixture(name="build")
def _build() -> Build:
    return build
