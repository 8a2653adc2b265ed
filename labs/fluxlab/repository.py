"""A repository of a lab, from the side of whoever works with it: change, commit and push, and ask what is served."""

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from . import manifests
from .clones import Clones
from .commands import CommandError
from .documents import JsonObject
from .errors import FluxlabError, UsageError
from .git_client import GitClient
from .moments import Commit, Moment
from .scenarios import Scenario, load_scenario
from .spec import RepositorySpec
from .state import LabFolder
from .working_copy import WorkingCopy


class Repository:
    """A handle on one branch of a repository; every change goes through the git server, as a user's would.

    `write`, `edit`, `patch`, `delete` and `move` prepare a change; `commit` pushes it.
    """

    def __init__(
        self,
        *,
        folder: LabFolder,
        spec: RepositorySpec,
        clone_url: Callable[[], str],
        moment: Callable[[], Moment] = Moment,
        serve: Callable[[Scenario], None] = lambda _: None,
        whose: str = "",
    ) -> None:
        """`clone_url` tells where the server is now, which a resume may change; `moment` where the clusters are just
        before a push; `serve` is done before a scenario's. `whose` is how the name of its working copy's folder begins.
        """
        self.name = spec.name
        self.url = spec.url
        self.branch = spec.branch
        self._spec = spec
        self._folder = folder
        self._bare = folder.repositories / f"{spec.name}.git"
        self._token = (folder.repositories / f"{spec.name}.token").read_text().strip()
        self._git = GitClient(token=self._token)
        self._clone_url = clone_url
        self._moment = moment
        self._serve = serve
        self._whose = whose
        self._copy: WorkingCopy | None = None

    @property
    def clone_url(self) -> str:
        """Where the git server has the repository on this machine. Raises FluxlabError while nobody serves it."""
        return self._clone_url()

    def _bare_git(self, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        words = ("-c", f"safe.directory={self._bare}", f"--git-dir={self._bare}")
        return self._git(*words, *arguments, environment=environment)

    # -- questions -----------------------------------------------------------------------------------------------

    def head(self) -> str:
        """The commit that the server serves on the branch, asked over HTTP. Raises FluxlabError when there is none."""
        commit = self._git.served(self.clone_url, f"refs/heads/{self.branch}")
        if not commit:
            raise FluxlabError(f"repository {self.name} has no branch {self.branch}", hint=f"git push {self.clone_url}")
        return commit

    def has(self, branch: str) -> bool:
        """Whether the server has a branch of that name. Raises UsageError for a name that no branch can have."""
        try:
            self._git("check-ref-format", f"refs/heads/{branch}")
        except CommandError:
            raise UsageError(f"{branch!r} is no name for a branch") from None
        return bool(self._git.served(self.clone_url, f"refs/heads/{branch}"))

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

    def saying(self, words: str, *, after: str) -> Sequence[str]:
        """The commits of the branch after one that have these words in their message, newest first."""
        grep = ("--fixed-strings", f"--grep={words}")
        return self._bare_git("rev-list", *grep, f"{after}..refs/heads/{self.branch}").split()

    def earlier(self, commit: Commit) -> frozenset[str]:
        """All commits that a cluster may have been at before this one was pushed."""
        known = [commit.sha, *([commit.follows] if commit.follows else [])]
        return frozenset(self._bare_git("rev-list", *known).split()) - {commit.sha}

    def text(self, commit: str, path: str) -> str:
        """All lines of the text files below a path at a commit, `---` between files; empty where there are none."""
        try:
            found = self._bare_git("grep", "--break", "--heading", "-I", "-e", "", commit, "--", path.strip("/") or ".")
        except CommandError:
            return ""
        # What stands above each file's lines is `COMMIT:PATH`.
        return re.sub(rf"^(\n?){re.escape(commit)}:.*$", "---", found, flags=re.MULTILINE)

    def check_out(self, commit: str, target: Path) -> None:
        """Write the files of a commit, without any history, into a new folder."""
        target.mkdir(parents=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as beside:  # it goes with the target, if this is cut off
            index = {"GIT_INDEX_FILE": str(Path(beside) / "index")}
            self._bare_git("read-tree", commit, environment=index)
            self._bare_git(f"--work-tree={target}", "checkout-index", "--all", environment=index)

    def log(self) -> str:
        """The branch's commits, newest first, with author, date and the files that each changed."""
        return self._bare_git("log", "--date=iso-strict", "--stat", f"refs/heads/{self.branch}")

    def read(self, path: str) -> str:
        """The text of a file, with what was prepared but not committed. Raises UsageError when it is not there."""
        with self._changing() as copy:
            return copy.read(path)

    # -- prepare a change ----------------------------------------------------------------------------------------

    def write(self, path: str, content: str | bytes | JsonObject | Sequence[JsonObject]) -> None:
        """Write a file: text, bytes, or manifests that become its YAML."""
        with self._changing() as copy:
            copy.write(path, _bytes(content))

    def edit(self, path: str, *, values: JsonObject, name: str = "") -> None:
        """Merge `values` into those of the HelmRelease in a file; `name` tells several apart, None removes a value.

        Comments stay. Raises UsageError unless exactly one HelmRelease is meant, and when nothing is to be changed.
        """
        if not values:
            raise UsageError(f"{path}: no values to edit")
        self.patch(path, {"spec": {"values": values}}, kind="HelmRelease", name=name)

    def patch(self, path: str, change: JsonObject, *, kind: str = "", name: str = "") -> None:
        """Merge a change (RFC 7386: None removes) into the manifest in a file; kind and name tell several apart.

        Comments stay. Raises UsageError unless exactly one manifest is meant, and when nothing is to be changed.
        """
        if not change:
            raise UsageError(f"{path}: the patch is empty")
        with self._changing() as copy:
            text = manifests.merge(copy.read(path), change, path=path, kind=kind, name=name)
            copy.write(path, text.encode())

    def delete(self, path: str) -> None:
        """Remove a file, or a folder with all in it. Raises UsageError when it is not there."""
        with self._changing() as copy:
            copy.delete(path)

    def move(self, source: str, target: str) -> None:
        """Rename a file or folder. Raises UsageError when it is not there, or something is at the new place."""
        with self._changing() as copy:
            copy.move(source, target)

    # -- commit and push -----------------------------------------------------------------------------------------

    def commit(
        self, message: str, *, author: str = "", date: datetime | None = None, allow_empty: bool = False
    ) -> Commit:
        """Commit what was prepared, and push it. `author` is `Ada <ada@example.org>`; default: fluxlab, now.

        An issue is referred to as in any message: `Scale cart (#42)`.

        Raises UsageError when nothing was prepared, unless `allow_empty`, and CommandError when git refuses, for
        example because somebody else pushed in between.
        """
        with self._changing() as copy:
            copy.commit(message, author=author, date=date, allow_empty=allow_empty)
            return self._push(copy, message)

    def apply(self, scenario: Scenario | str, *, message: str = "") -> Commit:
        """Serve what a scenario needs and push its manifests; where they are there already, the newest commit."""
        found = load_scenario(scenario) if isinstance(scenario, str) else scenario
        before = self._moment()
        with self._changing(unchanged=True):
            self._serve(found)
        for path, content in found.files().items():
            self.write(path, content)
        said = message or f"Add {found.name}"
        with self._changing() as copy:
            if copy.changed():
                return self.commit(said)
            copy.catch_up()
            return Commit(sha=copy.head(), message=said, before=before)

    def revert(
        self, commit: Commit | str, *, message: str = "", allow_empty: bool = False, yielding: bool = False
    ) -> Commit:
        """Push the opposite of a commit; with `allow_empty` also of one that was undone already.

        Raises CommandError when later commits changed the same lines, unless it is `yielding`: then these lines stay.
        """
        sha = self.resolve(str(commit))
        with self._changing(unchanged=True) as copy:
            said = message or f'Revert "{self._bare_git("log", "-1", "--format=%s", sha)}"'
            copy.revert(sha, said, allow_empty=allow_empty, yielding=yielding)
            return self._push(copy, said)

    def merge(self, branch: str, *, message: str = "") -> Commit:
        """Merge another branch into this one and push. Raises CommandError when both changed the same lines."""
        sha = self.resolve(f"refs/heads/{branch}")
        with self._changing(unchanged=True) as copy:
            said = message or f"Merge {branch}"
            if sha in self._bare_git("rev-list", f"refs/heads/{self.branch}").split():
                raise UsageError(f"{branch} has nothing that {self.branch} has not")
            copy.merge(sha, said)
            return self._push(copy, said)

    def force_push(self, commit: Commit | str) -> Commit:
        """Have the branch end at a commit, whatever it ended at: what came after it is gone from the branch."""
        sha = self.resolve(str(commit))
        with self._changing(unchanged=True) as copy:
            before, follows = self._moment(), copy.upstream()
            copy.point(f"refs/heads/{self.branch}", sha, force=True)
            copy.catch_up()
        message = self._bare_git("log", "-1", "--format=%s", sha)
        return Commit(sha=sha, message=message, before=before, follows=follows)

    def tag(self, name: str, commit: Commit | str | None = None) -> None:
        """Push a tag on a commit (default: the branch's head). Raises CommandError when the tag is there already."""
        sha = self.head() if commit is None else self.resolve(str(commit))
        with self._changing() as copy:
            copy.point(f"refs/tags/{name}", sha)

    def on(self, branch: str, *, begin: str = "", whose: str = "") -> "Repository":
        """A handle on another branch, which is made from a commit (default: this one's head) if it is not there.

        `whose` is how the name of its working copy's folder begins: by that it is found if this process is killed.
        """
        if not self.has(branch):
            begin = begin or self.head()
            with self._changing() as copy:
                copy.point(f"refs/heads/{branch}", begin)
        return Repository(
            folder=self._folder,
            spec=self._spec.model_copy(update={"branch": branch}),
            clone_url=self._clone_url,
            moment=self._moment,
            serve=self._serve,
            whose=whose,
        )

    @contextmanager
    def _changing(self, *, unchanged: bool = False) -> Iterator[WorkingCopy]:
        """The working copy, at the branch's head or in the middle of a change; some steps need it `unchanged`."""
        if self._copy is None:
            self._copy = WorkingCopy(
                self._git,
                clone_url=self._clone_url,
                branch=self.branch,
                scratch=self._folder.scratch,
                whose=self._whose,
            )
        self._copy.begin()
        if unchanged and self._copy.changed():
            raise UsageError("a change was prepared but not committed", hint="commit it first")
        yield self._copy

    def _push(self, copy: WorkingCopy, message: str) -> Commit:
        before, follows = self._moment(), copy.upstream()
        try:
            return Commit(sha=copy.push(), message=message, before=before, follows=follows)
        except CommandError as error:
            copy.catch_up()  # a commit that nobody has must not be under the next one
            error.facts += (f"what was prepared is gone: the next change begins at {copy.head()[:10]}",)
            raise

    # -- for people ----------------------------------------------------------------------------------------------

    def clone(self, target: Path) -> Path:
        """Clone for a person, as `Clones.make` does."""
        clones = Clones(self._folder, self.name, token=self._token, clone_url=self.clone_url, branch=self.branch)
        return clones.make(target)

    def close(self) -> None:
        """Remove the working copy, with what was prepared in it but not committed."""
        if self._copy:
            self._copy.close()
            self._copy = None


def _bytes(content: str | bytes | JsonObject | Sequence[JsonObject]) -> bytes:
    if isinstance(content, bytes):
        return content
    if isinstance(content, str):
        return content.encode()
    return manifests.dump(*([content] if isinstance(content, Mapping) else content)).encode()
