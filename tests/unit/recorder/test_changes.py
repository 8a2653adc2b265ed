"""From two versions of an object to what the timeline says of them."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxlab.clusters.differences import differences, without_values
from fluxlab.clusters.managed_fields import creators
from fluxlab.clusters.managed_fields import setters as setters_of
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.secret_values import values_of
from fluxlab.documents import JsonObject
from fluxlab.recorder.changes import Change, entry_of, event_entry, owner_of, revision_of
from fluxlab.redaction import MASK, Redactor
from fluxlab.timeline.entries import Detail, Entry, Level, to_line

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


def fields(before: object, after: object) -> dict[str, tuple[str | None, str | None]]:
    return {one.field: (one.before, one.after) for one in differences(before, after)}  # type: ignore[arg-type]


@given(value=JSON)
def test_equal_values_do_not_differ(value: object) -> None:
    assert not fields(value, json.loads(json.dumps(value)))


@given(before=JSON, after=JSON)
def test_different_values_differ(before: object, after: object) -> None:
    if before != after or json.dumps(before, sort_keys=True) != json.dumps(after, sort_keys=True):
        changed = {key: value for key, value in fields(before, after).items() if value[0] != value[1]}
        # An absent field and one that is null are the same to the API.
        assert changed or "null" in json.dumps([before, after]) or before == after


def test_fields_are_named_as_kubernetes_names_them() -> None:
    before = {"spec": {"replicas": 1, "containers": [{"name": "a", "image": "x:1"}, {"name": "b"}], "args": ["1"]}}
    after = {"spec": {"replicas": 3, "containers": [{"name": "b"}, {"name": "a", "image": "x:2"}], "args": ["1", "2"]}}
    assert fields(before, after) == {
        ".spec.replicas": ("1", "3"),
        '.spec.containers[name="a"].image': ('"x:1"', '"x:2"'),
        ".spec.args": ('["1"]', '["1", "2"]'),
    }


def test_what_came_and_what_went_is_told_as_such() -> None:
    before = {"metadata": {"labels": {"old": "1"}}, "l": [{"name": "a"}]}
    after = {"metadata": {"labels": {"app.kubernetes.io/x": "2"}}, "l": [{"name": "b", "v": 1}]}
    assert fields(before, after) == {
        ".metadata.labels.old": ('"1"', None),
        '.metadata.labels["app.kubernetes.io/x"]': (None, '"2"'),
        '.l[name="a"]': ('{"name": "a"}', None),
        '.l[name="b"]': (None, '{"name": "b", "v": 1}'),
    }


def test_bookkeeping_is_no_difference() -> None:
    before = {"metadata": {"resourceVersion": "1", "generation": 1, "managedFields": []}}
    after = {"metadata": {"resourceVersion": "2", "generation": 2, "managedFields": [{"manager": "x"}]}}
    assert not fields(before, after)


def managed(*entries: tuple[str, str, str]) -> JsonObject:
    return {
        "metadata": {
            "managedFields": [
                {"manager": manager, "time": time, **({"subresource": sub} if sub else {})}
                for manager, time, sub in entries
            ]
        }
    }


def setters(before: JsonObject, after: JsonObject) -> list[str]:
    return setters_of(before, after, differences(before, after))


def test_the_setter_is_whose_entry_is_new_or_has_another_time() -> None:
    before = managed(("helm", "12:00", ""), ("kcm", "12:00", "status"))
    assert setters(before, managed(("helm", "12:00", ""), ("kubectl-edit", "12:05", ""))) == ["kubectl-edit"]
    assert setters(before, managed(("helm", "12:07", ""), ("kcm", "12:00", "status"))) == ["helm"]
    assert setters(before, managed(("helm", "12:00", ""), ("kcm", "12:09", "status"))) == ["kcm (status)"]


def test_a_manager_with_several_entries_sets_nothing_when_another_does() -> None:
    def seen(*, updated: str, status: str) -> JsonObject:
        entries: list[JsonObject] = [
            {"manager": "flux", "operation": "Apply", "time": "12:00"},
            {"manager": "flux", "operation": "Update", "time": updated},
            {"manager": "kcm", "operation": "Update", "time": status, "subresource": "status"},
        ]
        return {"metadata": {"managedFields": entries}}

    before = seen(updated="12:03", status="12:03")
    assert setters(before, seen(updated="12:03", status="12:04")) == ["kcm (status)"]
    assert setters(before, seen(updated="12:04", status="12:03")) == ["flux"]
    assert setters(managed(), seen(updated="12:03", status="12:03")) == ["flux", "kcm (status)"]


def written(value: int | None, *entries: tuple[str, str, str, str]) -> JsonObject:
    """An object with one field, and who owns which: manager, time, subresource and the field set as JSON."""
    told = [
        {"manager": manager, "time": time, "subresource": sub, "fieldsV1": json.loads(owned)}
        for manager, time, sub, owned in entries
    ]
    data = {} if value is None else {"spec": {"replicas": value}}
    return {"metadata": {"managedFields": told}, **data}


REPLICAS, NOTHING = '{"f:spec": {"f:replicas": {}}}', "{}"


def test_within_one_second_the_setter_is_who_wrote_last_if_that_is_one_and_owns_it() -> None:
    both = (("helm", "12:00", "", NOTHING), ("kubectl", "12:05", "", REPLICAS))
    assert setters(written(1, *both), written(2, *both)) == ["kubectl"]
    unclear = (("helm", "12:05", "", REPLICAS), ("kubectl", "12:05", "", REPLICAS))
    assert setters(written(1, *unclear), written(2, *unclear)) == []


def test_who_takes_away_or_scales_past_a_default_is_nobody_that_the_object_names() -> None:
    cut = (("kustomize", "12:05", "", REPLICAS), ("kustomize", "12:05", "", NOTHING))
    assert setters(written(1, cut[0]), written(None, cut[1])) == []
    scaled = (("kustomize", "12:00", "", NOTHING), ("kcm", "12:05", "status", '{"f:status": {}}'))
    assert setters(written(1, *scaled), written(4, *scaled)) == []


def test_the_creator_is_who_was_there_first() -> None:
    assert creators(managed(("flux", "12:00", ""), ("helm", "12:01", ""), ("x", "12:00", "status"))) == ["flux"]


def deployment(**changes: object) -> KubeObject:
    metadata = {"name": "cart", "namespace": "shop", "uid": "1", "resourceVersion": "7"}
    raw = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"replicas": 1}, **changes}
    return KubeObject(raw)  # type: ignore[arg-type]


def told(
    verb: str,
    before: KubeObject | None,
    after: KubeObject,
    *,
    gap: bool = False,
    redactor: Redactor | None = None,
) -> Entry | None:
    change = Change(verb=verb, before=before, after=after, time=NOON, resource="/apis/apps/v1/deployments", gap=gap)
    return entry_of(change, cluster="c", redactor=redactor or Redactor(), digest_key=b"key")


def conditions(**by_type: str) -> Mapping[str, object]:
    return {"conditions": [{"type": name, "status": status, "reason": "R"} for name, status in by_type.items()]}


def test_a_change_of_the_spec_is_told_with_its_field() -> None:
    found = told("changed", deployment(), deployment(spec={"replicas": 3}))
    assert found
    assert found.level is Level.INFO
    assert ".spec.replicas: 1 -> 3" in found.text
    assert found.details[Detail.VERSION] == "7"


def test_a_condition_that_turns_bad_is_a_warning_and_a_step_on_the_way_is_quiet() -> None:
    ready = deployment(status=conditions(Ready="True"))
    broken = told("changed", ready, deployment(status=conditions(Ready="False")))
    stalled = told("changed", ready, deployment(status=conditions(Ready="True", Stalled="True")))
    on_the_way = told("changed", ready, deployment(status=conditions(Ready="Unknown")))
    good = told("changed", deployment(status=conditions(Ready="False")), ready)
    assert broken
    assert stalled
    assert on_the_way
    assert good
    levels = [found.level for found in (broken, stalled, on_the_way, good)]
    assert levels == [Level.WARNING, Level.WARNING, Level.DEBUG, Level.INFO]


def test_a_write_that_changed_nothing_is_told_as_such() -> None:
    before = deployment()
    metadata = {"name": "cart", "namespace": "shop", "uid": "1", "resourceVersion": "8"}
    found = told("changed", before, deployment(metadata=metadata))
    assert found, "else nobody could tell whether the timeline has come to that version"
    assert (found.text, found.level) == ("was written, and is as it was", Level.DEBUG)
    assert found.details[Detail.VERSION] == "8"
    assert not found.changes


def test_a_version_that_is_known_is_told_after_a_gap_only() -> None:
    assert told("changed", deployment(), deployment()) is None
    found = told("changed", deployment(), deployment(), gap=True)
    assert found
    assert found.details[Detail.GAP] == "yes"


def test_values_of_secrets_are_never_told_but_that_they_changed_is() -> None:
    def secret(value: str) -> KubeObject:
        annotation = {"kubectl.kubernetes.io/last-applied-configuration": f'{{"data":{{"t":"{value}"}}}}'}
        metadata: JsonObject = {"name": "s", "namespace": "shop", "annotations": annotation}
        return KubeObject({"kind": "Secret", "metadata": metadata, "data": {"t": value, "same": "c2FtZQ=="}})

    found = told("changed", secret("YWJj"), secret("eHl6"))
    assert found
    assert ".data.t" in found.text
    assert ".data.same" not in found.text
    assert not any(word in str(found) for word in ("YWJj", "eHl6", "c2FtZQ"))
    one: JsonObject = {"kind": "Secret", "data": {"t": "YWJj"}}
    same: JsonObject = {"data": {"t": "YWJj"}, "kind": "Secret"}
    assert without_values(one, key=b"k") == without_values(same, key=b"k")
    assert without_values(one, key=b"k") != without_values(same, key=b"other")


def test_the_values_that_must_be_masked_are_all_texts_of_a_secret() -> None:
    secret = KubeObject({"kind": "Secret", "data": {"a": "aGVsbG8K", "bin": "/w==", "broken": "%"}})
    assert set(values_of(secret)) == {"hello\n", "hello"}
    assert not list(values_of(KubeObject({"kind": "ConfigMap", "data": {"a": "aGVsbG8="}})))


@pytest.mark.parametrize("prefix", ["helm", "kustomize"])
def test_an_owner_is_read_from_labels_and_through_controllers(prefix: str) -> None:
    label = f"{prefix}.toolkit.fluxcd.io"
    labels = {f"{label}/name": "shop", f"{label}/namespace": "apps"}
    metadata: JsonObject = {"name": "cart", "namespace": "shop", "labels": labels}
    kind = {"helm": "HelmRelease", "kustomize": "Kustomization"}[prefix]
    assert owner_of(KubeObject({"kind": "Deployment", "metadata": metadata}), {}) == f"{kind} apps/shop"
    pod = KubeObject({"kind": "Pod", "metadata": {"name": "p", "ownerReferences": [{"uid": "7"}]}})
    assert owner_of(pod, {"7": f"{kind} apps/shop"}) == f"{kind} apps/shop"
    assert owner_of(pod, {}) == ""


@pytest.mark.parametrize(
    ("status", "message", "revision"),
    [
        ("True", f"stored artifact for revision 'main@sha1:{'b' * 40}'", f"main@sha1:{'b' * 40}"),
        ("Unknown", f"building artifact: new upstream revision 'main@sha1:{'b' * 40}'", f"main@sha1:{'b' * 40}"),
        ("False", "failed to checkout and determine revision: unable to clone", f"main@sha1:{'a' * 40}"),
    ],
)
def test_a_source_is_at_the_revision_that_it_speaks_of_while_its_artifact_is_still_the_one_before(
    status: str, message: str, revision: str
) -> None:
    condition = {"type": "Ready", "status": status, "reason": "x", "message": message}
    source: JsonObject = {
        "kind": "GitRepository",
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "status": {"artifact": {"revision": f"main@sha1:{'a' * 40}"}, "conditions": [condition]},
    }
    assert revision_of(KubeObject(source)) == revision


def test_an_event_is_told_of_its_object() -> None:
    involved = {"kind": "Kustomization", "namespace": "x", "name": "apps"}
    raw: JsonObject = {
        "kind": "Event",
        "metadata": {"annotations": {"kustomize.toolkit.fluxcd.io/revision": f"main@sha1:{'a' * 40}"}},
        "involvedObject": {**involved, "apiVersion": "kustomize.toolkit.fluxcd.io/v1"},
        "type": "Normal", "reason": "Progressing", "message": "done", "count": 3, "source": {"component": "kc"},
    }  # fmt: skip
    found = event_entry(KubeObject(raw), cluster="c", time=NOON)
    assert str(found.object) == "Kustomization x/apps"
    assert found.level is Level.INFO
    assert found.text == "Progressing: done (3 times)"
    assert found.details[Detail.REVISION].endswith("a" * 40)
    assert event_entry(KubeObject({**raw, "type": "Warning"}), cluster="c", time=NOON).level is Level.WARNING


def test_a_secret_that_is_longer_than_what_is_shown_is_masked_before_it_is_cut() -> None:
    token = "t0ken" * 40
    found = told("changed", deployment(spec={"a": "x"}), deployment(spec={"a": token}), redactor=Redactor([token]))
    assert found
    assert "t0kent0ken" not in str(found)
    assert MASK in found.text


KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2
OF/2NxApJCzGCEDdfSp6VQO30hyhRANCAAQRWz+jn65BtOMvdyHKcvjBeBSDZH2r
-----END PRIVATE KEY-----
"""


