"""After SIGKILL of the supervisor the command that heals brings the lab back, and says so."""

from collections.abc import Iterator

import pytest
from tests.integration.conftest import CommandLine, command_lines
from tests.integration.traces import supervisor

pytestmark = pytest.mark.integration

LAB = "orphan"
FRONTEND = ("deployment", "frontend", "-n", "shop")


@pytest.fixture(scope="module")
def orphan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    for command_line in command_lines(tmp_path_factory.mktemp("orphan")):
        (command_line.folder / "lab.yaml").write_text(f"name: {LAB}\nscenarios: [shop]\n")
        command_line.ok("up", "lab.yaml")
        yield command_line


def variables(orphan: CommandLine) -> list[str]:
    """What the pods of the frontend are told, as kubectl sees it."""
    (container,) = orphan.observer(LAB).get(*FRONTEND)["spec"]["template"]["spec"]["containers"]
    return [one["value"] for one in container.get("env", ())]


@pytest.mark.parametrize("by", ["all", "id"])
def test_healing_brings_back_a_lab_whose_supervisor_was_killed(orphan: CommandLine, by: str) -> None:
    told = orphan.ok("inject", "human-adds-field", "--target=shop/frontend", f"--lab={LAB}")
    id_ = told.partition(":")[0]
    killed = supervisor(orphan, LAB)
    killed.kill()
    killed.wait(10)
    refused = orphan.run("inject", "human-scale", f"--lab={LAB}")
    assert refused.returncode == 2
    assert "its supervisor does not answer" in refused.stderr
    assert f"fluxlab up --name {LAB}" in refused.stderr
    done = orphan.run("heal", {"all": "--all", "id": id_}[by], f"--lab={LAB}")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{id_}: out\n"
    assert "its supervisor does not answer: bringing the lab back" in done.stderr
    assert variables(orphan) == []
    assert orphan.ok("heal", f"--lab={LAB}", "-o", "json") == "[]\n"
    orphan.ok("status", f"--lab={LAB}")
