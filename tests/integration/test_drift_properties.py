"""Whatever is edited by hand, the report names exactly that; whatever is done by commit, it names nothing."""

import json
from itertools import cycle, islice

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.integration.drift_objects import AS_ALICE, config_map, deployment

from fluxlab.documents import Json
from fluxlab.drift.records import DriftReport
from fluxlab.lab import Lab

pytestmark = pytest.mark.integration

FILE = "clusters/flux-playground/shop.yaml"
Field = tuple[str, str]
"""An object and a JSON pointer into it."""
CONFIG_MAP, DEPLOYMENT, CONTAINER = "configmap/settings", "deployment/app", "/spec/template/spec/containers/0"
DATA: dict[str, Json] = {"colour": "red", "size": "1"}
WANTED: dict[Field, Json] = {
    **{(CONFIG_MAP, f"/data/{key}"): value for key, value in DATA.items()},
    (DEPLOYMENT, "/spec/replicas"): 1,
    (DEPLOYMENT, f"{CONTAINER}/image"): "app:1",
}
"""What git says of the fields that are edited; of others it says nothing."""

TEXT = st.text("abcäö ~/\"'\\.[]{}%0\n", min_size=1, max_size=12)
WORD = st.from_regex(r"[a-z]{1,10}", fullmatch=True)
KEY = st.text("abc-_.09", min_size=1, max_size=12).filter(lambda key: key != "." and not key.startswith(".."))
LABEL = st.from_regex(r"(example\.org~1)?[b-z]([a-z0-9._-]{0,10}[a-z0-9])?", fullmatch=True)
ANYTHING_ELSE = st.one_of(st.none(), TEXT)
"""None takes a field away. None of these texts is what git wants."""
FIELDS: dict[Field, st.SearchStrategy[Json]] = {
    (CONFIG_MAP, "/data/colour"): ANYTHING_ELSE,
    (CONFIG_MAP, "/data/size"): ANYTHING_ELSE,
    (DEPLOYMENT, "/spec/replicas"): st.integers(2, 3),
    (DEPLOYMENT, "/spec/minReadySeconds"): st.integers(1, 2),
    (DEPLOYMENT, "/spec/revisionHistoryLimit"): st.integers(1, 9),
    (DEPLOYMENT, f"{CONTAINER}/image"): WORD,
    (DEPLOYMENT, f"{CONTAINER}/command"): st.lists(WORD, min_size=1, max_size=2),
}
ADDED = st.one_of(
    st.tuples(KEY.map(lambda key: (CONFIG_MAP, f"/data/{key}")), TEXT),
    st.tuples(LABEL.map(lambda label: (CONFIG_MAP, f"/metadata/labels/{label}")), WORD),
    st.tuples(LABEL.map(lambda label: (DEPLOYMENT, f"/spec/template/metadata/labels/{label}")), WORD),
)
EDITS = st.builds(
    lambda known, added: {**known, **dict(added)},
    st.fixed_dictionaries({}, optional=FIELDS),
    st.lists(ADDED, max_size=3),
).filter(bool)


@pytest.fixture(scope="module")
def shop(module_lab: Lab) -> Lab:
    objects = [config_map("settings", namespace="default"), deployment("app", namespace="default", replicas=1)]
    module_lab.repository.write(FILE, objects)
    module_lab.converge(module_lab.repository.commit("Open the shop"))
    return module_lab


def patch_by_hand(lab: Lab, edits: dict[Field, Json]) -> None:
    """One request for each object, made by kubectl."""
    for subject in dict.fromkeys(subject for subject, _ in edits):
        operations = [
            {"op": "remove" if value is None else "add", "path": pointer, "value": value}
            for (of, pointer), value in edits.items()
            if of == subject
        ]
        words = ("patch", *subject.split("/"), "--type=json", "--patch-file=/dev/stdin", *AS_ALICE)
        lab.cluster.kubectl(*words, stdin=json.dumps(operations))


def told(report: DriftReport) -> set[tuple[str, str, str, str | None, str | None]]:
    return {
        (f"{one.object.kind}/{one.object.name}".lower(), one.pointer, str(one.class_), one.desired, one.live)
        for one in report.drifts
    }


def expected(edits: dict[Field, Json]) -> set[tuple[str, str, str, str | None, str | None]]:
    found = set()
    for (subject, pointer), value in edits.items():
        known = WANTED.get((subject, pointer))
        class_ = "removed field" if value is None else "added field" if known is None else "modified"
        desired, live = (None if one is None else json.dumps(one, ensure_ascii=False) for one in (known, value))
        found.add((subject, pointer, class_, desired, live))
    data = {one for one in found if one[0] == CONFIG_MAP and one[1].startswith("/data/")}
    if len(data) == len(DATA) and all(live is None for *_, live in data):
        # The API server keeps no empty map: nobody can see that it was there.
        return (found - data) | {(CONFIG_MAP, "/data", "removed field", json.dumps(DATA), None)}
    return found


@pytest.mark.parametrize("examples", [3, pytest.param(25, marks=pytest.mark.verify)])
def test_exactly_what_was_edited_is_named_the_same_each_time_and_nothing_once_it_is_reverted(
    shop: Lab, examples: int
) -> None:
    @settings(max_examples=examples, deadline=None, database=None, derandomize=True, phases=[Phase.generate])
    @given(EDITS)
    def check(edits: dict[Field, Json]) -> None:
        patch_by_hand(shop, edits)
        try:
            shop.cluster.kubectl("rollout", "status", "deployment/app", "--timeout=60s")  # it changes until then
            report = shop.drift()
            assert told(report) == expected(edits)
            assert len(report.drifts) == len(expected(edits))
            assert {one.actor.who for one in report.drifts} == {"admin as alice with kubectl-patch"}
            again = shop.drift()
            assert [one.actor for one in again.drifts] == [one.actor for one in report.drifts]
            assert again == report
        finally:  # a failure is tried again with the same edits
            shop.cluster.flux("reconcile", "kustomization", "flux-system")
        shop.drift().assert_clean()

    check()


RESTARTED = ("kustomize-controller", "source-controller", "helm-controller", "kube-controller-manager")


@pytest.mark.verify
@pytest.mark.parametrize("rounds", [4, 100])
def test_nothing_is_named_of_commits_restarts_and_scaling_in_git(shop: Lab, rounds: int) -> None:
    for number, component in enumerate(islice(cycle(RESTARTED), rounds)):
        shop.repository.patch(FILE, {"data": {"number": f"{rounds}-{number}"}}, kind="ConfigMap")
        shop.repository.patch(FILE, {"spec": {"replicas": 2 + number % 2}}, kind="Deployment")
        commit = shop.repository.commit(f"Round {number}")
        shop.control.restart(f"flux-playground/{component}")
        shop.drift().assert_clean()
        shop.converge(commit)
        shop.drift().assert_clean()
