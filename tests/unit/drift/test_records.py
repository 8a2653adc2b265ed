"""Reports: clean is a claim, and what a test expects is exactly what is there."""

from dataclasses import replace

import pytest

from fluxlab.drift.aspects import Actor, Confidence, DriftClass, Fate, Mark
from fluxlab.drift.records import Allowed, Drift, DriftError, DriftReport, Expected, Unknown, together
from fluxlab.errors import FluxlabError, UnknownError, UsageError
from fluxlab.timeline.entries import ObjectRef

ONE = Drift(
    cluster="c",
    object=ObjectRef(kind="ConfigMap", namespace="shop", name="settings"),
    class_=DriftClass.MODIFIED,
    field=".data.colour",
    pointer="/data/colour",
    desired='"red"',
    live='"blue"',
    owner="Kustomization flux-system/apps",
    actor=Actor(who="admin as alice with kubectl-edit", time=None, confidence=Confidence.HIGH, reason="the audit log"),
    fate=Fate(reverted=True, why="because"),
)
OTHER = replace(ONE, object=ObjectRef(kind="ConfigMap", namespace="shop", name="other"))
CLEAN = DriftReport(drifts=(), unknown=(), examined=3)


UNTOLD = Unknown(cluster="c", object=OTHER.object, owner=ONE.owner, why="ConfigMap shop/other cannot be compared: x")


def report(*drifts: Drift, unknown: tuple[str, ...] = (), examined: int = 3) -> DriftReport:
    return DriftReport(drifts=drifts, unknown=[Unknown(cluster="c", why=why) for why in unknown], examined=examined)


@pytest.mark.parametrize(
    ("told", "clean", "code", "error"),
    [
        (CLEAN, True, 0, None),
        (report(ONE), False, 1, DriftError),
        (report(ONE, unknown=("x",)), False, 1, DriftError),
        (report(unknown=("x",)), False, 2, UnknownError),
        (report(examined=0), False, 2, UnknownError),  # nothing was compared
        (replace(CLEAN, ignored=(ONE,)), True, 0, None),
    ],
)
def test_only_what_was_compared_and_does_not_differ_is_clean(
    told: DriftReport, error: type[FluxlabError] | None, code: int, *, clean: bool
) -> None:
    assert (told.clean, told.exit_code) == (clean, code)
    if error:
        with pytest.raises(error):
            told.assert_clean()
    else:
        told.assert_clean()


def test_what_is_expected_is_exactly_what_is_there() -> None:
    settings, other = (
        Expected("ConfigMap shop/settings", "/data/colour"),
        Expected("ConfigMap shop/other", "/data/colour"),
    )
    report(ONE, OTHER).expect(settings, other)
    with pytest.raises(DriftError, match=r"missing: ConfigMap shop/other/data/colour"):
        report(ONE).expect(settings, other)
    with pytest.raises(DriftError, match=r"not expected: ConfigMap shop/other: modified \.data\.colour"):
        report(ONE, OTHER).expect(settings)
    with pytest.raises(UnknownError):
        report(ONE, unknown=("x",)).expect(settings)
    with pytest.raises(UsageError):
        report(ONE).expect()


@pytest.mark.parametrize(
    "expected",
    [
        Expected("ConfigMap shop/settings"),
        Expected("ConfigMap shop/settings", "/data"),
        Expected("ConfigMap shop/settings", "/data/colour", class_=DriftClass.ADDED),
        Expected("ConfigMap shop/settings", "/data/colour", by="bob"),
        Expected("ConfigMap shop/settings", "/data/colour", live='"green"'),
        Expected("ConfigMap shop/settings", "/data/colour", desired='"green"'),
        Expected("ConfigMap shop/settings", "/data/colour", cluster="production"),
    ],
)
def test_what_differs_in_part_is_not_what_was_expected(expected: Expected) -> None:
    with pytest.raises(DriftError):
        report(ONE).expect(expected)


def test_all_of_what_is_expected_can_be_said() -> None:
    whole = Expected(
        "ConfigMap shop/settings",
        "/data/colour",
        DriftClass.MODIFIED,
        by="alice",
        live='"blue"',
        desired='"red"',
        cluster="c",
    )
    report(ONE).expect(whole)
    with pytest.raises(DriftError) as error:
        report(replace(ONE, cluster="other")).expect(whole)
    told = 'ConfigMap shop/settings/data/colour in c: modified by alice, there is "blue", git wants "red"'
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("allowed", "covered"),
    [
        (Allowed(object="ConfigMap shop/settings", pointer="/data/colour", reason="painted"), True),
        (Allowed(object="ConfigMap shop/*", pointer="/data/*", reason="painted"), True),
        (Allowed(object="ConfigMap shop/settings", reason="painted"), True),
        (Allowed(object="ConfigMap shop/settings", pointer="/data", reason="painted"), False),
        (Allowed(object="Secret shop/settings", reason="painted"), False),
    ],
)
def test_what_is_allowed_does_not_count(allowed: Allowed, *, covered: bool) -> None:
    if covered:
        report(ONE).assert_clean(allow=[allowed])
        with pytest.raises(UnknownError):
            report(ONE, unknown=("x",)).assert_clean(allow=[allowed])
    else:
        with pytest.raises(DriftError, match="differences from git: 1"):
            report(ONE).assert_clean(allow=[allowed])


