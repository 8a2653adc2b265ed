"""Whoever is killed while something is broken, at whatever step: the next command leaves everything as it was."""

import random
import shlex
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest
from tests.integration.conftest import CommandLine, command_lines
from tests.integration.faults.wholeness import Whole, await_token, await_whole
from tests.integration.traces import supervisor

from fluxlab.clusters.capabilities import Footing
from fluxlab.errors import WaitTimeoutError
from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.faults.descriptions import describe
from fluxlab.waiting import wait_until

pytestmark = pytest.mark.integration

LAB = "killed"
STEPS = {"inject": "injecting", "verify": "proving", "hold": "holding", "heal": "healing"}
"""What the breaker says when it comes to a step."""
BREAKER = Path(__file__).with_name("breaker.py")
LONGEST_DELAY_SECONDS = 0.3
"""A step is not over in no time: it is killed somewhere in it."""


@dataclass(frozen=True)
class Kill:
    fault: str
    step: str
    victim: str

    def __str__(self) -> str:
        return f"{self.victim}-at-{self.step}-of-{self.fault}"


OF_EACH_STEP = {"caller": 4, "supervisor": 1}
"""What is tried daily: a killed supervisor costs the start of a lab each time."""
DAILY = 20
SUPERVISOR_EVERY = 4
"""Of the others it is the supervisor that is killed every so often."""
PARTS = 6
"""Of what is not daily, each with a lab of its own, so that several can be run at a time."""


def faults() -> Sequence[str]:
    return sorted(name for name, fault in CATALOGUE.items() if str(Footing.LOCAL) in describe(fault).backends)


def kills() -> Sequence[Kill]:
    """One at each step of each fault, in an order by chance that is the same every time; the daily ones come first."""
    found = [Kill(fault, step, victim) for fault in faults() for step in STEPS for victim in ("caller", "supervisor")]
    random.Random(8).shuffle(found)  # noqa: S311 # an order, no secret
    daily = [
        kill
        for step in STEPS
        for victim, count in OF_EACH_STEP.items()
        for kill in [one for one in found if (one.step, one.victim) == (step, victim)][:count]
    ]
    known = {(kill.fault, kill.step) for kill in daily}
    others = [pair for pair in dict.fromkeys((kill.fault, kill.step) for kill in found) if pair not in known]
    victims = ("supervisor" if number % SUPERVISOR_EVERY == 0 else "caller" for number in range(len(others)))
    return [*daily, *(Kill(*pair, victim) for pair, victim in zip(others, victims, strict=True))]


