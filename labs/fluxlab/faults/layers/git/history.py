"""The history of the served repository: rewritten from behind by its host, changed by pushes, and seen by a client."""

from collections.abc import Sequence
from pathlib import Path

from fluxlab.commands import CommandError
from fluxlab.faults.base import Ground
from fluxlab.git_client import GitClient


class History:
    """One branch of the repository that a cluster reconciles.

    What changes it goes through the git server as anybody's push does, so that Flux hears of it; what only the host
    of a repository can do is done in its folder.
    """

    def __init__(self, ground: Ground) -> None:
        repository = ground.repository
        self.branch = repository.branch
        self._url = repository.clone_url
        self._scratch_folder = ground.scratch_folder
        self.folder = ground.folder.repositories / f"{repository.name}.git"
        """The repository's own."""
        token = (ground.folder.repositories / f"{repository.name}.token").read_text().strip()
        self._client = GitClient(token=token)

    @property
    def ref(self) -> str:
        """The branch's full name."""
        return f"refs/heads/{self.branch}"

    # -- as its host ---------------------------------------------------------------------------------------------

    def git(self, *words: str | Path, index: Path | None = None) -> str:
        """What git prints in the repository's own folder. Raises CommandError."""
        options = ("-c", f"safe.directory={self.folder}", f"--git-dir={self.folder}")
        environment = {"GIT_INDEX_FILE": str(index)} if index else None
        return self._client(*options, *words, environment=environment)

    def holds(self, commit: str) -> bool:
        """Whether a commit is there, reachable or not."""
        return self._succeeds("cat-file", "-e", f"{commit}^{{commit}}")

    def contains(self, head: str, commit: str) -> bool:
        """Whether a commit is the head or below it."""
        return self._succeeds("merge-base", "--is-ancestor", commit, head)

    def others(self, commit: str) -> Sequence[str]:
        """The branches and tags, apart from the branch, that contain a commit."""
        named = filter(None, self.git("for-each-ref", f"--contains={commit}", "--format=%(refname)").split("\n"))
        return [name for name in named if name != self.ref]

    def before(self, commit: str, *, steps: int) -> str:
        """The commit so many steps before another one; empty when there are not so many."""
        return self.git("rev-list", "--first-parent", "--max-count=1", f"--skip={steps}", commit)

    def has(self, commit: str, path: str) -> bool:
        """Whether a file is in a commit."""
        return bool(self.git("ls-tree", "--name-only", commit, path))

    def _succeeds(self, *words: str) -> bool:
        try:
            self.git(*words)
        except CommandError:
            return False
        return True

    def tree(self, commit: str) -> str:
        """The name of a commit's content."""
        return self.git("rev-parse", f"{commit}^{{tree}}")

    def message(self, commit: str) -> str:
        """What a commit says."""
        return self.git("log", "--max-count=1", "--format=%B", commit)

    def commit(self, tree: str, *parents: str, message: str) -> str:
        """Make a commit that no branch has yet; returns its name."""
        return self.git("commit-tree", tree, *(word for parent in parents for word in ("-p", parent)), "-m", message)

    def changed_tree(self, commit: str, path: str, text: str | None) -> str:
        """The content of a commit with one file more, another one, or one less; returns its name."""
        with self._scratch_folder() as folder:
            index = folder / "index"
            self.git("read-tree", commit, index=index)
            if text is None:
                self.git(f"--work-tree={folder}", "update-index", "--force-remove", path, index=index)
            else:
                (folder / "content").write_text(text)
                blob = self.git("hash-object", "-w", folder / "content")
                self.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", index=index)
            return self.git("write-tree", index=index)

    # -- as somebody who pushes ----------------------------------------------------------------------------------

    def push(self, commit: str) -> None:
        """Have the branch end at a commit that contains all that it has. Raises CommandError."""
        self.git("push", "--quiet", self._url, f"{commit}:{self.ref}")

    def replace(self, old: str, new: str) -> None:
        """Have the branch end at another commit, or be deleted (empty), if it ends at `old` (or is not there: empty).

        Raises CommandError, also when somebody has pushed meanwhile: nobody's commit is lost.
        """
        self.git("push", "--quiet", f"--force-with-lease={self.ref}:{old}", self._url, f"{new}:{self.ref}")

    # -- as somebody who reads -----------------------------------------------------------------------------------

    def head(self) -> str:
        """The commit at which the server says that the branch is; empty when it says that there is no such branch."""
        return self._client.served(self._url, self.ref)

    def gives(self, commit: str) -> bool:
        """Whether the server gives a commit to somebody who has nothing."""
        with self._scratch_folder() as folder:
            self._client("init", "--quiet", "--bare", folder)
            try:
                self._client("fetch", "--quiet", "--depth=1", self._url, commit, cwd=folder)
            except CommandError as error:
                if "not our ref" in error.stderr:
                    return False
                raise
        return True

    def log(self, path: str, *, depth: int) -> tuple[int, str]:
        """How many of the branch's newest commits changed a file, and its text now, as a clone shows them."""
        with self._scratch_folder() as folder:
            self._client("clone", "--quiet", "--bare", f"--depth={depth}", f"--branch={self.branch}", self._url, folder)
            count = self._client("rev-list", "--count", "HEAD", "--", path, cwd=folder)
            there = self._client("ls-tree", "--name-only", "HEAD", path, cwd=folder)
            return int(count), self._client("show", f"HEAD:{path}", cwd=folder) if there else ""

    # -- give back -----------------------------------------------------------------------------------------------

    def give_back(self, commit: str, *, substitute: str = "") -> None:
        """Have the branch contain a commit (which is there) again, and lose nothing but what was put in its place.

        Raises CommandError, also when somebody has pushed just now: it can be tried again.
        """
        head = self.head()
        if head and self.contains(head, commit):
            return
        if head in {"", substitute}:
            self.replace(head, commit)
        else:
            self.push(self.commit(self.tree(head), head, commit, message="Merge what was lost"))
