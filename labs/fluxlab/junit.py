"""JUnit's XML, which every CI system reads: cases that passed, failed, could not be told, or were skipped. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal
from xml.etree.ElementTree import Element, SubElement, indent, tostring

_COUNTED = {"failures": "failure", "errors": "error", "skipped": "skipped"}
_NOT_IN_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One test case."""

    classname: str
    name: str
    ending: Literal["", "failure", "error", "skipped"] = ""
    """Empty: it passed."""
    message: str = ""
    text: str = ""
    seconds: float | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    output: str = ""


def junit(cases: Iterable[Case], *, name: str) -> str:
    """A document with one suite."""
    elements = [_element(case) for case in cases]
    counts = {key: str(sum(one.find(tag) is not None for one in elements)) for key, tag in _COUNTED.items()}
    suite = Element("testsuite", {"name": plain(name), "tests": str(len(elements)), **counts})
    suite.extend(elements)
    suites = Element("testsuites")
    suites.append(suite)
    indent(suites)
    return tostring(suites, encoding="unicode", xml_declaration=True)


def _element(case: Case) -> Element:
    time = {} if case.seconds is None else {"time": f"{case.seconds:.3f}"}
    element = Element("testcase", {"classname": plain(case.classname), "name": plain(case.name), **time})
    if case.properties:
        properties = SubElement(element, "properties")
        for key, value in case.properties.items():
            SubElement(properties, "property", name=key, value=plain(value))
    if case.ending:
        SubElement(element, case.ending, message=plain(case.message)).text = plain(case.text) or None
    if case.output:
        SubElement(element, "system-out").text = plain(case.output)
    return element


def plain(text: str) -> str:
    """Without what XML 1.0 does not allow in any spelling: most control characters, and half characters."""
    return _NOT_IN_XML.sub("", text)
