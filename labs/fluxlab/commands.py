"""Run one program to its end: argument lists only, and an error that can be pasted into a shell."""

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import FluxlabError

OUTPUT_QUOTED_LINES = 20
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
    Raises CommandError on a non-zero exit, a timeout, or a program that cannot be started.
    """
    words = [str(word) for word in argv]
    inherited = {name: value for name, value in os.environ.items() if name not in _OF_ANOTHER_REPOSITORY}
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env={**inherited, **(environment or {})},
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            timeout=timeout_seconds,
            check=False,
        )
    except FileNotFoundError as error:
        raise CommandError(words, f"{error.filename}: no such program or folder", hint=hint) from error
    except OSError as error:
        raise CommandError(words, f"{error.filename}: {error.strerror}", hint=hint) from error
    except subprocess.TimeoutExpired as error:
        stdout, stderr = ((part or b"").decode(errors="replace") for part in (error.stdout, error.stderr))
        reason = f"no end within {timeout_seconds:g} s"
        raise CommandError(words, reason, stdout=stdout, stderr=stderr, hint=hint) from error
    stdout, stderr = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    if done.returncode != 0:
        raise CommandError(words, f"exit code {done.returncode}", stdout=stdout, stderr=stderr, hint=hint)
    return Completed(stdout=stdout, stderr=stderr)
