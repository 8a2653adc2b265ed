"""docs/backends.md says what the table of capabilities says."""

import re
from pathlib import Path

from fluxlab.clusters.capabilities import Capability, Footing
from fluxlab.clusters.root import Root

DOCUMENT = Path(__file__).parents[2] / "docs" / "backends.md"
COLUMNS = (Footing.LOCAL, Footing.KIND, Footing.INSTALLED, Footing.GUEST)


def test_the_table_of_capabilities_is_the_one_that_holds() -> None:
    rows = re.findall(
        r"^\| `([a-z-]+)`: [^|]+\|([^|]+)\|([^|]+)\|([^|]+)\|([^|]+)\|$", DOCUMENT.read_text(), re.MULTILINE
    )
    assert [row[0] for row in rows] == [str(capability) for capability in Capability]
    for name, *cells in rows:
        for footing, cell in zip(COLUMNS, cells, strict=True):
            root = Root(footing=footing, simulated=footing is Footing.LOCAL)
            assert cell.split(",")[0].strip() == ("no" if root.lacks(Capability(name)) else "yes"), (name, footing)
