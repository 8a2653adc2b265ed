"""What tells that a lab left nothing sees what one leaves: else every such test would pass."""

import subprocess

import pytest
from tests.integration.conftest import CommandLine
from tests.integration.traces import leftovers, private

pytestmark = pytest.mark.integration


def test_what_a_lab_leaves_is_seen_wherever_it_is(fluxlab: CommandLine) -> None:
    mine = private(fluxlab)
    assert leftovers(mine) == []
    places = [mine.state / "labs/left", mine.folder / "home/.left", mine.folder / "tmp/left"]
    for place in places:
        place.mkdir(parents=True)
    lock = mine.state / "locks/left.lock"
    lock.parent.mkdir()
    lock.write_text("not empty, as locks are")
    with subprocess.Popen(["sleep", "60"], env={**mine.environment}) as child:  # that only its environment gives away
        found = leftovers(mine)
        child.kill()
    assert sorted(found) == sorted(
        [f"process {child.pid}: sleep 60", *(f"file {path}" for path in (*places, lock))],
    )
