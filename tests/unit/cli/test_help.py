"""What `--help` says: names of arguments, examples, exit codes."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.unit.cli.test_app import Run, run
from typer.main import get_command

from fluxlab.cli.app import app
from fluxlab.logs import log_files
from fluxlab.state import LabFolder

__all__ = ["run"]
pytestmark = pytest.mark.usefixtures("state_dir")


def commands(found: Any, *words: str) -> Iterator[tuple[str, Any]]:  # of click, or of typer's own copy of it
    """Every command by its words, such as `charts add`."""
    known = getattr(found, "commands", {})
    if not known:
        yield " ".join(words), found
    for name, command in known.items():
        yield from commands(command, *words, name)


COMMANDS = dict(commands(get_command(app)))
EXAMPLES = ("inject", "drift", "timeline", "secret set", "charts add", "rehearse")


def shown(run: Run, command: str) -> str:
    """The help of a command in one line."""
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", run(*command.split(), "--help").out).split())


@pytest.mark.parametrize("command", COMMANDS)
def test_the_names_of_arguments_are_in_capitals(command: str) -> None:
    arguments = [one for one in COMMANDS[command].params if one.param_type_name == "argument"]
    assert [one.metavar for one in arguments if not one.metavar or one.metavar != one.metavar.upper()] == []


@pytest.mark.parametrize("command", EXAMPLES)
def test_a_command_with_many_options_shows_how_it_is_typed(run: Run, command: str) -> None:
    text = shown(run, command)
    found = re.search(rf"Example: fluxlab {command} (?P<words>\S.*?)(?= (Arguments|Options) )", text)
    assert found, text
    options = {option for one in COMMANDS[command].params for option in one.opts}
    assert [word for word in found["words"].split() if word.startswith("-") and word not in options] == []


@pytest.mark.parametrize(("command", "when"), [("up", "something is dead"), ("doctor", "something is bad")])
def test_what_exit_code_1_means_is_told(run: Run, command: str, when: str) -> None:
    assert f"Exit code 1 when {when}" in shown(run, command)


def test_logs_names_all_that_have_one_besides_components(run: Run) -> None:
    folder = LabFolder.named("one")
    folder.create()
    for file in (folder.supervisor_log, folder.recorder_log, folder.gateway_log, folder.registry_log):
        file.parent.mkdir(exist_ok=True)
        file.touch()
    assert f"also: {', '.join(log_files(folder))}." in shown(run, "logs")


def test_without_a_file_up_says_whose_name_counts(run: Run) -> None:
    assert "as in the file; without one FLUXLAB_LAB, or playground" in shown(run, "up")


def test_a_seed_and_parameters_of_a_fault_are_explained(run: Run) -> None:
    text = shown(run, "inject")
    assert "The same seed, the same plan; default: another one each time." in text
    assert "A parameter, as `fluxlab faults NAME` lists it; repeat for several." in text