def test_drift_is_allowed_for_a_reason_only() -> None:
    with pytest.raises(UsageError, match="without a reason"):
        Allowed(object="ConfigMap shop/settings", reason=" ")


def test_a_namespace_may_have_as_many_differences_as_its_budget_says() -> None:
    cluster_wide = replace(ONE, object=ObjectRef(kind="ClusterRole", name="reader"))
    report(ONE, OTHER, cluster_wide).assert_clean(budget={"shop": 2, "": 1})
    with pytest.raises(DriftError, match="2 in namespace shop, whose budget is 1"):
        report(ONE, OTHER).assert_clean(budget={"shop": 1})
    with pytest.raises(DriftError, match="ClusterRole reader") as raised:
        report(ONE, cluster_wide).assert_clean(budget={"shop": 1})
    assert "ConfigMap" not in str(raised.value)
    report(ONE, OTHER).assert_clean(budget={"shop": 1}, allow=[Allowed(object="* shop/other", reason="shared")])


def test_a_difference_reads_as_what_happened_by_whom_and_what_will_become_of_it() -> None:
    assert str(ONE).splitlines() == [
        'ConfigMap shop/settings: modified .data.colour: git wants "red", there is "blue"',
        "  by admin as alice with kubectl-edit (high confidence: the audit log)",
        "  will be reverted: because",
        "  Flux: silent",
    ]


def test_reports_of_several_clusters_are_clean_together_or_not_at_all() -> None:
    assert together([CLEAN, CLEAN]).clean
    assert together([CLEAN, CLEAN]).examined == 6
    assert not together([CLEAN, report(unknown=("x",))]).clean
    assert not together([]).clean


def test_a_report_names_the_clusters_in_which_nothing_is_corrected() -> None:
    held = together([CLEAN, replace(CLEAN, held_back=("staging",))])
    assert held.clean
    assert held.held_back == ("staging",)


def test_what_could_not_be_told_can_be_expected_and_nothing_else_is_then_forgiven() -> None:
    told = replace(report(ONE), unknown=(UNTOLD,))
    colour, untold = (
        Expected("ConfigMap shop/settings", "/data/colour"),
        Expected("ConfigMap shop/other", class_=DriftClass.UNKNOWN, cluster="c"),
    )
    told.expect(colour, untold)
    with pytest.raises(UnknownError, match="ConfigMap shop/other cannot be compared"):
        told.expect(colour)
    with pytest.raises(DriftError, match="missing: ConfigMap shop/other in c: unknown"):
        report(ONE).expect(colour, untold)
    with pytest.raises(DriftError, match="missing: ConfigMap shop/other/data: unknown"):
        told.expect(colour, untold, Expected("ConfigMap shop/other", "/data", DriftClass.UNKNOWN))
    assert told.unknown[0].class_ is DriftClass.UNKNOWN
    with pytest.raises(UnknownError):
        replace(report(), unknown=(UNTOLD,)).assert_clean()


def test_what_a_rule_ignores_may_be_there_and_has_to_be_when_it_is_expected() -> None:
    ignored = replace(OTHER, fate=Fate(reverted=False, why="a rule", marks=(Mark.IGNORED,)))
    told = replace(report(ONE), ignored=(ignored,))
    colour = Expected("ConfigMap shop/settings", "/data/colour")
    told.expect(colour)
    told.expect(colour, Expected("ConfigMap shop/other", "/data/colour", marks=[Mark.IGNORED]))
    with pytest.raises(DriftError, match="missing: ConfigMap shop/other/data/colour"):
        told.expect(colour, Expected("ConfigMap shop/other", "/data/colour"))
    with pytest.raises(DriftError, match="any difference, ignored by rule"):
        report(ONE).expect(colour, Expected("ConfigMap shop/other", "/data/colour", marks=[Mark.IGNORED]))


def test_a_difference_may_bear_marks_beside_how_it_differs() -> None:
    marks = (Mark.SUSPENDED, Mark.ACKNOWLEDGED)
    marked = replace(ONE, fate=Fate(reverted=False, why="it is suspended", marks=marks))
    expected = Expected("ConfigMap shop/settings", "/data/colour", DriftClass.MODIFIED, marks=[Mark.SUSPENDED])
    report(marked).expect(expected)
    assert "  marks: suspended, acknowledged" in str(marked).splitlines()
    with pytest.raises(DriftError, match=r"missing: .*, suspended"):
        report(ONE).expect(expected)
