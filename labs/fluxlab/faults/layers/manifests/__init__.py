"""Faults that arrive as commits: what git says cannot be built, applied or run."""

from collections.abc import Sequence
from typing import Any

from fluxlab.faults.base import Fault

from .refused import EmptyDirectory, ImmutableField, MissingCrd, PathGone, SyntaxErrorFault, UnsetVariable
from .releases import ReleaseBadValues, UnknownVersion
from .rollouts import BadImage, Unhealthy

FAULTS: Sequence[type[Fault[Any]]] = (
    SyntaxErrorFault,
    PathGone,
    EmptyDirectory,
    ImmutableField,
    UnsetVariable,
    MissingCrd,
    BadImage,
    Unhealthy,
    UnknownVersion,
    ReleaseBadValues,
)
