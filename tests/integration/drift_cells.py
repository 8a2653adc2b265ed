"""The table of edits by hand, `drift_matrix.md`, as the tests read it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from fluxlab.documents import Json

TABLE = Path(__file__).with_name("drift_matrix.md")


class Outcome(StrEnum):
    """What becomes of an edit, by the signs of the table."""

    REVERTED = "R"
    KEPT = "K"
    UPGRADED = "U"
    WARNED = "W"
    NOTHING = "="
    DISOWNED = "~"


@dataclass(frozen=True)
class Edit:
    """What is done to an object, and what has to be reported of it."""

    name: str
    kind: str
    class_: str
    pointer: str
    desired: Json
    live: Json


@dataclass(frozen=True)
class Cell:
    """One edit of an owner's object by an actor."""

    edit: Edit
    owner: str
    """In whose namespace of the same name the object is."""
    actor: str
    known_as: str
    """A part of what is to be reported of the program."""
    outcome: Outcome
    quick: bool = False
    """Whether it belongs to the representative ones."""

    @property
    def id(self) -> str:
        """`scale-override-kubectl`."""
        return f"{self.edit.name}-{self.owner}-{self.actor}"

    @property
    def name(self) -> str:
        """What the object is called."""
        return f"{self.edit.name}-{self.actor}"

    @property
    def release(self) -> str:
        """The HelmRelease that owns the object, if a mode of drift detection does: Helm by hand has one of its own.

        There is one for each edit, not one for all: what helm-controller says of a release is one event.
        """
        return self.name if self.actor == "helm" else self.edit.name

    @property
    def subject(self) -> str:
        """As reports name the object."""
        return f"{self.edit.kind} {self.owner}/{self.name}"

    @property
    def word(self) -> str:
        """As Flux names the object."""
        return f"{self.edit.kind}/{self.owner}/{self.name}"


def cells() -> Iterator[Cell]:
    """All cells that are possible."""
    known_as = {row["actor"]: row["is known as"] for row in tables()["Actors"]}
    for row in tables()["Edits"]:
        values = (json.loads(row[column] or "null") for column in ("git wants", "there is"))
        edit = Edit(row["edit"], row["kind"], row["class"], row["pointer"], *values)
        for line in tables()[edit.name]:
            for actor, sign in line.items():
                if actor != "owner" and not sign.isdigit():
                    outcome = Outcome(sign.strip("*"))
                    yield Cell(edit, line["owner"], actor, known_as[actor], outcome, quick=sign.startswith("*"))


@cache
def tables(file: Path = TABLE) -> Mapping[str, list[Mapping[str, str]]]:
    """The rows of each table of a file by its heading."""
    found: dict[str, list[Mapping[str, str]]] = {}
    for section in file.read_text().split("\n## ")[1:]:
        title, _, text = section.partition("\n")
        head, _, *rows = [_columns(line) for line in text.splitlines() if line.startswith("|")]
        found[title] = [dict(zip(head, row, strict=True)) for row in rows]
    return found


def _columns(line: str) -> list[str]:
    return [column.strip() for column in line.strip("|").split("|")]
