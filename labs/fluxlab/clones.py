"""Clones of a lab's repository for people: a plain `git push` in one reaches the lab, and nothing else."""

import getpass
import hashlib
import shlex
import shutil
from pathlib import Path
from urllib.parse import quote, urlsplit

from .commands import CommandError, run
from .errors import UsageError
from .files import write_private
from .git_client import GitClient
from .state import LabFolder

IDENTITY_KEY = "fluxlab.identity"


class Clones:
    """Makes and remembers the clones of one repository. The token is in none of their configurations."""

    def __init__(self, folder: LabFolder, repository: str, *, token: str, clone_url: str, branch: str) -> None:
        self._folder = folder
        self._repository = repository
        self._token = token
        self._clone_url = clone_url
        self._branch = branch
        self._git = GitClient(token=token)
        self._credentials = folder.repositories / f"{repository}.credentials"

    def make(self, target: Path) -> Path:
        """Clone into a folder, which may be empty.

        A clone of this very repository is kept as it is; one of an earlier lab is replaced if nothing in it would be
        lost. Raises UsageError when the target is something else, or holds work that was not pushed.
        """
        if _filled(target):
            if _owner(self._git, target) == self._identity and self._clones_here(target):
                return target
            _check_lost(self._git, target)
            shutil.rmtree(target)
        try:
            self._clone(target)
        except BaseException:
            shutil.rmtree(target, ignore_errors=True)
            raise
        self._remember(target)
        return target

    def _clone(self, target: Path) -> None:
        parts = urlsplit(self._clone_url)
        write_private(self._credentials, f"{parts.scheme}://lab:{quote(self._token)}@{quote(parts.netloc)}\n")
        self._git("clone", "--quiet", f"--branch={self._branch}", self._clone_url, target)
        for key, value in {"http.proxy": "", IDENTITY_KEY: self._identity}.items():
            self._git("config", "--local", key, value, cwd=target)
        # Helpers of the user's own config come first: an empty one makes git forget them.
        for value in ("", f"store --file={shlex.quote(str(self._credentials))}"):
            self._git("config", "--local", "--add", "credential.helper", value, cwd=target)
        if not _is_somebody(target):
            name = _login()
            for key, value in {"user.name": name, "user.email": f"{name}@lab.invalid"}.items():
                if not _answers("config", key, clone=target):  # the clone's own would count more than theirs
                    self._git("config", "--local", key, value, cwd=target)

    @property
    def _identity(self) -> str:
        return _identity(self._token)

    def _clones_here(self, target: Path) -> bool:
        return self._git("-C", target, "remote", "get-url", "origin") == self._clone_url

    def _remember(self, target: Path) -> None:
        clones = {*known_clones(self._folder, self._repository), str(target)}
        write_private(_clones_file(self._folder, self._repository), "\n".join(sorted(clones)))


def check_target(target: Path, *, folder: LabFolder, repository: str) -> None:
    """Ask, also before the lab is there, whether its repository could be cloned into a folder.

    Raises UsageError where `Clones.make` would.
    """
    if not _filled(target):
        return
    token, git = folder.repositories / f"{repository}.token", GitClient(token="")
    if not token.exists() or _owner(git, target) != _identity(token.read_text().strip()):
        _check_lost(git, target)


def _identity(token: str) -> str:
    """Tells a repository from that of an earlier lab of the same name."""
    return hashlib.sha256(token.encode()).hexdigest()[:16]


def _filled(target: Path) -> bool:
    return target.exists() and (not target.is_dir() or any(target.iterdir()))


def _owner(git: GitClient, target: Path) -> str:
    try:
        return git("-C", target, "config", "--local", IDENTITY_KEY)
    except CommandError:
        return ""  # no clone of any lab


def _check_lost(git: GitClient, target: Path) -> None:
    """Raises UsageError where anything would be lost with a folder."""
    if not _owner(git, target):
        raise UsageError(f"{target} is there already", hint="choose another folder for the clone")
    commits = git("-C", target, "log", "--oneline", "HEAD", "--branches", "--tags", "--not", "--remotes")
    files = git("-C", target, "status", "--porcelain", "--ignored")
    if commits or files or git("-C", target, "stash", "list"):
        facts = ["it is a clone of an earlier lab, with work that was not pushed"]
        raise UsageError(f"{target} is there already", facts=facts, hint="choose another folder, or move it away")


def _is_somebody(clone: Path) -> bool:
    """Whether git knows by what name its user commits: on a new machine it does not, and refuses to."""
    return all(_answers("var", one, clone=clone) for one in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"))


def _answers(*words: str, clone: Path) -> bool:
    """Whether git, with its user's own settings, has an answer."""
    try:
        run(["git", "-C", clone, *words])
    except CommandError:
        return False
    return True


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "somebody"


def known_clones(folder: LabFolder, repository: str) -> tuple[str, ...]:
    """The clones of a repository that fluxlab made and that still exist."""
    file = _clones_file(folder, repository)
    lines = file.read_text().split("\n") if file.exists() else []
    return tuple(line for line in lines if line and Path(line).exists())


def _clones_file(folder: LabFolder, repository: str) -> Path:
    return folder.repositories / f"{repository}.clones"
