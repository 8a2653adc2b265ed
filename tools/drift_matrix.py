"""Make all edits of tests/integration/drift_matrix.md, and write into docs/drift-matrix.md who saw which.

Whether Flux and fluxlab do what the table says is a test's to judge, `make verify`; this only counts.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.integration.drift_cells import TABLE, Cell, Outcome, cells, tables
from tests.integration.drift_run import Run, run

from fluxlab.lab import Lab
from fluxlab.spec import LabSpec

DOCUMENT = Path(__file__).parents[1] / "docs" / "drift-matrix.md"
Sees = Callable[[Run, Cell], bool]
TOOLS: Mapping[str, tuple[str, Sees]] = {
    "fluxlab drift": ("l", lambda seen, cell: any(str(one.object) == cell.subject for one in seen.report.drifts)),
    "flux diff": ("d", lambda seen, cell: cell.word in seen.flux_diff),
    "kubectl diff": ("k", lambda seen, cell: cell.subject in seen.kubectl_diff),
    "Flux's own events": ("e", lambda seen, cell: cell.word in seen.events),
    "helm-controller's condition": ("c", lambda seen, cell: cell.word in seen.conditions),
}
HEAD = f"""\
# Who sees an edit by hand

Who names the object of each edit of [the table](../tests/integration/{TABLE.name}), as `make matrix` has measured it
on one lab. A cell begins with the table's own sign for what becomes of the edit, which is copied here and which `make
verify` compares with what Flux does: R put back, K stays, W stays with a warning, U undone by an upgrade, = and ~
nothing differs. The letters after it are measured: `l` fluxlab drift, `d` `flux diff kustomization`, `k` `kubectl
diff` of what git says, `e` an event of Flux when it looks again, and `c` the condition `Drifted` of its HelmRelease,
which is false again as soon as helm-controller has corrected it; Kustomizations have none. A number is that of the
table's reason why there is no such edit.
"""


def document(seen: Run, all_cells: list[Cell]) -> Iterator[str]:
    """The page, line by line."""
    yield HEAD
    differing = [cell for cell in all_cells if cell.outcome not in {Outcome.NOTHING, Outcome.DISOWNED}]
    counts = {tool: sum(sees(seen, cell) for cell in differing) for tool, (_, sees) in TOOLS.items()}
    yield f"Of {len(differing)} edits that differ from git: {', '.join(f'{tool} {n}' for tool, n in counts.items())}.\n"
    yield "| edit | differ from git | " + " | ".join(TOOLS) + " |"
    yield "|---|---|" + "---|" * len(TOOLS)
    for edit in dict.fromkeys(cell.edit.name for cell in differing):
        of_edit = [cell for cell in differing if cell.edit.name == edit]
        saw = (sum(sees(seen, cell) for cell in of_edit) for _, sees in TOOLS.values())
        yield f"| {edit} | {len(of_edit)} | " + " | ".join(map(str, saw)) + " |"
    known = {cell.id: cell for cell in all_cells}
    for edit in dict.fromkeys(cell.edit.name for cell in all_cells):
        rows = tables()[edit]
        yield f"\n## {edit}\n"
        yield "| " + " | ".join(rows[0]) + " |"
        yield "|" + "---|" * len(rows[0])
        for row in rows:
            found = (known.get(f"{edit}-{row['owner']}-{actor}") for actor in row)
            told = (_told(seen, cell) if cell else sign for cell, sign in zip(found, row.values(), strict=True))
            yield "| " + " | ".join(told) + " |"


def _told(seen: Run, cell: Cell) -> str:
    letters = "".join(letter for letter, sees in TOOLS.values() if sees(seen, cell))
    return f"{cell.outcome} {letters}".strip()


def main() -> None:
    """One run on a lab of its own."""
    all_cells = list(cells())
    lab = Lab.up(LabSpec(name="drift-matrix"), progress=lambda step: print(step, file=sys.stderr))
    try:
        with tempfile.TemporaryDirectory() as folder:
            seen = run(lab, all_cells, Path(folder), diffs=True)
    finally:
        lab.down()
    DOCUMENT.write_text("\n".join(document(seen, all_cells)) + "\n")
    print(f"{DOCUMENT}: {len(all_cells)} edits")


if __name__ == "__main__":
    main()
