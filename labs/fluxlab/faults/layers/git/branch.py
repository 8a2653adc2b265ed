"""Faults in what the git server says: another history, no branch any more, many commits in quick succession."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

from pydantic import Field

from fluxlab.errors import FluxlabError, UsageError
from fluxlab.faults.base import Fault, Ground, Injection, Layer, NoParameters, P, Parameters, Plan
from fluxlab.faults.means.taking_up import have_taken_up

from .history import History

REWRITTEN = "Rewrite history"
TAKEN_UP_SECONDS = 15.0


class HistoryFault(Fault[P]):
    """A fault of the branch that the cluster reconciles; the target is the host that serves it."""

    layer = Layer.GIT

    def candidates(self, ground: Ground) -> Sequence[str]:
        return [urlsplit(ground.repository.url).netloc]

    def plan(self, ground: Ground, target: str, parameters: P, random: Random) -> Plan:
        del target, parameters, random
        history = History(ground)
        return Plan(touches=frozenset({f"branch:{history.branch}"}), undo={"commit": ground.repository.head()})


class ForcePushParameters(Parameters):
    """How much."""

    commits: int = Field(1, ge=1, le=50, description="how many of the newest become one commit with the same content")


class GitForcePush(HistoryFault[ForcePushParameters]):
    """Somebody has rewritten the branch, and the server has forgotten what was there."""

    name = "git-force-push"
    summary = "the newest commits are replaced by one with the same content, and the server has dropped them (gc)"
    expect = (
        "no signal: the new head is adopted at once, and nothing is pruned; only a source pinned to the commit fails"
    )
    parameters = ForcePushParameters

    def plan(self, ground: Ground, target: str, parameters: ForcePushParameters, random: Random) -> Plan:
        plan = super().plan(ground, target, parameters, random)
        commit = str(plan.undo["commit"])
        if others := History(ground).others(commit):
            raise UsageError(f"{self.name}: commit {commit[:10]} would not be lost", facts=[f"{others[0]} has it, too"])
        return plan

    def inject(self, ground: Ground, injection: Injection[ForcePushParameters]) -> None:
        history, commit = History(ground), injection.text("commit")
        history.git("bundle", "create", "--quiet", _bundle(ground, injection), history.ref)
        below = history.before(commit, steps=injection.parameters.commits)
        history.replace(commit, history.commit(history.tree(commit), *filter(None, [below]), message=REWRITTEN))
        history.git("gc", "--quiet", "--prune=now")

    def injected(self, ground: Ground, injection: Injection[ForcePushParameters]) -> str:
        history, commit = History(ground), injection.text("commit")
        head = history.head()
        lost = head and head != commit and not history.gives(commit)
        return (
            f"{history.branch} is at {head[:10]}, and the server does not give {commit[:10]} any more" if lost else ""
        )

    def heal(self, ground: Ground, injection: Injection[ForcePushParameters]) -> None:
        history, commit, bundle = History(ground), injection.text("commit"), _bundle(ground, injection)
        if not history.holds(commit):
            history.git("bundle", "unbundle", bundle)
        history.give_back(commit, substitute=_substitute(history, commit, steps=injection.parameters.commits))
        if not history.gives(commit):
            raise FluxlabError(f"the server does not give commit {commit[:10]}", facts=[f"it is in {bundle}"])
        for file in bundle.parent.glob(f"{bundle.name}*"):  # also what git made of it when it was cut off
            file.unlink()
        have_taken_up(ground, history.head(), timeout_seconds=TAKEN_UP_SECONDS)

    def healed(self, ground: Ground, injection: Injection[ForcePushParameters]) -> str:
        return _has_again(ground, injection.text("commit"))

    def by_hand(self, ground: Ground, injection: Injection[ForcePushParameters]) -> Sequence[str]:
        git = f"git --git-dir={shlex.quote(str(History(ground).folder))}"
        return [
            f"{git} bundle unbundle {shlex.quote(str(_bundle(ground, injection)))}",
            f"{git} update-ref {History(ground).ref} {injection.text('commit')}",
        ]


def _substitute(history: History, commit: str, *, steps: int) -> str:
    """What a rewritten history ends with in place of a commit; empty when something else was pushed upon it."""
    head = history.head()
    if not head or history.message(head) != REWRITTEN or history.tree(head) != history.tree(commit):
        return ""
    return head if history.before(head, steps=1) == history.before(commit, steps=steps) else ""


def _bundle(ground: Ground, injection: Injection[ForcePushParameters]) -> Path:
    """Where the old history is kept: beside the record of the injection."""
    return ground.folder.root / "faults" / f"{injection.id}.bundle"


def _has_again(ground: Ground, commit: str) -> str:
    history = History(ground)
    head = history.head()
    if not head or not history.contains(head, commit) or not history.gives(commit):
        return ""
    return f"{history.branch} is at {head[:10]}, and the server gives {commit[:10]}"


class GitBranchDeleted(HistoryFault[NoParameters]):
    """Somebody has deleted the branch."""

    name = "git-branch-deleted"
    summary = "the branch that Flux follows is deleted on the git server"
    expect = (
        "GitOperationFailed `couldn't find remote ref` at once; the last artifact stays, and Kustomizations stay Ready"
    )

    def inject(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        # As at a public host: another branch has to be the default one before this one can go.
        history, other = History(ground), f"refs/heads/{injection.id}"
        history.git("update-ref", other, injection.text("commit"))
        history.git("symbolic-ref", "HEAD", other)
        history.replace(injection.text("commit"), "")

    def injected(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        del injection
        history = History(ground)
        return "" if history.head() else f"the server lists no {history.ref}"

    def heal(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        history = History(ground)
        history.git("symbolic-ref", "HEAD", history.ref)
        history.give_back(injection.text("commit"))
        history.git("update-ref", "-d", f"refs/heads/{injection.id}")

    def healed(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        return _has_again(ground, injection.text("commit"))

    def by_hand(self, ground: Ground, injection: Injection[NoParameters]) -> Sequence[str]:
        history = History(ground)
        git = f"git --git-dir={shlex.quote(str(history.folder))}"
        return [
            f"{git} symbolic-ref HEAD {history.ref}",
            f"{git} update-ref {history.ref} {injection.text('commit')}",
            f"{git} update-ref -d refs/heads/{injection.id}",
        ]


class BurstParameters(Parameters):
    """How many."""

    commits: int = Field(10, ge=2, le=50, description="pushed one by one")


class GitCommitBurst(HistoryFault[BurstParameters]):
    """Many commits come while Flux is busy with the first."""

    name = "git-commit-burst"
    summary = "commits are pushed one by one in quick succession, each of which changes a file that nobody applies"
    expect = "commits in between may be skipped; the last one is fetched and applied like any other"
    parameters = BurstParameters

    def plan(self, ground: Ground, target: str, parameters: BurstParameters, random: Random) -> Plan:
        plan = super().plan(ground, target, parameters, random)
        return Plan(touches=plan.touches, undo={**plan.undo, "path": f"burst-{random.randbytes(4).hex()}.txt"})

    def inject(self, ground: Ground, injection: Injection[BurstParameters]) -> None:
        history, path, last = History(ground), injection.text("path"), injection.parameters.commits
        head = injection.text("commit")
        for number in range(1, last + 1):
            tree = history.changed_tree(head, path, _line(number, last))
            head = history.commit(tree, head, message=f"Change {path}, {_line(number, last)}")
            history.push(head)

    def injected(self, ground: Ground, injection: Injection[BurstParameters]) -> str:
        path, last = injection.text("path"), injection.parameters.commits
        count, text = History(ground).log(path, depth=last + 1)
        return f"{count} commits change {path}" if (count, text) == (last, _line(last, last)) else ""

    def heal(self, ground: Ground, injection: Injection[BurstParameters]) -> None:
        history, path = History(ground), injection.text("path")
        head = history.head()
        if history.has(head, path):
            history.push(history.commit(history.changed_tree(head, path, None), head, message=f"Remove {path}"))

    def healed(self, ground: Ground, injection: Injection[BurstParameters]) -> str:
        path = injection.text("path")
        _, text = History(ground).log(path, depth=1)
        return "" if text else f"a clone has no {path}"

    def by_hand(self, ground: Ground, injection: Injection[BurstParameters]) -> Sequence[str]:
        path = injection.text("path")
        return [
            f"fluxlab clone burst --lab {ground.folder.name}",
            f"cd burst && git rm {path} && git commit -m 'Remove {path}' && git push",
        ]


def _line(number: int, last: int) -> str:
    return f"number {number} of {last}"
