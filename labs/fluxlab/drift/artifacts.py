"""Which of a commit's files source-controller puts into an artifact: no links, and nothing that a rule takes out.

The rules look like git's and are not: the newest one that says something of a file decides, also of a file in a folder
that an older one takes out; `/**` says nothing. Source: fluxcd/pkg v0.18.0 of `sourceignore` and its fork of go-git's
`gitignore`, `SourceIgnoreFilter` of `artifact/storage`.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

RULES_FILE = ".sourceignore"
_GITS = (".git/", ".gitignore", ".gitmodules", ".gitattributes")
_DEFAULTS = (
    *("*.jpg", "*.jpeg", "*.gif", "*.png", "*.wmv", "*.flv", "*.tar.gz", "*.zip"),
    *(".github/", ".circleci/", ".travis.yml", ".gitlab-ci.yml", "appveyor.yml", ".drone.yml", "cloudbuild.yaml"),
    *("codeship-services.yml", "codeship-steps.yml", "**/.goreleaser.yml", "**/.sops.yaml", "**/.flux.yaml"),
)
"""Where neither the source nor a file has a rule."""
_ANYWHERE = "**"
_TOKEN = re.compile(r"\\(?P<escaped>.)|\[(?P<none>\^?)(?P<among>(?:\\.|[^\]\\])+)\]|(?P<plain>[^\\])", re.DOTALL)
"""Of Go's `filepath.Match`. What is none of these is malformed, and matches nothing."""
_IN_CLASS = re.compile(r"\\.|[^\w-]", re.DOTALL)
_WILD = {"*": ".*", "?": "."}


@dataclass(frozen=True, kw_only=True)
class _Rule:
    """One line of rules."""

    below: Sequence[str]
    """The folder in whose file it stands."""
    steps: Sequence[str]
    keeps: bool
    """Whether it takes back what an older rule takes out."""
    folders: bool
    """Whether it is about folders only, and what is in them."""

    @classmethod
    def of(cls, line: str, below: Sequence[str]) -> "_Rule":
        keeps, said = line.startswith("!"), line.removeprefix("!")
        said = said if said.endswith("\\ ") else said.rstrip(" ")
        return cls(below=below, steps=said.removesuffix("/").split("/"), keeps=keeps, folders=said.endswith("/"))

    def speaks_of(self, file: Sequence[str]) -> bool:
        """Whether it is about a file, or a folder above it."""
        if len(file) <= len(self.below) or file[: len(self.below)] != self.below:
            return False
        rest = file[len(self.below) :]
        if len(self.steps) == 1:
            reached = next((end for end, name in enumerate(rest, 1) if _is_called(name, self.steps[0])), 0)
        else:
            reached = self._reach(rest)
        return reached > 0 and not (self.folders and reached == len(rest))

    def _reach(self, names: Sequence[str]) -> int:
        """How many of the names, one below the other, its steps lead through; 0: another way."""
        reached, anywhere = 0, False
        for number, step in enumerate(self.steps):
            if step == _ANYWHERE and number == len(self.steps) - 1:
                break
            if step in {"", _ANYWHERE}:
                anywhere = step == _ANYWHERE
                continue
            if _ANYWHERE in step:
                return 0
            ahead = range(reached, len(names) if anywhere else min(reached + 1, len(names)))
            found = next((place for place in ahead if _is_called(names[place], step)), None)
            if found is None:
                return 0
            reached, anywhere = found + 1, False
        return reached


def _is_called(name: str, step: str) -> bool:
    pattern = _pattern(step)
    return pattern is not None and pattern.fullmatch(name) is not None


@lru_cache(maxsize=1024)
def _pattern(step: str) -> re.Pattern[str] | None:
    """What Go's `filepath.Match` takes a step for; None for what is malformed, which matches nothing."""
    pattern, end = "", 0
    for token in _TOKEN.finditer(step):
        if token.start() != end or token["plain"] == "[":
            return None
        end = token.end()
        if token["among"]:
            pattern += f"[{token['none']}{_IN_CLASS.sub(_escaped, token['among'])}]"
        else:
            pattern += _WILD.get(token["plain"] or "") or re.escape(token["escaped"] or token["plain"])
    try:
        return re.compile(pattern, re.DOTALL) if end == len(step) else None
    except re.error:  # a range that ends before it begins
        return None


def _escaped(found: re.Match[str]) -> str:
    return re.escape(found[0][-1])


def _rules(tree: Path, ignore: str) -> Sequence[_Rule]:
    """All rules of a tree, the oldest first: of folders before those in them, at last those of the source itself."""
    texts = [(below, (tree / Path(*below) / RULES_FILE).read_text("utf-8", "replace")) for below in _ruled(tree)]
    told = [
        _Rule.of(line, below)
        for below, text in [*sorted(texts, key=lambda one: len(one[0])), ((), ignore)]
        for line in text.replace("\r\n", "\n").split("\n")
        if line.strip() and not line.startswith("#")
    ]
    return [_Rule.of(line, ()) for line in (*_GITS, *(() if told else _DEFAULTS))] + told


def _ruled(tree: Path) -> Iterator[tuple[str, ...]]:
    """The folders that have rules: a link that leads to none, or out of the tree, has none."""
    for folder, _, files in os.walk(tree):
        file = Path(folder) / RULES_FILE
        if RULES_FILE in files and file.is_file() and file.resolve().is_relative_to(tree.resolve()):
            yield Path(folder).relative_to(tree).parts


def keep_artifact(tree: Path, *, ignore: str = "") -> None:
    """Remove from a commit's files what is not in an artifact of a source with such a `.spec.ignore`."""
    rules = _rules(tree, ignore)
    for folder, folders, files in os.walk(tree):
        for name in (*files, *folders):
            file = Path(folder) / name
            if file.is_symlink() or (name in files and _is_left_out(file.relative_to(tree).parts, rules)):
                file.unlink()


def _is_left_out(file: Sequence[str], rules: Sequence[_Rule]) -> bool:
    newest = next((rule for rule in reversed(rules) if rule.speaks_of(file)), None)
    return newest is not None and not newest.keeps
