"""A private clone in which changes are prepared file by file, committed and pushed."""

import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import SequenceMatcher
from pathlib import Path

from .commands import CommandError
from .errors import FluxlabError, UsageError
from .git_client import GitClient


class WorkingCopy:
    """A clone of one branch. It begins each change at what the server has then; it goes with this object."""

    def __init__(
        self, git: GitClient, *, clone_url: Callable[[], str], branch: str, scratch: Path, whose: str = ""
    ) -> None:
        """Cloned from where the server is now, which may move, into a new folder below `scratch`.

        `whose` is how its name begins.
        """
        self._git_client = git
        self._branch = branch
        self._clone_url = clone_url
        self._origin = clone_url()
        folder = Path(tempfile.mkdtemp(prefix=f"{whose}working-copy-", dir=scratch))
        self._tree = folder / "tree"
        self._finalizer = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._git_client("clone", "--quiet", f"--branch={branch}", self._origin, self._tree)
        self._fresh = True
        self._changing = False

    def _git(self, *words: str) -> str:
        return self._git_client(*words, cwd=self._tree)

    def close(self) -> None:
        """Remove the clone, and changes that were not committed with it."""
        self._finalizer()

    # -- files ---------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start from what the server has now, unless a change is being prepared already."""
        if (origin := self._clone_url()) != self._origin:
            self._git("remote", "set-url", "origin", origin)
            self._origin = origin
        if not self._changing and not self._fresh:
            self.catch_up()
        self._fresh = False

    def catch_up(self) -> None:
        """Be as the branch is on the server. Changes that were not committed are lost."""
        self._git("fetch", "--quiet", "--force", "--tags", "--prune", "origin", "+refs/heads/*:refs/remotes/origin/*")
        self._git("reset", "--quiet", "--hard", f"refs/remotes/origin/{self._branch}")
        self._git("clean", "--quiet", "-dffx")
        self._changing = False

    def read(self, name: str) -> str:
        """The text of a file. Raises UsageError when there is no such file."""
        target = self._existing(name)
        if not target.is_file():
            raise UsageError(f"{name} is a folder")
        try:
            return target.read_bytes().decode()
        except UnicodeDecodeError:
            raise UsageError(f"{name} is no text") from None

    def write(self, name: str, content: bytes) -> None:
        """Write a file."""
        target = self._place(name)
        if target.is_dir():
            raise UsageError(f"{name} is a folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        self._changing = True

    def delete(self, name: str) -> None:
        """Remove a file, or a folder with all in it."""
        target = self._existing(name)
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        else:
            target.unlink()
        self._changing = True

    def move(self, source: str, target: str) -> None:
        """Rename a file or folder. Raises UsageError when something is at the new place."""
        found, place = self._existing(source), self._place(target)
        if place.exists():
            raise UsageError(f"{target} is there already", hint="delete it first")
        place.parent.mkdir(parents=True, exist_ok=True)
        found.rename(place)
        self._changing = True

    def _place(self, name: str) -> Path:
        """The file of that name. Raises UsageError for a place outside of the repository, or git's own."""
        parts = name.split("/")
        if any(part in {"", ".", "..", ".git"} for part in parts):
            raise UsageError(f"{name!r} is no path in a repository", hint="such as clusters/staging/app.yaml")
        target = self._tree / name
        resolved, tree = target.resolve(), self._tree.resolve()
        if blocking := next((above for above in target.parents if above.is_file()), None):
            raise UsageError(f"{name!r} is no path in the repository: {blocking.relative_to(self._tree)} is a file")
        if not resolved.is_relative_to(tree) or ".git" in resolved.relative_to(tree).parts:
            raise UsageError(f"{name!r} leads out of the repository")  # through a link in it
        return target

    def _existing(self, name: str) -> Path:
        """As `_place`, for a file or folder that is there. Raises UsageError that names its neighbours."""
        target = self._place(name)
        if not target.exists():
            beside = sorted(path.name for path in target.parent.glob("*")) if target.parent.is_dir() else []
            raise UsageError(
                f"{name}: there is no such file in the repository",
                facts=[f"beside it: {', '.join(beside) or 'nothing'}"],
            )
        return target

    # -- commits -------------------------------------------------------------------------------------------------

    def changed(self) -> bool:
        """Whether there is something to commit."""
        self._git("add", "--all", "--force")  # what is written is meant, whatever .gitignore says
        return bool(self._git("status", "--porcelain"))

    def commit(
        self, message: str, *, author: str = "", date: datetime | None = None, allow_empty: bool = False
    ) -> None:
        """Commit what was prepared. `author` is `Ada <ada@example.org>`.

        Raises UsageError when nothing was, unless a commit that changes nothing will do.
        """
        if not self.changed() and not allow_empty:
            raise UsageError("there is nothing to commit", facts=["no file differs from the branch"])
        words = ["commit", "--quiet", f"--message={message}", *(["--allow-empty"] if allow_empty else [])]
        environment = {}
        if author:
            words.append(f"--author={author}")
        if date:
            environment = {"GIT_AUTHOR_DATE": date.isoformat(), "GIT_COMMITTER_DATE": date.isoformat()}
        self._git_client(*words, cwd=self._tree, environment=environment)
        self._changing = False

    def revert(self, commit: str, message: str, *, allow_empty: bool = False, yielding: bool = False) -> None:
        """Commit the opposite of a commit. Raises CommandError when later commits changed the same lines.

        If it is `yielding`, these lines, and files that one side has removed, stay as the later commits have them.
        """
        try:
            self._take_back(commit, yielding=yielding)
            self.commit(message, allow_empty=allow_empty)
        except FluxlabError:
            self.catch_up()
            raise

    def _take_back(self, commit: str, *, yielding: bool) -> None:
        # What was put into a folder whose renaming is taken back goes with it, instead of being a conflict.
        settings = ("-c", "merge.directoryRenames=true") if yielding else ()
        try:
            self._git(*settings, "revert", "--no-commit", "--no-edit", commit)
        except CommandError:
            conflicts = self._conflicts() if yielding else {}
            if not conflicts:
                raise
            for path, sides in conflicts.items():
                self._yield(path, *sides)

    def _conflicts(self) -> Mapping[str, Sequence[bytes | None]]:
        """What a revert could not settle: what each file was like after the reverted commit, is now, and was before."""
        conflicts = {}
        listed = self._git("checkout-index", "--all", "--stage=all", "-z").split("\0")
        for names, _, path in (entry.partition("\t") for entry in filter(None, listed)):
            copies = [self._tree / name for name in names.split(" ")]  # `.` for none
            conflicts[path] = [copy.read_bytes() if copy.is_file() else None for copy in copies]
            for copy in filter(Path.is_file, copies):
                copy.unlink()
        return conflicts

    def _yield(self, path: str, after: bytes | None, now: bytes | None, before: bytes | None) -> None:
        file = self._tree / path
        if now is None:
            file.unlink(missing_ok=True)
        elif after is None or before is None or file.is_symlink():
            self._git("checkout", "--quiet", "--ours", "--", path)
        else:
            file.write_bytes(_merged(after, now, before))

    def merge(self, commit: str, message: str) -> None:
        """Commit a merge of another commit. Raises CommandError when the two changed the same lines."""
        try:
            self.catch_up()
            self._git("merge", "--quiet", "--no-ff", f"--message={message}", commit)
        except FluxlabError:
            self.catch_up()
            raise

    def push(self) -> str:
        """Push the branch; returns its commit. Raises CommandError when the server or somebody's push is against it."""
        self._git("push", "--quiet", "origin", f"HEAD:refs/heads/{self._branch}")
        return self.head()

    def upstream(self) -> str:
        """The commit at which the branch was on the server when it was last looked at."""
        return self._git("rev-parse", f"refs/remotes/origin/{self._branch}")

    def head(self) -> str:
        """The commit that it is at."""
        return self._git("rev-parse", "HEAD")

    def point(self, reference: str, commit: str, *, force: bool = False) -> None:
        """Have a reference on the server (`refs/tags/v1`) point at a commit."""
        self._git("push", "--quiet", *(["--force"] if force else []), "origin", f"{commit}:{reference}")


@dataclass(frozen=True, order=True)
class _Change:
    """Lines of a text that others take the place of."""

    begin: int
    end: int
    lines: Sequence[bytes]

    def meets(self, other: "_Change") -> bool:
        """Whether both are about the same lines, or put something at the same place: neighbours do not meet."""
        same_place = (self.begin, self.end) == (other.begin, other.end)
        return same_place or (self.begin < other.end and other.begin < self.end)


def _changes(before: Sequence[bytes], after: Sequence[bytes]) -> Sequence[_Change]:
    steps = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    return [_Change(begin, end, after[first:last]) for tag, begin, end, first, last in steps if tag != "equal"]


def _merged(base: bytes, ours: bytes, theirs: bytes) -> bytes:
    """What both sides have made of a text, line by line; ours where both have changed the same lines.

    git has neighbouring lines for the same ones.
    """
    lines = base.splitlines(keepends=True)
    kept = _changes(lines, ours.splitlines(keepends=True))
    taken = [one for one in _changes(lines, theirs.splitlines(keepends=True)) if not any(map(one.meets, kept))]
    merged, position = list[bytes](), 0
    for change in sorted([*kept, *taken]):
        merged += [*lines[position : change.begin], *change.lines]
        position = change.end
    return b"".join([*merged, *lines[position:]])
