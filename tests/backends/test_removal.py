"""What a lab made in somebody's cluster goes with it, and nothing else does."""

import re
import secrets
from collections.abc import Callable

import pytest
from tests.backends.conftest import CLUSTER, Ground
from tests.integration.conftest import Observer

from fluxlab.clusters.capabilities import Capability
from fluxlab.documents import JsonObject
from fluxlab.errors import FluxlabError
from fluxlab.lab import Lab

pytestmark = pytest.mark.integration

Eventually = Callable[..., object]


def manifests() -> list[JsonObject]:
    settings: JsonObject = {"namespace": "passing", "name": "settings"}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "passing"}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": settings, "data": {"size": "1"}},
    ]


@pytest.fixture
def owner(ground: Ground, eventually: Eventually) -> Observer:
    """Whose cluster it is, once the labs of other modules are gone from it."""
    if ground.owner is None:
        pytest.skip("a cluster of the lab's own goes as a whole: test_lifecycle.py, test_kind.py")
    looking = ground.owner
    kinds = "namespaces,customresourcedefinitions"
    eventually(lambda: looking.kubectl("get", kinds, "-l", "fluxlab.dev/lab", "-o", "name") == "", within=120)
    return looking


def everything(owner: Observer) -> set[str]:
    """All objects of somebody's cluster, but for what changes by itself."""
    kinds = owner.kubectl("api-resources", "--verbs=list", "-o", "name").split()
    chosen = [kind for kind in kinds if not re.match(r"(events|leases|endpoint|pods\.metrics)", kind)]
    found = owner.get(",".join(chosen), "-A")["items"]
    return {f"{one['kind']} {one['metadata'].get('namespace', '')}/{one['metadata']['name']}" for one in found}


def test_what_a_lab_made_goes_with_it_and_nothing_else(ground: Ground, owner: Observer) -> None:
    before = everything(owner)
    name = f"passing-{secrets.token_hex(3)}"
    lab = Lab.up(ground.spec(name), lifeline=True)
    try:
        lab.repository.write(f"clusters/{CLUSTER}/passing.yaml", manifests())
        lab.converge(lab.repository.commit("Make something"))
        lab.cluster.set_secret("passing/keys", "TOKEN", "x")
        made = everything(owner) - before
        if not lab.cluster.lacks(Capability.BOOTSTRAP):  # then its Flux goes with it, and is for nobody else
            with pytest.raises(FluxlabError, match=f"was installed by lab {name}"):
                Lab.up(ground.spec(f"{name}-2"), lifeline=True)
        assert {"Namespace /passing", "ConfigMap passing/settings", "Secret passing/keys"} <= made
    finally:
        lab.down()
    assert everything(owner) == before
