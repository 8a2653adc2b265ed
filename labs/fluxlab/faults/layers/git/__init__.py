"""Faults of the git server: it does not answer, answers wrongly, or says something else than before."""

from fluxlab.faults.base import FaultTypes

from .branch import GitBranchDeleted, GitCommitBurst, GitForcePush
from .server import GitAuthRevoked, GitHang, GitHostKeyChanged, GitReset, GitSlow, GitUnavailable, GitWrongCertificate

FAULTS: FaultTypes = (
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
