"""Labs for tests, and clients that owe nothing to fluxlab: kubectl, flux and git as separate programs."""

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from fluxlab.supervisor.go_runtime import SPARING
from fluxlab.toolchain import find
from fluxlab.waiting import wait_until


@dataclass(frozen=True)
class Observer:
    """Looks at a cluster with kubectl, not with fluxlab."""

    kubeconfig: Path

    def kubectl(self, *arguments: str, check: bool = True, stdin: str | None = None) -> str:
        words = [str(find().binary("kubectl")), f"--kubeconfig={self.kubeconfig}", *arguments]
        environment = {**os.environ, **SPARING}
        done = subprocess.run(
            words, env=environment, capture_output=True, text=True, timeout=60, check=False, input=stdin
        )
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout if check else done.stdout + done.stderr

    def get(self, *arguments: str) -> Any:
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))


@dataclass(frozen=True)
class CommandLine:
    """Runs `fluxlab` as a user does, in a state folder of its own."""

    environment: Mapping[str, str]
    folder: Path

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "fluxlab", *arguments]
        return subprocess.Popen(
            words,
            env=self.environment,
            cwd=self.folder,
            **{
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "text": True,
                **options,
            },
        )

    def run(self, *arguments: str, timeout: float = 180, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, **({} if stdin is None else {"stdin": subprocess.PIPE}))
        try:
            stdout, stderr = process.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            stdout, stderr = process.communicate()
            pytest.fail(f"fluxlab {' '.join(arguments)} did not end within {timeout} s\n{stdout}\n{stderr}")
        return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)

    def ok(self, *arguments: str, timeout: float = 180, stdin: str | None = None) -> str:
        done = self.run(*arguments, timeout=timeout, stdin=stdin)
        assert done.returncode == 0, f"fluxlab {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def having(self, **environment: str | None) -> "CommandLine":
        """The same with other environment variables; None takes one away."""
        merged = {**self.environment, **environment}
        return replace(self, environment={name: value for name, value in merged.items() if value is not None})

    def observer(self, lab: str, cluster: str = "flux-playground") -> Observer:
        return Observer(self.state / "labs" / lab / "clusters" / cluster / "kubeconfig")

    @property
    def state(self) -> Path:
        return Path(self.environment["FLUXLAB_STATE_DIR"])


def command_lines(folder: Path) -> Iterator[CommandLine]:
    environment = {**os.environ, **SPARING, "FLUXLAB_STATE_DIR": str(folder / "state")}
    environment.pop("FLUXLAB_LAB", None)
    fluxlab = CommandLine(environment=environment, folder=folder)
    yield fluxlab
    if any((fluxlab.state / "labs").glob("*")):
        done = fluxlab.run("down", "--all")
        assert done.returncode == 0, done.stderr


LONGEST_FIRST = (
    "test_shipped",
    "test_kills",
    "test_plugin",
    "test_verdicts",
    "test_convergence",
    "test_pool",
    "test_bad_luck",
    "test_tutorial",
    "test_report_only",
    "test_adoption",
    "test_drift_matrix",
    "test_drift_properties",
    "test_drift",
    "test_agent",
    "test_demo",
    "test_drift_bad_luck",
    "test_lifecycle",
    "test_alerts",
    "test_existing",
    "test_timeline",
    "test_snapshots",
    "backends",
    "test_environments",
    "test_rehearse",
)
SHORTEST_LAST = ("test_gateway", "test_git_server", "test_command_line", "test_charts")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # A file that takes minutes and begins last would run alone, while the other workers have nothing left to do.
    order = {name: place for place, name in enumerate(LONGEST_FIRST)}
    order |= {name: len(LONGEST_FIRST) + 1 + place for place, name in enumerate(SHORTEST_LAST)}

    def place(item: pytest.Item) -> int:
        of_folder = order.get(item.path.parent.name, len(LONGEST_FIRST))
        return order.get(item.path.stem, of_folder)

    items.sort(key=place)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show beside a failure how the logs of its labs end: a lab that was slow once, elsewhere, can't be asked later."""
    report = yield
    if report.failed and report.when == "call":
        command_lines = [value for value in getattr(item, "funcargs", {}).values() if isinstance(value, CommandLine)]
        for state in {command_line.state for command_line in command_lines}:
            report.sections.extend(last_lines(state))
    return report


def last_lines(state: Path, *, count: int = 12, width: int = 400) -> Iterator[tuple[str, str]]:
    for log in sorted((state / "labs").rglob("*.log")):
        with log.open(errors="replace") as lines:
            last = deque(lines, maxlen=count)
        yield f"end of {log.relative_to(state)}", "".join(f"{line.rstrip()[:width]}\n" for line in last)


@pytest.fixture
def fluxlab(tmp_path: Path) -> Iterator[CommandLine]:
    """The command line in an empty state folder; whatever labs a test starts are ended."""
    yield from command_lines(tmp_path)


@pytest.fixture(scope="module")
def scenario() -> str:
    """What the lab `shared` holds; a module that looks at something else says so."""
    return "shop"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, scenario: str) -> Iterator[CommandLine]:
    """A module's lab named `shared`, for tests that only look, or that clean up what they change."""
    for command_line in command_lines(tmp_path_factory.mktemp("shared")):
        (command_line.folder / "lab.yaml").write_text(f"name: shared\nscenarios: [{scenario}]\n")
        command_line.ok("up", "lab.yaml")
        yield command_line


@pytest.fixture
def eventually() -> Callable[..., object]:
    """Wait for a fact that the test itself observes."""

    def wait(probe: Callable[[], object], *, within: float = 30, what: str = "the fact") -> object:
        return wait_until(probe, what=what, timeout_seconds=within, interval_seconds=0.1)

    return wait
