"""Faults that arrive as commits: what git says cannot be built, applied or run."""

from fluxlab.faults.base import FaultTypes

from .forced import Forced, ForcedInvalid
from .refused import EmptyDirectory, ImmutableField, MissingCrd, PathGone, SyntaxErrorFault, UnsetVariable
from .releases import ReleaseBadValues, UnknownVersion
from .rollouts import BadImage, Unhealthy

FAULTS: FaultTypes = (
    SyntaxErrorFault,
    PathGone,
    EmptyDirectory,
    ImmutableField,
    Forced,
    ForcedInvalid,
    UnsetVariable,
    MissingCrd,
    BadImage,
    Unhealthy,
    UnknownVersion,
    ReleaseBadValues,
)
