"""The page that shows the matrix shows the table that is tested."""

from pathlib import Path

from tests.integration.drift_cells import cells, tables

PAGE = Path(__file__).parents[3] / "docs" / "drift-matrix.md"


def test_the_page_shows_every_edit_of_the_table_and_fluxlab_sees_what_differs() -> None:
    shown = {
        f"{edit}-{row['owner']}-{actor}": text.split()
        for edit, rows in tables(PAGE).items()
        for row in rows
        for actor, text in row.items()
        if actor != "owner" and not text.isdigit()
    }
    assert {cell.id: str(cell.outcome) for cell in cells()} == {name: sign for name, (sign, *_) in shown.items()}
    assert [name for name, (sign, *seen_by) in shown.items() if sign not in "=~" and "l" not in "".join(seen_by)] == []