def test_a_key_that_a_chart_renders_into_a_config_map_is_not_told() -> None:
    """In a block of YAML, as charts do it, and in JSON within it."""
    block = "tls:\n  key: |\n" + "".join(f"    {line}\n" for line in KEY.splitlines())
    for text in (block, json.dumps({"key": KEY}), json.dumps({"nested": json.dumps({"key": KEY})})):
        found = told("changed", deployment(data={"a": "x"}), deployment(data={"a": text}), redactor=Redactor([KEY]))
        assert found
        assert [line for line in KEY.splitlines() if line[:5] != "-----" and line in to_line(found)] == []
        assert MASK in found.text


def test_of_what_was_made_it_is_told_who_keeps_it_by_its_own_account_and_of_flux_objects_what_they_read() -> None:
    owners = [{"kind": "ReplicaSet", "name": "cart-1", "uid": "1"}]
    pod = deployment(metadata={"namespace": "shop", "name": "cart-1-a", "ownerReferences": owners})
    made, gone = told("created", None, pod), told("deleted", pod, pod)
    assert made
    assert gone
    assert made.details[Detail.CLAIM] == "ReplicaSet cart-1 owns it"
    assert Detail.CLAIM not in gone.details
    values = {"valuesFrom": [{"kind": "Secret", "name": "key"}, {"kind": "ConfigMap", "name": "words"}]}
    release = deployment(apiVersion="helm.toolkit.fluxcd.io/v2", kind="HelmRelease", spec=values)
    found = told("created", None, release)
    assert found
    assert found.details[Detail.READS] == "ConfigMap shop/words, Secret shop/key"
