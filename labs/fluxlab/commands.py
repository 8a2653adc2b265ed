"""Run one program to its end: argument lists only, and an error that can be pasted into a shell."""

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from .errors import FluxlabError

OUTPUT_QUOTED_LINES = 20
GRACE_SECONDS = 2
# By these git tells its children (hooks: a test suite may run in one) which repository is meant: never the lab's.
# The list is that of `git rev-parse --local-env-vars`, without those that only carry configuration.
_OF_ANOTHER_REPOSITORY = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_NO_REPLACE_OBJECTS",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_REPLACE_REF_BASE",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    }
)
_MARKS: ContextVar[tuple[int, ...]] = ContextVar("marks", default=())
"""Descriptors that programs keep open."""


@dataclass(frozen=True, kw_only=True)
class Completed:
    """What a finished command left: its output as text."""

    stdout: str
    stderr: str


class CommandError(FluxlabError):
    """A command that ended with another exit code than 0, could not be started, or took too long."""

    def __init__(self, argv: Sequence[str], reason: str, *, stdout: str = "", stderr: str = "", hint: str = "") -> None:
        self.argv = tuple(argv)
        self.stdout = stdout
        self.stderr = stderr
        quoted = [line for text in (stdout, stderr) for line in text.splitlines()[-OUTPUT_QUOTED_LINES:]]
        super().__init__(f"{shlex.join(argv)}: {reason}", facts=quoted, hint=hint)


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: str | bytes | None = None,
    timeout_seconds: float = 60,
    hint: str = "",
) -> Completed:
    """Run `argv` and return its output.

    `environment` is added to the caller's, of which only git's pointers to another repository are left out.
    A timeout or an exception ends all that it has started; SIGKILL of this process does not: see `marked`.
    Raises CommandError on a non-zero exit, a timeout, or a program that cannot be started.
    """
    words = [str(word) for word in argv]
    inherited = {name: value for name, value in os.environ.items() if name not in _OF_ANOTHER_REPOSITORY}
    try:
        with subprocess.Popen(
            words,
            cwd=cwd,
            env={**inherited, **(environment or {})},
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
            pass_fds=_MARKS.get(),
        ) as process:
            try:
                said = process.communicate(stdin.encode() if isinstance(stdin, str) else stdin, timeout_seconds)
            except BaseException:  # also Ctrl-C: what it started must not outlive the call
                _end(process)
                raise
    except FileNotFoundError as error:
        raise CommandError(words, f"{error.filename}: no such program or folder", hint=hint) from error
    except OSError as error:
        raise CommandError(words, f"{error.filename}: {error.strerror}", hint=hint) from error
    except subprocess.TimeoutExpired as error:
        stdout, stderr = ((part or b"").decode(errors="replace") for part in (error.stdout, error.stderr))
        reason = f"no end within {timeout_seconds:g} s"
        raise CommandError(words, reason, stdout=stdout, stderr=stderr, hint=hint) from error
    stdout, stderr = (part.decode(errors="replace") for part in said)
    if process.returncode != 0:
        raise CommandError(words, f"exit code {process.returncode}", stdout=stdout, stderr=stderr, hint=hint)
    return Completed(stdout=stdout, stderr=stderr)


@contextmanager
def marked(descriptor: int) -> Iterator[None]:
    """Have programs that this thread runs within the block, and all that they start, keep a descriptor open.

    By that they are known whoever was killed since: nothing else is left of a parent, or of a process group.
    """
    token = _MARKS.set((*_MARKS.get(), descriptor))
    try:
        yield
    finally:
        _MARKS.reset(token)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program and what it started (git runs others): SIGTERM, so that it can clean up, then SIGKILL."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
        os.killpg(process.pid, signal.SIGKILL)
