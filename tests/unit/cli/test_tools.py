"""env, shell and the lab's tools: what they are started with."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.unit.cli.test_app import Run, dead_lab, run

from fluxlab import shells
from fluxlab.lab import Lab

__all__ = ["run"]
VARIABLES = {"FLUXLAB_LAB": "one", "KUBECONFIG": "/it's a/$(kube):config", "PATH": '/b "in":/usr/bin:/bin'}


def shown(lab: Lab, *, cluster: str | None) -> dict[str, str]:
    return {**VARIABLES, "FLUXLAB_LAB": lab.name, "CLUSTER": cluster or ""}


class ReplacedError(Exception):
    """This process would be another program from here on."""


@pytest.fixture(autouse=True)
def _lab(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del state_dir
    dead_lab("one")
    monkeypatch.setattr(shells, "shell_environment", shown)


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str], dict[str, str]]]:
    """What this process was to become: program, words, environment."""
    seen: list[tuple[str, list[str], dict[str, str]]] = []

    def replace(program: object, words: list[str], environment: dict[str, str]) -> None:
        seen.append((str(program), words, environment))
        raise ReplacedError

    monkeypatch.setattr(os, "execve", replace)
    monkeypatch.setattr(os, "execvpe", replace)
    return seen


def test_env_is_what_a_shell_can_evaluate(run: Run) -> None:
    text = run("env").out
    shown = subprocess.run(
        ["/bin/sh", "-c", f'{text}\nprintf "%s\\n" "$FLUXLAB_LAB" "$KUBECONFIG" "$PATH"; /usr/bin/env'],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert shown[:3] == list(VARIABLES.values())
    assert f"KUBECONFIG={VARIABLES['KUBECONFIG']}" in shown


def test_env_is_json_too_and_of_the_chosen_cluster(run: Run) -> None:
    assert json.loads(run("env", "-o", "json", "--cluster=staging").out) == {**VARIABLES, "CLUSTER": "staging"}


@pytest.mark.parametrize(("wished", "started"), [("/bin/zsh", "/bin/zsh"), ("", "/bin/sh"), (None, "/bin/sh")])
def test_a_shell_is_the_persons_own_and_knows_the_lab(
    run: Run,
    replaced: list[tuple[str, list[str], dict[str, str]]],
    monkeypatch: pytest.MonkeyPatch,
    wished: str | None,
    started: str,
) -> None:
    monkeypatch.setenv("OWN", "kept")
    monkeypatch.delenv("SHELL", raising=False)
    if wished is not None:
        monkeypatch.setenv("SHELL", wished)
    with pytest.raises(ReplacedError):
        run("shell")
    [(program, words, environment)] = replaced
    assert (program, words) == (started, [started])
    assert {**VARIABLES, "OWN": "kept"}.items() <= environment.items()


def test_a_shell_that_is_none_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/no/such/shell")
    ended = run("shell")
    assert ended.code == 64
    assert "error: /no/such/shell cannot be started" in ended.err
    assert "next: SHELL=/bin/sh fluxlab shell" in ended.err


@pytest.mark.parametrize("tool", ["kubectl", "flux", "helm"])
def test_all_that_is_not_fluxlabs_goes_to_the_tool(
    run: Run, replaced: list[tuple[str, list[str], dict[str, str]]], tool: str
) -> None:
    with pytest.raises(ReplacedError):
        run(tool, "--lab=one", "--cluster=staging", "get", "pods", "-A", "-o", "json", "--", "-l", "a=b", "--help")
    [(program, words, environment)] = replaced
    assert Path(program).parts[-3:] == ("one", "bin", tool)
    assert words == [tool, "get", "pods", "-A", "-o", "json", "--", "-l", "a=b", "--help"]
    assert {**VARIABLES, "CLUSTER": "staging"}.items() <= environment.items()


@pytest.mark.parametrize(
    "given",
    [
        ["-n=causely", "get", "pods"],
        ["-ncausely", "get", "pods"],
        ["-A", "-l", "app=cart", "get", "pods"],
        ["-n", "causely", "-c", "main", "logs", "x"],
    ],
)
@pytest.mark.parametrize("own", [[], ["--lab=one", "-c", "staging"], ["-lone", "--cluster", "staging"], ["-cstaging"]])
def test_no_letter_of_a_tools_own_options_is_taken_for_one_of_fluxlabs(
    run: Run, replaced: list[tuple[str, list[str], dict[str, str]]], own: list[str], given: list[str]
) -> None:
    with pytest.raises(ReplacedError):
        run("kubectl", *own, *given)
    [(_, words, environment)] = replaced
    assert words == ["kubectl", *given]
    assert environment["CLUSTER"] == ("staging" if own else "")
