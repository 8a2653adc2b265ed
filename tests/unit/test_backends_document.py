"""docs/backends.md says what the table of capabilities says."""

import re
from pathlib import Path

from fluxlab.clusters.capabilities import Capability, Footing
from fluxlab.clusters.root import Root
from fluxlab.doctor import capabilities

DOCUMENT = Path(__file__).parents[2] / "docs" / "backends.md"
COLUMNS = (Footing.LOCAL, Footing.KIND, Footing.INSTALLED, Footing.GUEST)


def rows() -> list[tuple[str, ...]]:
    """Each capability with its cells."""
    row = r"^\| `([a-z-]+)`: [^|]+\|([^|]+)\|([^|]+)\|([^|]+)\|([^|]+)\|$"
    return re.findall(row, DOCUMENT.read_text(), re.MULTILINE)


def test_the_table_of_capabilities_is_the_one_that_holds() -> None:
    assert [row[0] for row in rows()] == [str(capability) for capability in Capability]
    for name, *cells in rows():
        for footing, cell in zip(COLUMNS, cells, strict=True):
            root = Root(footing=footing, simulated=footing is Footing.LOCAL)
            assert cell.split(",")[0].strip() == ("no" if root.lacks(Capability(name)) else "yes"), (name, footing)


def test_the_doctor_tells_the_table_with_a_reason_for_each_no() -> None:
    told = capabilities()
    assert list(told) == [str(footing) for footing in COLUMNS]
    for place, reasons in enumerate(told.values(), start=1):
        assert list(reasons) == [row[0] for row in rows() if row[place].strip() == "no"]
        assert all(reasons.values())
    assert "simulated" in told["local"]["containers"]
