"""drift --as-patch: have git say what the cluster says, on a branch, and tell what came of it."""

from typing import TYPE_CHECKING

from .output import say, tell, ticker

if TYPE_CHECKING:
    from fluxlab.adoption.result import Adoption
    from fluxlab.lab import Lab


def adopt(lab: "Lab", cluster: str | None, *, branch: str, as_json: bool) -> int:
    """Adopt what differs in one cluster, or in all; returns the exit code."""
    from fluxlab.adoption.result import as_json as adoption_as_json

    with ticker() as tick:
        adoption = lab.adopt(lab.drift(cluster, progress=tick), branch=branch, progress=tick)
    if as_json:
        print(adoption_as_json(adoption))
    else:
        _show(adoption)
    _tell(adoption, main=lab.repository.branch)
    return adoption.exit_code


def _show(adoption: "Adoption") -> None:
    for one in adoption.adopted:
        tell(f"adopted {one.headline}")
    for one, why in adoption.left:
        tell(f"left {one.headline}\n  {why}")
    for line in adoption.report.unknown:
        tell(f"could not tell: {line}")


def _tell(adoption: "Adoption", *, main: str) -> None:
    if not adoption.commit:
        say(f"{adoption.report.examined} objects compared, nothing adopted: there is no new branch")
        return
    known = len(adoption.report.drifts)
    say(f"{len(adoption.adopted)} of {known} differences adopted by {adoption.commit.short} on {adoption.branch}")
    say("next, in a clone (fluxlab clone):")
    say(f"  git fetch && git diff origin/{main}...origin/{adoption.branch}")
    say(f"  git merge origin/{adoption.branch} && git push    # or: git push origin --delete {adoption.branch}")
