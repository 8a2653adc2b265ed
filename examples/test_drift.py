"""A hotfix by hand: it is found, with who made it, and Flux puts back what git says."""

from fluxlab.documents import JsonObject
from fluxlab.drift import Expected
from fluxlab.lab import Lab

SETTINGS: JsonObject = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "settings", "namespace": "default"},
    "data": {"colour": "red"},
}


def test_a_hotfix_by_hand_is_found_and_put_back(lab: Lab) -> None:
    lab.repository.write("clusters/flux-playground/settings.yaml", SETTINGS)
    lab.converge(lab.repository.commit("Paint it red"))
    lab.drift().assert_clean()

    lab.cluster.kubectl("patch", "configmap", "settings", "-p", '{"data": {"colour": "blue"}}')
    found = lab.drift()
    found.expect(Expected("ConfigMap default/settings", "/data/colour", by="kubectl"))
    assert found.drifts[0].fate.reverted

    lab.cluster.flux("reconcile", "kustomization", "flux-system")
    lab.drift().assert_clean()
    assert lab.cluster.config_map("default/settings").raw["data"] == {"colour": "red"}
