"""Errors for people: what happened to which object, the last facts seen, and what to type next."""

from collections.abc import Sequence


class FluxlabError(Exception):
    """A claim that turned out false, or a step that failed.

    `what` is one sentence naming the object; `facts` are the last things seen (a log line, a condition);
    `hint` is what to type next. The command line prints all three and exits with `exit_code`.
    """

    exit_code = 1

    def __init__(self, what: str, *, facts: Sequence[str] = (), hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.facts = tuple(facts)
        self.hint = hint

    def __str__(self) -> str:
        lines = [self.what, *(f"  {line}" for fact in self.facts for line in fact.splitlines())]
        if self.hint:
            lines.append(f"next: {self.hint}")
        return "\n".join(lines)


class UnknownError(FluxlabError):
    """The question could not be answered: neither true nor false (exit code 2)."""

    exit_code = 2


class UsageError(FluxlabError):
    """What was asked makes no sense: a wrong field, an unknown name, flags that conflict (exit code 64)."""

    exit_code = 64


class WaitTimeoutError(FluxlabError):
    """A condition did not come true in time; the facts quote the last state seen."""
