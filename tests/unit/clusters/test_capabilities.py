"""The table of what clusters can be asked for: complete, and an error for everything that one lacks."""

import pytest

from fluxlab.clusters.capabilities import Capability, Footing, UnsupportedError
from fluxlab.clusters.root import Root


@pytest.mark.parametrize("footing", Footing)
@pytest.mark.parametrize("capability", Capability)
def test_what_a_cluster_lacks_is_an_error_that_names_it(footing: Footing, capability: Capability) -> None:
    root = Root(footing=footing)
    reason = root.lacks(capability)
    if not reason:
        root.require(capability, cluster="shared")
        return
    with pytest.raises(UnsupportedError) as caught:
        root.require(capability, cluster="shared")
    assert caught.value.exit_code == 2
    assert caught.value.what == f"cluster shared ({footing}) has no {capability}"
    assert caught.value.facts == (reason,)


def test_every_capability_is_there_somewhere() -> None:
    for capability in Capability:
        assert any(not Root(footing=footing, simulated=False).lacks(capability) for footing in Footing)


def test_a_cluster_of_fluxlabs_own_lacks_nothing_but_what_containers_have() -> None:
    lacking = [Capability.CONTAINERS, Capability.LEADER_ELECTION, Capability.MEMORY_LIMITS]
    assert [capability for capability in Capability if Root().lacks(capability)] == lacking


@pytest.mark.parametrize("footing", Footing)
def test_simulated_pods_have_no_containers_whosever_cluster_it_is(footing: Footing) -> None:
    assert "KWOK" in Root(footing=footing, simulated=True).lacks(Capability.CONTAINERS)
