"""A repository of a lab, from the side of whoever works with it: clone, commit and push, and ask what is served."""

import base64
import hashlib
import os
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

from .commands import CommandError, run
from .errors import FluxlabError, UsageError
from .files import write_private
from .spec import RepositorySpec
from .state import LabFolder

IDENTITY_KEY = "fluxlab.identity"
AUTHOR = {"GIT_AUTHOR_NAME": "fluxlab", "GIT_AUTHOR_EMAIL": "lab@fluxlab.invalid"}


class Repository:
    """A handle on one repository; every change goes through the git server, as a user's would."""

    def __init__(self, *, folder: LabFolder, spec: RepositorySpec, clone_url: str) -> None:
        self.name = spec.name
        self.url = spec.url
        self.branch = spec.branch
        self.clone_url = clone_url
        self._folder = folder
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

    def text(self, commit: str, path: str) -> str:
        """All lines of the text files below a path at a commit; empty where there are none."""
        try:
            return self._bare_git("grep", "-h", "-I", "-e", "", commit, "--", path.strip("/") or ".")
        except CommandError:
            return ""

    def commit(self, files: Mapping[str, bytes], message: str) -> str:
        """Write files (by path), commit and push them; returns the commit. Nothing changed: the branch's head.

        Raises CommandError when git refuses, for example because somebody else pushed in between.
        """
        with tempfile.TemporaryDirectory(dir=self._folder.scratch) as folder:
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

        A clone of this very repository is kept as it is; one of an earlier lab is replaced if nothing in it would be
        lost. Raises UsageError when the target is something else, or holds work that was not pushed.
        """
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            if self._owner(target) == self._identity and self._clones_here(target):
                return target
            self._discard(target)
        try:
            self._clone(target)
        except BaseException:
            shutil.rmtree(target, ignore_errors=True)
            raise
        self._remember(target)
        return target

    def _clone(self, target: Path) -> None:
        parts = urlsplit(self.clone_url)
        write_private(self._credentials, f"{parts.scheme}://lab:{quote(self._token)}@{quote(parts.netloc)}\n")
        self._git("clone", "--quiet", f"--branch={self.branch}", self.clone_url, target)
        for key, value in {"http.proxy": "", IDENTITY_KEY: self._identity}.items():
            self._git("config", "--local", key, value, cwd=target)
        # Helpers of the user's own config come first: an empty one makes git forget them.
        for value in ("", f"store --file={shlex.quote(str(self._credentials))}"):
            self._git("config", "--local", "--add", "credential.helper", value, cwd=target)

    @property
    def _identity(self) -> str:
        """Tells this repository from that of an earlier lab of the same name."""
        return hashlib.sha256(self._token.encode()).hexdigest()[:16]

    def _owner(self, target: Path) -> str:
        try:
            return self._git("-C", target, "config", "--local", IDENTITY_KEY)
        except CommandError:
            return ""  # no clone of any lab

    def _clones_here(self, target: Path) -> bool:
        return self._git("-C", target, "remote", "get-url", "origin") == self.clone_url

    def _discard(self, target: Path) -> None:
        if not self._owner(target):
            raise UsageError(f"{target} is there already", hint="choose another folder for the clone")
        commits = self._git("-C", target, "log", "--oneline", "HEAD", "--branches", "--tags", "--not", "--remotes")
        files = self._git("-C", target, "status", "--porcelain", "--ignored")
        if commits or files or self._git("-C", target, "stash", "list"):
            facts = ["it is a clone of an earlier lab, with work that was not pushed"]
            raise UsageError(f"{target} is there already", facts=facts, hint="choose another folder, or move it away")
        shutil.rmtree(target)

    def _remember(self, target: Path) -> None:
        clones = {*known_clones(self._folder, self.name), str(target)}
        write_private(_clones_file(self._folder, self.name), "\n".join(sorted(clones)))


def known_clones(folder: LabFolder, repository: str) -> tuple[str, ...]:
    """The clones of a repository that fluxlab made and that still exist."""
    file = _clones_file(folder, repository)
    return tuple(line for line in file.read_text().splitlines() if Path(line).exists()) if file.exists() else ()


def _clones_file(folder: LabFolder, repository: str) -> Path:
    return folder.repositories / f"{repository}.clones"
