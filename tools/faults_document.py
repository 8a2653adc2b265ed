"""Write the catalogue of faults into docs/faults.md, below the line that says so; a unit test sees that it is there."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.faults.descriptions import Description, describe

DOCUMENT = Path(__file__).parents[1] / "docs" / "faults.md"
MARK = "<!-- From here on: python -m tools.faults_document -->"


def catalogue() -> str:
    """The catalogue in Markdown, by layer."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    described = [describe(fault) for fault in CATALOGUE.values()]
    for layer, faults in groupby(described, key=lambda one: one.layer):
        yield f"\n## {layer}\n"
        for fault in faults:
            yield from _about(fault)


def _about(fault: Description) -> Iterator[str]:
    yield f"**`{fault.name}`** {_cell(fault.summary)}. Expect: {_cell(fault.expect)}."
    for name, text in fault.parameters.items():
        yield f"- `{name}`: {_cell(text)}"
    for limit in fault.limits():
        yield f"- {_cell(limit)}"
    yield ""


def _cell(text: str) -> str:
    return " ".join(text.split()).removesuffix(".")


def written(text: str) -> str:
    """The document with the catalogue as it is now."""
    head, mark, _ = text.partition(MARK)
    return f"{head}{mark}\n{catalogue()}"


def main() -> None:
    """Write it."""
    DOCUMENT.write_text(written(DOCUMENT.read_text()))


if __name__ == "__main__":
    main()
