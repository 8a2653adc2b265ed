"""Selectors as kubectl takes them: the expected answers are those of `kubectl get -l`."""

import pytest

from fluxlab.clusters.selectors import SelectorError, selects

LABELS = {"app": "cart", "example.com/tier": "web", "size": "7", "empty": ""}


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ("", True),
        ("app=cart", True),
        ("app == cart , example.com/tier in (web, api)", True),
        ("app=cart,size=8", False),
        ("size=8,app=cart", False),
        ("app!=cart", False),
        ("nothing!=cart", True),
        ("nothing=", False),
        ("empty=", True),
        ("empty", True),
        ("!empty", False),
        ("!nothing", True),
        ("app notin (web)", True),
        ("nothing notin (web)", True),
        ("nothing in (web)", False),
        ("empty in (,a)", True),
        ("size>6", True),
        ("size<7", False),
        ("app>1", False),
    ],
)
def test_a_selector_selects_as_it_does_in_kubernetes(selector: str, *, selected: bool) -> None:
    assert selects(selector, LABELS) is selected


@pytest.mark.parametrize("text", ["a b", ",", "a=b,", "a in b", "a in (b", "a=(b)", "=b", "a=b=c", "!", "a,,b"])
def test_what_is_no_selector_is_refused(text: str) -> None:
    with pytest.raises(SelectorError):
        selects(text, LABELS)