def part(number: int) -> Sequence[Kill]:
    others = kills()[DAILY:]
    return others[len(others) * number // PARTS : len(others) * (number + 1) // PARTS]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    for command_line in command_lines(tmp_path_factory.mktemp("killed")):
        (command_line.folder / "lab.yaml").write_text(f"name: {LAB}\nlinks: true\nscenarios: [shop]\n")
        command_line.ok("up", "lab.yaml")
        command_line.ok("secret", "set", "flux-system/shop-secrets", "CHECKOUT_TOKEN", stdin="t0ken")
        command_line.ok("wait")
        await_token(command_line.state / "labs" / LAB, "t0ken")
        yield command_line


@pytest.fixture(scope="module")
def whole(killed: CommandLine) -> Whole:
    return Whole.of(killed.state / "labs" / LAB)


def breaking(killed: CommandLine, fault: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(BREAKER), LAB, fault, "1"],
        env=killed.environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def die(killed: CommandLine, kill: Kill) -> str:
    """Have the breaker come to the step, and kill; returns what it said."""
    with breaking(killed, kill.fault) as breaker:
        assert breaker.stdin
        assert breaker.stdout
        said = ""
        for line in breaker.stdout:
            said += line
            if kill.step == "heal" and line.startswith(STEPS["hold"]):
                breaker.stdin.write("\n")
                breaker.stdin.flush()
            if line.startswith(STEPS[kill.step]):
                break
        else:
            pytest.fail(f"it never came to {kill.step}:\n{said}")
        time.sleep(random.Random(str(kill)).uniform(0, LONGEST_DELAY_SECONDS))  # noqa: S311 # somewhere in the step
        (breaker if kill.victim == "caller" else supervisor(killed, LAB)).kill()
        breaker.stdin.close()
        said += breaker.stdout.read()
    return said


def check(killed: CommandLine, whole: Whole, kill: Kill) -> None:
    said = die(killed, kill)
    killed.ok("up", f"--name={LAB}")
    killed.ok("wait", "--timeout=90")
    try:
        await_whole(killed.state / "labs" / LAB, whole)
    except WaitTimeoutError as error:
        pytest.fail(f"{kill}: {error}\nthe breaker said:\n{said}")


@pytest.mark.parametrize("kill", kills()[:DAILY], ids=str)
def test_a_kill_leaves_nothing_that_the_next_command_does_not_heal(
    killed: CommandLine, whole: Whole, kill: Kill
) -> None:
    check(killed, whole, kill)


@pytest.mark.verify(each=True)
@pytest.mark.parametrize("number", range(PARTS))
def test_no_kill_at_any_step_of_any_fault_leaves_anything(killed: CommandLine, whole: Whole, number: int) -> None:
    for kill in part(number):
        print(kill)  # is shown when it is the one that fails
        check(killed, whole, kill)


def test_each_step_of_each_fault_is_killed_once_and_the_supervisor_every_fourth_time() -> None:
    every, daily = kills(), kills()[:DAILY]
    assert Counter((kill.fault, kill.step) for kill in every) == dict.fromkeys(product(faults(), STEPS), 1)
    assert len(every) >= 200
    assert Counter((kill.step, kill.victim) for kill in daily) == {
        (step, victim): count for step in STEPS for victim, count in OF_EACH_STEP.items()
    }
    tried = [*daily, *(kill for number in range(PARTS) for kill in part(number))]
    assert sorted(map(str, tried)) == sorted(map(str, every))
    for number in range(PARTS):
        of_supervisor = [kill for kill in part(number) if kill.victim == "supervisor"]
        assert len(of_supervisor) == pytest.approx(len(part(number)) / SUPERVISOR_EVERY, abs=1)
    of_each = Counter((kill.step, kill.victim) for kill in every)
    assert min(of_each[step, victim] for step in STEPS for victim in OF_EACH_STEP) >= 10


def commits(killed: CommandLine) -> list[str]:
    (repository,) = (killed.state / "labs" / LAB / "git").glob("*.git")
    words = ["git", f"--git-dir={repository}", "rev-list", "main"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()


def with_late_git(killed: CommandLine, tmp_path: Path, verb: str, seconds: float) -> CommandLine:
    """Git does nothing for a while when it is to do one thing; it says in `begun` when that is so, and its pid."""
    git = tmp_path / "bin" / "git"
    git.parent.mkdir()
    begun, real = shlex.quote(str(tmp_path / "begun")), shlex.quote(shutil.which("git") or "")
    late = f"echo $$ > {begun}.new; mv {begun}.new {begun}; sleep {seconds}"
    git.write_text(f'#!/bin/sh\ncase " $* " in *" {verb} "*) {late};; esac\nexec {real} "$@"\n')
    git.chmod(0o700)
    return killed.having(PATH=f"{git.parent}:{killed.environment['PATH']}")


@pytest.mark.parametrize(("fault", "verb"), [("manifest-bad-image", "push"), ("git-force-push", "gc")])
def test_what_git_was_about_to_do_for_who_was_killed_is_not_done_after_the_healing(
    killed: CommandLine, whole: Whole, tmp_path: Path, fault: str, verb: str
) -> None:
    late_seconds, begun, before = 3.0, tmp_path / "begun", commits(killed)
    with breaking(with_late_git(killed, tmp_path, verb, late_seconds), fault) as breaker:
        wait_until(begun.exists, what=f"git is to {verb}", timeout_seconds=60)
        breaker.kill()
    killed.ok("heal", "--all", f"--lab={LAB}")
    time.sleep(late_seconds + 2)  # it would have been done by now
    assert commits(killed) == before
    await_whole(killed.state / "labs" / LAB, whole)
