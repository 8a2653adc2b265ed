"""Git as fluxlab runs it: with one repository's credentials, and without the settings of whoever runs it."""

import base64
import os
from collections.abc import Mapping
from pathlib import Path

from .commands import run

AUTHOR_NAME = "fluxlab"
AUTHOR_EMAIL = "lab@fluxlab.invalid"


class GitClient:
    """Runs git for one repository of a lab."""

    def __init__(self, *, token: str) -> None:
        """`token` opens the repository on the lab's git server."""
        basic = base64.b64encode(f"lab:{token}".encode()).decode()
        # Given in the environment: arguments are for all to see.
        settings = {"http.extraHeader": f"Authorization: Basic {basic}", "http.proxy": "", "credential.helper": ""}
        self._environment = {
            "GIT_AUTHOR_NAME": AUTHOR_NAME,
            "GIT_AUTHOR_EMAIL": AUTHOR_EMAIL,
            "GIT_COMMITTER_NAME": AUTHOR_NAME,
            "GIT_COMMITTER_EMAIL": AUTHOR_EMAIL,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_COUNT": str(len(settings)),
        }
        for number, (key, value) in enumerate(settings.items()):
            self._environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}

    def __call__(
        self, *arguments: str | Path, cwd: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> str:
        """What git prints, without the last line's end. Raises CommandError."""
        given = {**self._environment, **(environment or {})}
        return run(["git", *arguments], cwd=cwd, environment=given, timeout_seconds=60).stdout.rstrip("\n")

    def served(self, url: str, ref: str) -> str:
        """The commit at which a server has a ref (by its full name); empty when there is none. Raises CommandError."""
        # What is asked for is a pattern: refs whose names end in it are listed, too.
        listed = (line.partition("\t") for line in self("ls-remote", url, ref).split("\n"))
        return next((commit for commit, _, name in listed if name == ref), "")
