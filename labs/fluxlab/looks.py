"""Look at all clusters of a lab for one commit, again and again, while others may push more.

Looking must not slow down what it waits for: between two whole looks only one object is asked for, without whose change
nothing can have arrived.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, partial

from .cluster import Cluster
from .clusters.api import ApiError, KubeApi
from .clusters.objects import KubeObject
from .clusters.secret_values import learn
from .command_lines import with_options
from .errors import FluxlabError, UsageError
from .flux.look import Convergence, Target, look
from .flux.pending import Blocker
from .flux.release_values import ReleaseValues
from .moments import Commit
from .redaction import Redactor
from .repository import Repository
from .spec import LabSpec
from .state import described_labs

ASK_GIT_SECONDS = 1.0
"""How often git is asked what else was pushed while a commit is waited for: each time costs two processes."""
LOOK_ANYWAY_SECONDS = 0.5
"""How long one object that must change is asked for instead of all: a whole look costs ten requests, 25 ms of CPU."""
HIDDEN = "why is not shown: the cluster's Secrets, which it might quote, cannot be read to be masked"


class Looks:
    """Called, it looks at each cluster once, or says the same again where what must change has not changed."""

    def __init__(
        self,
        *,
        lab: str,
        repository: Repository,
        clusters: Mapping[str, Cluster],
        commit: Commit | str | None,
        redactor: Redactor,
        mended: Callable[[], datetime | None] = lambda: None,
        before: Callable[[str], str] = lambda _: "",
    ) -> None:
        """`redactor` masks what the lab knows to be secret; it learns the Secrets of the clusters.

        `mended` tells when something that was broken on purpose was taken out last, `before` what the branch was at
        before a commit was pushed to it: empty where nobody knows.
        `commit` None is the branch's head as it is now. Raises UsageError for one that was not pushed.
        """
        if commit == "":
            raise UsageError("an empty text is no commit", hint="leave it out for the branch's head")
        self._lab = lab
        self._repository = repository
        self._clusters = clusters
        self._masked = {name: _Masked(one, redactor) for name, one in clusters.items()}
        self._values = {name: ReleaseValues(one.api, partial(_composed, one)) for name, one in clusters.items()}
        self._mended = mended
        self._commit = repository.resolve(str(commit)) if commit else repository.head()
        self._before = before
        self._follows = commit.follows if isinstance(commit, Commit) else ""
        self._text_at = cache(lambda commit: cache(partial(repository.text, commit)))
        self._accepted: frozenset[str] = frozenset()
        self._asked_at = -math.inf
        self._last: dict[str, _Last] = {}

    def __call__(self) -> Sequence[Convergence]:
        """One look at each cluster. Raises FluxlabError when the branch lost the commit, or one cannot be read."""
        target = self._target()
        return [self._look(name, one, target) for name, one in self._clusters.items()]

    def _look(self, name: str, cluster: Cluster, target: Target) -> Convergence:
        last = self._last.get(name)
        if last and last.stands(cluster.api):
            return last.shown
        began = time.monotonic()
        there = replace(target, url=cluster.root.url or target.url)
        seen, blocker = look(cluster.api, there, cluster=name, values=self._values[name])
        shown = self._addressed(self._masked[name].of(seen))
        self._last[name] = _Last(began=began, shown=shown, blocker=blocker)
        return shown

    def _target(self) -> Target:
        repository = self._repository
        if time.monotonic() - self._asked_at > ASK_GIT_SECONDS:
            self._accepted, self._asked_at = repository.since(self._commit), time.monotonic()
        if not self._accepted:
            raise FluxlabError(
                f"commit {self._commit[:10]} is not on branch {repository.branch} (any more)",
                facts=[f"the branch is at {repository.head()[:10]}"],
            )
        return Target(
            url=repository.url,
            branch=repository.branch,
            commit=self._commit,
            accepted=self._accepted,
            text=self._text_at(self._commit),
            text_at=self._text_at,
            before=self._before_push,
            mended=self._mended(),
        )

    def _before_push(self) -> str:
        self._follows = self._follows or self._before(self._commit)
        return self._follows

    def _addressed(self, seen: Convergence) -> Convergence:
        """With commands that say which lab and which cluster they are for, where that is not plain."""
        lab = lab_option(self._lab)
        options = lab + (f" --cluster {seen.cluster}" if len(self._clusters) > 1 else "")
        pending = (replace(each, next=with_options(each.next, options)) if each.next else each for each in seen.pending)
        return replace(seen, pending=tuple(pending))


@dataclass(frozen=True, kw_only=True)
class _Last:
    """The last whole look at a cluster."""

    began: float
    shown: Convergence
    blocker: Blocker | None

    def stands(self, api: KubeApi) -> bool:
        """Whether another look would say the same."""
        recent = time.monotonic() - self.began < LOOK_ANYWAY_SECONDS
        return recent and self.blocker is not None and self.blocker.stands(api)


class _Masked:
    """What looks at one cluster say, without the values of its Secrets.

    Conditions quote what the API refuses, value and all: also what Flux substituted from a Secret.
    """

    def __init__(self, cluster: Cluster, redactor: Redactor) -> None:
        self._cluster = cluster
        self._redactor = redactor
        self._told: dict[str, str] = {}

    def of(self, seen: Convergence) -> Convergence:
        """A look that may be shown. The Secrets are read only when there is something new to say."""
        if not self._know({pending.why for pending in seen.pending} - self._told.keys()):
            return replace(seen, pending=tuple(replace(pending, why=HIDDEN) for pending in seen.pending))
        return replace(seen, pending=tuple(replace(pending, why=self._told[pending.why]) for pending in seen.pending))

    def _know(self, texts: set[str]) -> bool:
        try:
            if texts:
                learn(self._redactor.add, self._cluster.api)
        except ApiError:
            return False
        self._told |= {text: self._redactor.redact(text) for text in texts}
        return True


def _composed(cluster: Cluster, release: KubeObject) -> str:
    return cluster.flux("debug", "helmrelease", release.name, f"--namespace={release.namespace}", "--show-values")


def lab_option(lab: str) -> str:
    """What a command has to say so that it is for this lab: nothing in the playground, while there is no other lab."""
    return f" --lab {lab}" if lab != LabSpec().name or len(described_labs()) > 1 else ""
