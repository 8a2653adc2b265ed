"""Faults of the git server: it does not answer, answers wrongly, or says something else than before."""

from collections.abc import Sequence
from typing import Any

from fluxlab.faults.base import Fault

from .branch import GitBranchDeleted, GitCommitBurst, GitForcePush
from .server import GitAuthRevoked, GitHang, GitHostKeyChanged, GitReset, GitSlow, GitUnavailable, GitWrongCertificate

FAULTS: Sequence[type[Fault[Any]]] = (
    GitUnavailable,
    GitHang,
    GitSlow,
    GitReset,
    GitAuthRevoked,
    GitWrongCertificate,
    GitForcePush,
    GitBranchDeleted,
    GitCommitBurst,
    GitHostKeyChanged,
)
