"""What a look says of a cluster holds no value of its Secrets, whoever quoted it."""

import base64
from collections.abc import Mapping, Sequence
from typing import cast

from fluxlab.cluster import Cluster
from fluxlab.clusters.api import ApiError
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import SECRET, Resource
from fluxlab.flux.look import Convergence
from fluxlab.flux.pending import Outlook, Pending
from fluxlab.looks import _Masked
from fluxlab.redaction import Redactor


class Holder:
    """Holds one Secret, which may be forbidden to read."""

    def __init__(self, value: str) -> None:
        self.value = value
        self.forbidden = False
        self.api = self

    def list(self, resource: Resource, *, query: Mapping[str, str]) -> Sequence[KubeObject]:
        assert (resource, list(query)) == (SECRET, ["fieldSelector"])
        if self.forbidden:
            raise ApiError("GET /api/v1/secrets", status=403, message="forbidden")
        data = {"word": base64.b64encode(self.value.encode()).decode()}
        return [KubeObject({"kind": "Secret", "data": data})]


def told(masked: _Masked, *whys: str) -> list[str]:
    pending = tuple(Pending(object=f"Job {why}", outlook=Outlook.FAILED, why=why) for why in whys)
    seen = Convergence(cluster="c", commit="a" * 40, arrived=(), pending=pending)
    found = masked.of(seen)
    assert [each.outlook for each in found.pending] == [Outlook.FAILED for _ in whys]
    return [each.why for each in found.pending]


def test_values_of_secrets_are_masked_also_when_they_were_rotated_meanwhile() -> None:
    cluster = Holder("first-word")
    masked = _Masked(cast("Cluster", cluster), Redactor(["of-the-lab"]))
    assert told(masked, 'invalid: "first-word"', "by of-the-lab") == ['invalid: "[redacted]"', "by [redacted]"]
    cluster.value = "second-word"
    assert told(masked, "second-word instead of first-word") == ["[redacted] instead of [redacted]"]
    assert told(masked, 'invalid: "first-word"', "harmless") == ['invalid: "[redacted]"', "harmless"]


def test_what_cannot_be_masked_is_not_shown_until_it_can() -> None:
    cluster = Holder("first-word")
    masked = _Masked(cast("Cluster", cluster), Redactor())
    cluster.forbidden = True
    [text] = told(masked, "invalid: first-word")
    assert "first-word" not in text
    assert "Secrets" in text
    cluster.forbidden = False
    assert told(masked, "invalid: first-word") == ["invalid: [redacted]"]
