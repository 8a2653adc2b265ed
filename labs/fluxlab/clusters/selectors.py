"""Label selectors as Kubernetes writes them, `app=cart,tier in (web, api),!legacy`. Pure.

The grammar is that of k8s.io/apimachinery `pkg/labels`, `Parse`; it serves annotations, too.
"""

import re
from collections.abc import Mapping

_KEY = r"(?P<key>[A-Za-z0-9](?:[A-Za-z0-9./_-]*[A-Za-z0-9])?)"
_REQUIREMENT = re.compile(
    rf"""\s*(?:
        (?P<absent>!)\s*{_KEY.replace("key", "missing")}
      | {_KEY}\s*(?P<operator>==|=|!=|<|>|\bin\b|\bnotin\b)\s*(?:\((?P<values>[^()]*)\)|(?P<value>[^\s,()!=<>]*))
      | {_KEY.replace("key", "present")}
    )\s*(?:,(?=.*[^\s])|$)""",
    re.VERBOSE,
)


class SelectorError(ValueError):
    """What is no selector."""


def selects(selector: str, labels: Mapping[str, str]) -> bool:
    """Whether a selector selects something with these labels; an empty one selects everything. Raises SelectorError."""
    place, matched = 0, True
    while place < len(selector):
        found = _REQUIREMENT.match(selector, place)
        if found is None:
            raise SelectorError(f"{selector!r} is no selector at {selector[place:]!r}")
        matched = _holds(found, labels) and matched
        place = found.end()
    return matched


def _holds(requirement: re.Match[str], labels: Mapping[str, str]) -> bool:
    if missing := requirement["missing"]:
        return missing not in labels
    if present := requirement["present"]:
        return present in labels
    value, operator = labels.get(requirement["key"]), requirement["operator"]
    if (operator in {"in", "notin"}) is (requirement["values"] is None):
        raise SelectorError(f"{requirement[0]!r} is no requirement")
    if operator in {"<", ">"}:
        return _compared(value, operator, requirement["value"])
    named = [word.strip() for word in (requirement["values"] or requirement["value"] or "").split(",")]
    return (value in named) is (operator in {"=", "==", "in"})


def _compared(value: str | None, operator: str, limit: str) -> bool:
    try:
        return value is not None and (int(value) < int(limit) if operator == "<" else int(value) > int(limit))
    except ValueError:
        return False  # a label that is no number
