"""Reports as files, for their owner only like everything that comes out of a lab."""

from pathlib import Path, PurePath

from fluxlab.files import make_private, write_private
from fluxlab.rehearsals.results import RunResult

from .cases import runs_as_junit
from .page import index, page

INDEX, JUNIT = "index.html", "junit.xml"


class Reports:
    """A folder with the reports on some runs: all of those that have ended, at any time."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError when there cannot be such a folder: before anything is run for it."""
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(f"{folder} is no folder")
        self.folder = make_private(folder)
        self._results: dict[str, RunResult] = {}

    def add(self, result: RunResult) -> Path:
        """Write down a run, and all that tells of several runs; returns its page. Raises OSError."""
        name = self._name(result)
        self._results[name] = result
        path = write_run(self.folder, result, name=name)
        write_private(self.folder / JUNIT, runs_as_junit(self._results.values()))
        write_private(self.folder / INDEX, index({f"{one}.html": run for one, run in self._results.items()}))
        return path

    def _name(self, result: RunResult) -> str:
        """Files of one name may come from several folders, and be run twice."""
        name = name_of(result)
        same = sum(name_of(one) == name for one in self._results.values())
        return f"{name}-{same + 1}" if same else name


def name_of(result: RunResult) -> str:
    """What the files of a run are called."""
    return f"{PurePath(result.file).stem}-{result.seed}{'-control' if result.control else ''}"


def write_run(folder: Path, result: RunResult, *, name: str) -> Path:
    """One run as page and as JSON; returns the page. Raises OSError."""
    write_private(folder / f"{name}.json", f"{result.as_json()}\n")
    return write_private(folder / f"{name}.html", page(result))
