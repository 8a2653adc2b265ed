"""docs/design.md lists the modules in the order of the import contract, each once."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "labs" / "fluxlab"


def listed() -> list[list[str]]:
    """The modules that each row of the list names, from above."""
    section = (ROOT / "docs" / "design.md").read_text().partition("## The house\n")[2].partition("\n## ")[0]
    first = re.findall(r"^\| (`[^|]+`) \|", section, re.MULTILINE)
    return [[Path(name).stem for name in re.findall(r"`([^`]+)`", cell)] for cell in first]


def layers() -> list[set[str]]:
    """Those of the contract, from above."""
    [contract] = [
        one
        for one in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
        if "docs/design.md" in one["name"]
    ]
    return [{name.strip().removeprefix("fluxlab.") for name in layer.split("|")} for layer in contract["layers"]]


def test_the_list_has_the_order_of_the_contract() -> None:
    levels = {name: level for level, names in enumerate(layers()) for name in names}
    rows = [[levels[name] for name in names if name in levels] for names in listed()]
    assert [row for row in rows if len(set(row)) > 1] == [], "a row is of one layer"
    order = [row[0] for row in rows if row]
    assert order == sorted(order)


def test_every_module_is_in_the_list_once() -> None:
    found = [name for names in listed() for name in names]
    modules = {
        path.stem
        for path in PACKAGE.iterdir()
        if not path.name.startswith("_") and (path.suffix == ".py" or (path / "__init__.py").exists())
    }
    inner = {"layers", "means"}  # of faults
    assert sorted(found) == sorted({*modules, *inner, "pytest_fluxlab"})
