"""The sheet on which the timeline of a run is drawn: what can stand on it, and where a moment is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from fluxlab.pages import offset

TOP, LANE_HEIGHT, TITLE_HEIGHT, ROW_HEIGHT = 30, 42, 18, 30
LONGEST_TITLE = 160
RIGHT_HALF = 60.0
"""In percent: what begins beyond it has its label on the left."""
_TITLES = {"kustomizations": "Kustomizations", "releases": "HelmReleases"}


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Something at one moment."""

    x: float
    """As all x: in percent of the width."""
    y: float
    look: str
    """A shape and colour: info, warning, error, seen, missed, holds, broken, unknown."""
    size: float = 1.0
    title: str


@dataclass(frozen=True, kw_only=True)
class Bar:
    """Something that lasted."""

    x: float
    width: float
    y: float
    look: str
    label: str
    title: str

    @property
    def label_x(self) -> float:
        """Where its label begins, or ends."""
        return self.x + self.width if self.ends else self.x

    @property
    def ends(self) -> bool:
        """Whether its label ends with it, for want of space on the right."""
        return self.x > RIGHT_HALF


@dataclass(frozen=True, kw_only=True)
class Lane:
    """A strip of the drawing."""

    name: str
    title: str
    top: float
    height: float
    marks: Sequence[Mark] = ()
    bars: Sequence[Bar] = ()


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A place on the axis."""

    x: float
    label: str


@dataclass(frozen=True, kw_only=True)
class Milestone:
    """What the whole run was waiting for."""

    x: float
    label: str
    since: str


@dataclass(kw_only=True)
class Canvas:
    """Turns times into places, and puts lanes below each other."""

    begin: datetime
    end: datetime
    zero: datetime
    lanes: list[Lane] = field(default_factory=list)
    bottom: float = TOP

    def x(self, time: datetime) -> float:
        """Where a moment is, in percent; what is outside stands at the edge."""
        share = (time - self.begin) / (self.end - self.begin)
        return round(100 * min(1.0, max(0.0, share)), 2)

    def since(self, time: datetime) -> str:
        """A moment in words."""
        return offset(time, self.zero)

    def bar(self, begin: datetime, end: datetime, *, y: float, look: str, label: str, title: str) -> Bar:
        """Something that lasted, wide enough to be seen."""
        x = self.x(begin)
        return Bar(x=x, width=max(0.3, round(self.x(end) - x, 2)), y=y, look=look, label=label, title=title)

    def mark(self, time: datetime, *, y: float, look: str, title: str, size: float = 1.0) -> Mark:
        """Something at one moment."""
        told = f"{self.since(time)}: {first_line(title)}"
        return Mark(x=self.x(time), y=y, look=look, title=told, size=size)

    def add(self, name: str, *, rows: int = 0, marks: Iterable[Mark] = (), bars: Iterable[Bar] = ()) -> None:
        """Put a lane below the others, with rows or without."""
        height = TITLE_HEIGHT + ROW_HEIGHT * rows if rows else LANE_HEIGHT
        title = _TITLES.get(name, name.capitalize())
        lane = Lane(name=name, title=title, top=self.bottom, height=height, marks=tuple(marks), bars=tuple(bars))
        self.lanes.append(lane)
        self.bottom += height

    @property
    def middle(self) -> float:
        """Of the next lane, if it has no rows."""
        return self.bottom + LANE_HEIGHT - 14

    def row(self, number: int) -> float:
        """The lower part of a row of the next lane; above it there is space for a label."""
        return self.bottom + TITLE_HEIGHT + ROW_HEIGHT * number + ROW_HEIGHT - 9


def first_line(text: str, longest: int = LONGEST_TITLE) -> str:
    """As much of a text as a drawing can hold."""
    line = text.partition("\n")[0]
    return line if len(line) <= longest else f"{line[:longest]} …"
