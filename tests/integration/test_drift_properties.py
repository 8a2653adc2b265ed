"""Whatever is edited by hand, the report names exactly that; whatever is done by commit, it names nothing."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, cycle, islice

import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from tests.integration.drift_objects import AS_ALICE, autoscaler, config_map, deployment

from fluxlab.documents import Json, JsonObject
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


@pytest.mark.parametrize("examples", [2, pytest.param(25, marks=pytest.mark.verify)])
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


GADGETS: JsonObject = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "gadgets.example.org"},
    "spec": {
        "group": "example.org",
        "scope": "Namespaced",
        "names": {"plural": "gadgets", "kind": "Gadget", "singular": "gadget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}
"""A kind whose objects may hold whatever JSON can say; lists are changed as a whole."""
GADGETS_FILE = "clusters/flux-playground/gadgets.yaml"
MOST_GADGETS = 3
QUICK = 3
ANY_KEY = st.text("abc-_./~ \"'\\[]{}%01ä", min_size=1, max_size=6)
SCALAR = st.one_of(TEXT, st.booleans(), st.integers(-(2**31), 2**31), st.integers(0, 1))
LEAF = st.one_of(SCALAR, st.lists(SCALAR, min_size=1, max_size=3))
CONTENT = st.recursive(
    st.dictionaries(ANY_KEY, LEAF, min_size=1, max_size=3),
    lambda inner: st.dictionaries(ANY_KEY, st.one_of(LEAF, inner), min_size=1, max_size=3),
    max_leaves=6,
)
Place = tuple[str, ...]
"""The keys that lead to a value."""


def maps_in(content: JsonObject, place: Place = ()) -> Iterator[tuple[Place, JsonObject]]:
    yield place, content
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from maps_in(value, (*place, key))


def pointer(place: Place) -> str:
    return "/spec" + "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in place)


def as_text(value: Json) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True)
class Touch:
    """One value that somebody changes, takes away (`live` is None) or adds (`desired` is None)."""

    place: Place
    desired: Json
    live: Json

    @property
    def operation(self) -> JsonObject:
        if self.live is None:
            return {"op": "remove", "path": pointer(self.place)}
        return {"op": "add", "path": pointer(self.place), "value": self.live}

    def told(self, name: str) -> tuple[str, str, str, str | None, str | None]:
        class_ = "removed field" if self.live is None else "added field" if self.desired is None else "modified"
        return f"gadget/{name}", pointer(self.place), class_, as_text(self.desired), as_text(self.live)


@st.composite
def touched(draw: st.DrawFn) -> tuple[JsonObject, Sequence[Touch]]:
    """What git says of an object, and what somebody makes of it: in each map something stays or comes."""
    content = draw(CONTENT)
    touches: list[Touch] = []
    for place, values in maps_in(content):
        stays = False
        for key, value in values.items():
            if isinstance(value, Mapping):
                stays = True
                continue
            new = draw(st.one_of(st.just(value), st.none(), LEAF))
            stays = stays or new is not None
            if as_text(new) != as_text(value):
                touches.append(Touch((*place, key), value, new))
        more = draw(st.dictionaries(ANY_KEY, LEAF, max_size=1))
        added = [Touch((*place, key), None, value) for key, value in more.items() if key not in values]
        assume(stays or added)  # the API server keeps no trace of what nothing is left of
        touches += added
    return content, touches


@pytest.fixture(scope="module")
def gadgets(shop: Lab) -> Lab:
    shop.repository.write("clusters/flux-playground/definition.yaml", GADGETS)
    shop.repository.write(GADGETS_FILE, gadget("first", {"colour": "red"}))
    shop.converge(shop.repository.commit("Define gadgets"))
    colours = (f"colour-{number}" for number in count())

    def watched() -> bool:  # the recorder has to find out that there is such a kind
        change = json.dumps({"spec": {"colour": next(colours)}})
        shop.cluster.kubectl("patch", "gadget", "first", "--type=merge", f"--patch={change}", *AS_ALICE)
        return {one.actor.user for one in shop.drift().drifts} == {"admin as alice"}

    shop.wait_until(watched, what="the recorder sees what is done to gadgets", timeout_seconds=60)
    return shop


@pytest.mark.parametrize("examples", [QUICK, pytest.param(25, marks=pytest.mark.verify)])
def test_of_any_objects_exactly_what_was_edited_is_named_and_nothing_once_it_is_reverted(
    gadgets: Lab, examples: int
) -> None:
    runs = count(examples * 1000)
    quick = examples == QUICK

    @settings(max_examples=examples, deadline=None, database=None, derandomize=quick, phases=[Phase.generate])
    @given(st.lists(touched(), min_size=1, max_size=MOST_GADGETS).filter(lambda told: any(edits for _, edits in told)))
    def check(drawn: Sequence[tuple[JsonObject, Sequence[Touch]]]) -> None:
        run = next(runs)  # a failure is tried again, with objects that nobody has touched
        named = {f"any-{run}-{number}": one for number, one in enumerate(drawn)}
        gadgets.repository.write(GADGETS_FILE, [gadget(name, content) for name, (content, _) in named.items()])
        gadgets.converge(gadgets.repository.commit("Say something else of gadgets"))
        for name, (_, edits) in named.items():
            if edits:
                words = ("patch", "gadget", name, "--type=json", "--patch-file=/dev/stdin", *AS_ALICE)
                gadgets.cluster.kubectl(*words, stdin=json.dumps([edit.operation for edit in edits]))
        report = gadgets.drift()
        assert report.unknown == ()
        made = [edit.told(name) for name, (_, edits) in named.items() for edit in edits]
        assert sorted(told_of(report), key=str) == sorted(made, key=str)
        assert {one.actor.user for one in report.drifts} == {"admin as alice"}
        assert gadgets.drift() == report
        gadgets.cluster.flux("reconcile", "kustomization", "flux-system")
        gadgets.drift().assert_clean()

    check()


def gadget(name: str, content: JsonObject) -> JsonObject:
    metadata: JsonObject = {"name": name, "namespace": "default"}
    return {"apiVersion": "example.org/v1", "kind": "Gadget", "metadata": metadata, "spec": content}


def told_of(report: DriftReport) -> list[tuple[str, str, str, str | None, str | None]]:
    """As `told`, each as often as it is named."""
    return [
        (f"{one.object.kind}/{one.object.name}".lower(), one.pointer, str(one.class_), one.desired, one.live)
        for one in report.drifts
    ]


RESTARTED = ("kustomize-controller", "source-controller", "helm-controller", "kube-controller-manager")
NOISE_FILE = "clusters/flux-playground/noise.yaml"


def autoscaled(replicas: int) -> Sequence[JsonObject]:
    """A Deployment of whose replicas git says nothing, and an autoscaler that may only choose so many."""
    return [
        deployment("autoscaled", namespace="default"),
        autoscaler("autoscaled", namespace="default", least=replicas, most=replicas),
    ]


@pytest.mark.verify
@pytest.mark.parametrize("rounds", [4, 100])
def test_nothing_is_named_of_commits_restarts_and_autoscaling(shop: Lab, rounds: int) -> None:
    def rescaled() -> int:
        words = ("get", "events", "-n", "default", "--field-selector=reason=SuccessfulRescale", "-o", "json")
        return sum(event.get("count", 1) for event in json.loads(shop.cluster.kubectl(*words))["items"])

    def replicas() -> str:
        words = (
            "get",
            "deployment",
            "autoscaled",
            "-n",
            "default",
            "--ignore-not-found",
            "-o=jsonpath={.spec.replicas}",
        )
        return shop.cluster.kubectl(*words)

    # So that each change of the bounds makes it scale, also after a run of this test in the same lab.
    bounds = (2, 3) if replicas() == "3" else (3, 2)
    before = rescaled()
    for number, component in enumerate(islice(cycle(RESTARTED), rounds)):
        cycles = number // len(RESTARTED)
        shop.repository.patch(FILE, {"data": {"number": f"{rounds}-{number}"}}, kind="ConfigMap")
        shop.repository.patch(FILE, {"spec": {"replicas": 2 + number % 2}}, kind="Deployment")
        shop.repository.write(NOISE_FILE, autoscaled(bounds[cycles % 2]))
        commit = shop.repository.commit(f"Round {number}")
        shop.control.restart(f"flux-playground/{component}")
        shop.drift().assert_clean()
        shop.converge(commit)
        shop.drift().assert_clean()
        if component == RESTARTED[-2]:  # the autoscaler looks every 15 s, and its clock begins anew with its program

            def scaled(wanted: tuple[str, int] = (f"{bounds[cycles % 2]}", before + cycles + 1)) -> bool:
                shop.drift().assert_clean()
                return (replicas(), rescaled()) == wanted

            shop.wait_until(scaled, what="the autoscaler has scaled", state=replicas, timeout_seconds=60)
            shop.drift().assert_clean()
