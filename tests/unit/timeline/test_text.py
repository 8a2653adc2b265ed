"""An entry as a line: what happened, by whom, and for which commit, in the words of whoever made it."""

from datetime import UTC, datetime

import pytest

from fluxlab.timeline.entries import Detail, Entry, ObjectRef, Source
from fluxlab.timeline.text import line_of

COMMIT = "b9cea72d24" + "0" * 30
CART = ObjectRef(kind="Deployment", namespace="otel-demo", name="cart")
SCALED = ".spec.replicas: 1 -> 3"


def scaled(subject: str, *issues: str, source: Source = Source.OBJECT) -> str:
    entry = Entry(
        time=datetime(2026, 11, 22, 14, 2, tzinfo=UTC),
        source=source,
        text=SCALED,
        object=CART,
        actor="helm-controller",
        commit=COMMIT,
        issues=issues,
        details={Detail.SUBJECT: subject} if subject else {},
    )
    return line_of(entry).partition(SCALED)[2]


@pytest.mark.parametrize(
    ("subject", "issues", "told"),
    [
        ("Scale cart for the sale (#42)", ["#42"], 'for b9cea72d24 "Scale cart for the sale (#42)"'),
        ("Scale cart for the sale", [], 'for b9cea72d24 "Scale cart for the sale"'),
        ("Scale cart", ["#42", "OPS-7"], 'for b9cea72d24 "Scale cart" (#42, OPS-7)'),  # further below in the message
        ("", ["#42"], "for b9cea72d24 (#42)"),
    ],
)
def test_the_message_of_a_commit_stands_beside_what_it_changed(subject: str, issues: list[str], told: str) -> None:
    assert scaled(subject, *issues) == f" by helm-controller {told}"


def test_a_long_message_is_cut_and_its_issues_are_not() -> None:
    told = scaled("Scale the cart, the quotes and the currencies for the sale of this year (#42)", "#42")
    assert told.endswith('"Scale the cart, the quotes and the currencies for..." (#42)')


def test_an_issue_that_only_begins_another_one_is_told_as_well() -> None:
    assert scaled("Scale (#421)", "#421", "#42").endswith('"Scale (#421)" (#42)')


def test_a_message_steers_no_terminal() -> None:
    assert "\\x1b[31m" in scaled("\x1b[31mScale")


def test_a_push_is_told_with_its_issues_alone() -> None:
    assert scaled("Scale cart (#42)", "#42", source=Source.PUSH) == " by helm-controller (#42)"
