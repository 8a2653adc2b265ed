"""What an object that git does not want may be there for."""

from collections.abc import Sequence

import pytest

from fluxlab.clusters.objects import KubeObject
from fluxlab.documents import Json, JsonObject
from fluxlab.flux.claims import claim_of, is_bookkeeping, read_by
from fluxlab.timeline.entries import ObjectRef


def made_by(*managers: tuple[str, str], owners: Sequence[str] = ()) -> KubeObject:
    managed: Json = [{"manager": manager, "time": f"2026-11-22T12:00:0{second}Z"} for manager, second in managers]
    references: Json = [{"kind": "ReplicaSet", "name": name} for name in owners]
    return KubeObject({"metadata": {"managedFields": managed, "ownerReferences": references}})


@pytest.mark.parametrize(
    ("subject", "claim"),
    [
        (made_by(("kubectl-create", "0")), ""),
        (made_by(), ""),
        (made_by(("kubectl-create", "0"), ("kubelet", "1")), ""),  # the kubelet came later
        (made_by(("kubelet", "0"), ("kubectl-edit", "1")), "kubelet made it"),
        (made_by(("kubelet", "0"), ("kubectl-edit", "0")), ""),
        (made_by(("gotk-kustomize-controller", "0")), "gotk-kustomize-controller made it"),
        (made_by(("fluxlab", "0")), "fluxlab made it"),
        (made_by(("kubectl-create", "0"), owners=["a"]), "ReplicaSet a owns it"),
        (made_by(("kubelet", "0"), owners=["a", "b"]), "ReplicaSet a and ReplicaSet b own it"),
    ],
)
def test_an_object_claims_that_its_owners_or_a_platforms_program_keep_it(subject: KubeObject, claim: str) -> None:
    assert claim_of(subject) == claim


def test_helm_s_storage_and_the_default_service_account_are_books() -> None:
    def book(kind: str, name: str) -> bool:
        return is_bookkeeping(ObjectRef(kind=kind, namespace="shop", name=name))

    assert book("Secret", "sh.helm.release.v1.cart.v1")
    assert book("ServiceAccount", "default")
    assert not book("ConfigMap", "default")
    assert not book("ServiceAccount", "cart")


def test_a_flux_object_reads_what_its_spec_refers_to() -> None:
    spec: JsonObject = {
        "postBuild": {"substituteFrom": [{"kind": "ConfigMap", "name": "words"}, {"kind": "Secret", "name": "key"}]},
        "valuesFrom": [{"kind": "Secret", "name": "values", "valuesKey": "all"}],
        "secretRef": {"name": "token"},
        "decryption": {"secretRef": {"name": "sops"}},
        "certSecretRef": {"name": "ca"},
        "sourceRef": {"kind": "GitRepository", "name": "fleet"},
    }
    metadata: JsonObject = {"namespace": "shop", "name": "cart"}
    subject: JsonObject = {"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "metadata": metadata, "spec": spec}
    assert {str(one) for one in read_by(KubeObject(subject))} == {
        "ConfigMap shop/words",
        *(f"Secret shop/{name}" for name in ("key", "values", "token", "sops", "ca")),
    }
    assert list(read_by(KubeObject({**subject, "apiVersion": "v1"}))) == []
