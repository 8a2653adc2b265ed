"""The bare git repositories of a lab: one folder, one token each, and a config that owes nothing to the user's."""

import hmac
import os
import re
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path

from fluxlab.commands import CommandError, run
from fluxlab.errors import FluxlabError, UsageError
from fluxlab.files import write_private
from fluxlab.redaction import Redactor

NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,98}[a-z0-9])?")
BRANCH = re.compile(r"(?!-)(?!.*(?:\.\.|@\{|//))[^\x00-\x20~^:?*\[\\\x7f]+")

# The same at each start: what a lab's repository accepts does not depend on git's defaults or on the user.
# fsync is off because a lab does not outlive its machine's power; it costs most of the time of a small push.
CONFIG = """\
# Written by fluxlab at each start of the lab.
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = true
\tfsync = none
[http]
\tuploadpack = true
\treceivepack = true
[uploadpack]
\tallowFilter = true
\tallowAnySHA1InWant = true
[receive]
\tautogc = false
[gc]
\tauto = 0
[maintenance]
\tauto = false
"""

# Git itself says what moved, after it moved: exact for several pushes at once, rejected refs and gzipped requests.
# The descriptor is inherited from the server; only the shell's own commands, so it costs one process.
POST_RECEIVE = """\
#!/bin/sh
while read -r change; do echo "$change"; done > "/dev/fd/$FLUXLAB_CHANGES_FD"
"""


def git_environment(hooks: Path, repository: Path) -> dict[str, str]:
    """All of the environment in which git serves a repository: nothing of the user's, neither config nor GIT_*."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": str(repository),
        "GIT_CONFIG_KEY_1": "core.hooksPath",
        "GIT_CONFIG_VALUE_1": str(hooks),
    }


@dataclass(frozen=True, kw_only=True)
class GitRepository:
    """A bare repository that the lab serves."""

    name: str
    url: str
    """The public URL that manifests name."""
    branch: str
    path: Path
    hooks: Path
    token: str

    @property
    def urls(self) -> tuple[str, str]:
        """Both spellings of the public URL, without and with `.git`: git hosts answer to either."""
        plain = self.url.rstrip("/").removesuffix(".git")
        return plain, f"{plain}.git"

    @property
    def environment(self) -> dict[str, str]:
        """The environment for git commands in this repository."""
        return git_environment(self.hooks, self.path)

    @property
    def used(self) -> bool:
        """Whether anything was ever committed to it, whatever has become of its branches."""
        return any(self.path.glob("objects/??/*")) or any(self.path.glob("objects/pack/*.pack"))

    def opens(self, token: str) -> bool:
        """Whether `token` is this repository's; takes the same time for any wrong one."""
        return hmac.compare_digest(token.encode(), self.token.encode())

    def git(self, *arguments: str) -> str:
        """The output of a git command in this repository. Raises CommandError when it fails."""
        return run(["git", f"--git-dir={self.path}", *arguments], environment=self.environment).stdout

    def served_commit(self, branch: str | None = None) -> str | None:
        """The commit at which a branch (default: the repository's own) stands; None before its first push."""
        ref = f"refs/heads/{branch or self.branch}"
        found = self.git("for-each-ref", "--format=%(objectname) %(refname)", ref)
        # A name may hold what is white space, or the end of a line, elsewhere.
        listed = (line.partition(" ") for line in found.split("\n"))
        return next((commit for commit, _, name in listed if name == ref), None)


class GitRepositories:
    """The repositories in one folder of the lab's state: `<name>.git`, `<name>.token` (0600) and the lab's hook."""

    def __init__(self, folder: Path, *, redactor: Redactor | None = None) -> None:
        """Use `folder`, made if need be; every token is made known to `redactor`."""
        folder = folder.resolve()
        self.folder = folder
        self._redactor = redactor or Redactor()
        self._lock = threading.Lock()
        self._repositories: dict[str, GitRepository] = {}
        self._hooks = folder / "hooks"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_hook(self._hooks)

    def create(self, name: str, *, url: str, branch: str = "main") -> GitRepository:
        """The repository `name`, made if it is not there; its commits and its token outlive the lab's processes."""
        if not NAME.fullmatch(name) or ".." in name or name.endswith((".git", ".lock")):
            raise UsageError(f"repository name {name!r} is not usable", hint="lower-case letters, digits and . _ -")
        if not BRANCH.fullmatch(branch) or branch.endswith(("/", ".", ".lock")) or branch.startswith("/"):
            raise UsageError(f"repository {name}: {branch!r} is not a branch name")
        with self._lock:
            repository = GitRepository(
                name=name,
                url=url,
                branch=branch,
                path=self.folder / f"{name}.git",
                hooks=self._hooks,
                token=self._token(name),
            )
            _initialise(repository)
            self._repositories = {**self._repositories, name: repository}
        return repository

    def find(self, name: str) -> GitRepository | None:
        """The repository of that name, if it was created."""
        return self._repositories.get(name)

    def all(self) -> tuple[GitRepository, ...]:
        """Every repository, by name."""
        return tuple(repository for _, repository in sorted(self._repositories.items()))

    def _token(self, name: str) -> str:
        file = self.folder / f"{name}.token"
        if not file.exists():
            write_private(file, secrets.token_urlsafe(24))
        token = file.read_text().strip()
        if not token:
            raise FluxlabError(f"repository {name}: its token file is empty", hint=f"rm {file}")
        self._redactor.add(token)
        return token


def _write_hook(hooks: Path) -> None:
    hooks.mkdir(mode=0o700, exist_ok=True)
    hook = write_private(hooks / "post-receive", POST_RECEIVE)
    hook.chmod(0o700)
    if not os.access(hook, os.X_OK):
        raise FluxlabError(
            f"programs in {hooks} may not run, so pushes would go unnoticed", hint="mount it without noexec"
        )


def _initialise(repository: GitRepository) -> None:
    path = repository.path
    head = f"ref: refs/heads/{repository.branch}\n"
    try:
        if not (path / "HEAD").exists():
            repository.git("init", "--quiet", "--bare", "--template=", f"--initial-branch={repository.branch}")
        elif (path / "HEAD").read_text() != head:
            repository.git("symbolic-ref", "HEAD", f"refs/heads/{repository.branch}")
    except CommandError as error:
        raise FluxlabError(f"repository {repository.name} could not be made at {path}", facts=[str(error)]) from error
    config = path / "config"
    if not config.exists() or config.read_bytes() != CONFIG.encode():
        write_private(config, CONFIG)  # whole: git may read it at any moment
