"""A handle on a lab, as far as it needs no lab that runs."""

from pathlib import Path

import pytest

from fluxlab.errors import WaitTimeoutError
from fluxlab.lab import Lab
from fluxlab.spec import LabSpec
from fluxlab.state import LabFolder


@pytest.fixture
def lab(state_dir: Path) -> Lab:
    folder = LabFolder.named("one")
    folder.create()
    folder.spec.write_text(LabSpec(name="one").model_dump_json())
    assert folder.root.is_relative_to(state_dir)
    return Lab(folder)


def test_a_wait_in_vain_tells_what_it_saw_last(lab: Lab) -> None:
    looks: list[int] = []
    with pytest.raises(WaitTimeoutError, match="three apples") as caught:
        lab.wait_until(
            lambda: looks.append(len(looks)),
            what="three apples",
            timeout_seconds=0,
            state=lambda: f"looked {len(looks)} times",
        )
    assert list(caught.value.facts) == ["looked 1 times"]
