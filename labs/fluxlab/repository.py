"""A repository of a lab, from the side of whoever works with it: clone, commit and push, and ask what is served."""

import base64
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

from .commands import CommandError, run
from .errors import FluxlabError, UsageError
from .pki import write_private
from .spec import RepositorySpec
from .state import LabFolder

AUTHOR = {"GIT_AUTHOR_NAME": "fluxlab", "GIT_AUTHOR_EMAIL": "lab@fluxlab.invalid"}


class Repository:
    """A handle on one repository; every change goes through the git server, as a user's would."""

    def __init__(self, *, folder: LabFolder, spec: RepositorySpec, clone_url: str) -> None:
        self.name = spec.name
        self.url = spec.url
        self.branch = spec.branch
        self.clone_url = clone_url
        self._bare = folder.repositories / f"{spec.name}.git"
        self._token = (folder.repositories / f"{spec.name}.token").read_text().strip()
        self._credentials = folder.repositories / f"{spec.name}.credentials"

    def _git(self, *arguments: str | Path, cwd: Path | None = None, timeout_seconds: float = 60) -> str:
        """Git with this repository's credentials, given in the environment: arguments are for all to see."""
        basic = base64.b64encode(f"lab:{self._token}".encode()).decode()
        settings = {"http.extraHeader": f"Authorization: Basic {basic}", "http.proxy": "", "credential.helper": ""}
        environment = {
            **AUTHOR,
            "GIT_COMMITTER_NAME": AUTHOR["GIT_AUTHOR_NAME"],
            "GIT_COMMITTER_EMAIL": AUTHOR["GIT_AUTHOR_EMAIL"],
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_COUNT": str(len(settings)),
        }
        for number, (key, value) in enumerate(settings.items()):
            environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        words = ["git", *arguments]
        return run(words, cwd=cwd, environment=environment, timeout_seconds=timeout_seconds).stdout.strip()

    def _bare_git(self, *arguments: str) -> str:
        return self._git("-c", f"safe.directory={self._bare}", f"--git-dir={self._bare}", *arguments)

    def head(self) -> str:
        """The commit that the server serves on the branch, asked over HTTP. Raises FluxlabError when there is none."""
        answer = self._git("ls-remote", self.clone_url, f"refs/heads/{self.branch}")
        if not answer:
            raise FluxlabError(f"repository {self.name} has no branch {self.branch}", hint=f"git push {self.clone_url}")
        return answer.split()[0]

    def resolve(self, revision: str) -> str:
        """The full name of a commit that was pushed. Raises UsageError for one that was not."""
        if revision.startswith("-"):
            raise UsageError(f"{revision!r} is no commit")
        try:
            return self._bare_git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
        except CommandError:
            raise UsageError(
                f"commit {revision} is not on the lab's git server",
                facts=[f"branch {self.branch} of {self.name} is at {self.head()[:10]}"],
                hint="git push, then ask again",
            ) from None

    def since(self, commit: str) -> frozenset[str]:
        """`commit` and all later commits of the branch; empty when the branch does not contain it (any more)."""
        try:
            self._bare_git("merge-base", "--is-ancestor", commit, f"refs/heads/{self.branch}")
        except CommandError:
            return frozenset()
        return frozenset({commit, *self._bare_git("rev-list", f"{commit}..refs/heads/{self.branch}").split()})

    def commit(self, files: Mapping[str, bytes], message: str) -> str:
        """Write files (by path), commit and push them; returns the commit. Nothing changed: the branch's head.

        Raises CommandError when git refuses, for example because somebody else pushed in between.
        """
        with tempfile.TemporaryDirectory(prefix="fluxlab-") as folder:
            tree = Path(folder) / "tree"
            self._git("clone", "--quiet", "--depth=1", f"--branch={self.branch}", self.clone_url, tree)
            for path, content in files.items():
                target = tree / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
            self._git("add", "--all", cwd=tree)
            if self._git("status", "--porcelain", cwd=tree):
                self._git("commit", "--quiet", f"--message={message}", cwd=tree)
                self._git("push", "--quiet", "origin", f"HEAD:refs/heads/{self.branch}", cwd=tree)
            return self._git("rev-parse", "HEAD", cwd=tree)

    def clone(self, target: Path) -> Path:
        """Clone for a person: a plain `git push` reaches the lab, and nothing else; the token is not in the config.

        Raises UsageError when the target exists and is not empty.
        """
        if target.exists() and any(target.iterdir()):
            raise UsageError(f"{target} is there already", hint=f"fluxlab clone OTHER-FOLDER, or rm -r {target}")
        parts = urlsplit(self.clone_url)
        write_private(self._credentials, f"{parts.scheme}://lab:{quote(self._token)}@{quote(parts.netloc)}\n")
        try:
            self._git("clone", "--quiet", f"--branch={self.branch}", self.clone_url, target)
            helper = f"store --file='{self._credentials}'"
            self._git("config", "--local", "http.proxy", "", cwd=target)
            # Helpers of the user's own config come first: an empty one makes git forget them.
            for value in ("", helper):
                self._git("config", "--local", "--add", "credential.helper", value, cwd=target)
        except BaseException:
            shutil.rmtree(target, ignore_errors=True)
            raise
        return target
