"""What a Kustomization says that it has applied."""

from fluxlab.clusters.inventory import Applied, inventory
from fluxlab.clusters.objects import KubeObject


def test_entries_are_read_as_flux_writes_them() -> None:
    ids = [
        "shop_web_apps_Deployment",
        "_shop__Namespace",
        "_system__controller__x_rbac.authorization.k8s.io_ClusterRole",
        "shop_settings__ConfigMap",
    ]
    entries = [{"id": one, "v": "v1"} for one in ids]
    found = list(inventory(KubeObject({"status": {"inventory": {"entries": entries}}})))
    assert found == [
        Applied(group="apps", kind="Deployment", namespace="shop", name="web"),
        Applied(group="", kind="Namespace", namespace="", name="shop"),
        Applied(group="rbac.authorization.k8s.io", kind="ClusterRole", namespace="", name="system:controller:x"),
        Applied(group="", kind="ConfigMap", namespace="shop", name="settings"),
    ]


def test_what_is_no_entry_is_none() -> None:
    entries = [{"id": "rubbish"}, {"v": "v1"}, {"id": ""}, {"id": "___"}]
    assert not list(inventory(KubeObject({"status": {"inventory": {"entries": entries}}})))
    assert not list(inventory(KubeObject({})))
