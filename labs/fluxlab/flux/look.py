"""One look at one cluster: what of a commit has arrived, and what has not and why.

Sources are read first, then Kustomizations, then HelmReleases, then workloads: what an earlier reading caused is in
the later ones, so a Ready of the old revision can never be taken for that of the new one. All conditions are judged
at the object's current generation.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from http import HTTPStatus

from fluxlab.clusters.api import ApiError, KubeApi
from fluxlab.clusters.loans import SUSPEND, is_lent
from fluxlab.clusters.objects import KubeObject, number_at, text_at
from fluxlab.clusters.resources import (
    BUCKET,
    GIT_REPOSITORY,
    HELM_CHART,
    HELM_RELEASE,
    HELM_REPOSITORY,
    KUSTOMIZATION,
    OCI_REPOSITORY,
    WORKLOADS,
    Resource,
)

from .charts import (
    asked_for,
    chart_not_in_use,
    chart_reference,
    charts_of,
    follows_a_chart,
    short_revision,
    wanted_chart,
)
from .overlays import Text
from .ownership import HELM_LABEL, KUSTOMIZE_LABEL, depth, git_source, owner, parent, tried_revision
from .pending import Blocker, Outlook, Pending, failed, waiting
from .release_values import ReleaseValues
from .rollout import rollout
from .substitution import (
    decryption_problem,
    doubtful_values,
    substitution_problem,
    variable_sources,
    variables_not_in_use,
    with_literal_variables,
)
from .suspension import never_arrives, parked, same_below, same_but_suspended, same_chart
from .verdicts import has_given_up, kustomization_failure, not_ready, not_since, under_way


@dataclass(frozen=True, kw_only=True)
class Target:
    """The commit that should arrive, and from where; `accepted` holds it and all later commits of the branch."""

    url: str
    branch: str
    commit: str
    accepted: frozenset[str]
    text: Text = lambda _: ""
    """What the repository says below a path, for those whose build fails."""
    text_at: Callable[[str], Text] = lambda _: lambda _: ""
    """The same at another commit, for those that are suspended."""
    before: Callable[[], str] = lambda: ""
    """What the branch was at before the push that brought the commit; empty where nobody knows: its parent counts."""
    mended: datetime | None = None
    """When something that was broken on purpose was taken out last: what failed before may not fail again."""

    @property
    def text_before(self) -> Text:
        """What the repository said before the commit, and before those that were pushed with it."""
        return self.text_at(self.before() or f"{self.commit}^")


@dataclass(frozen=True, kw_only=True)
class Convergence:
    """One look at one cluster: what has arrived, and what has not and why."""

    cluster: str
    commit: str
    arrived: tuple[str, ...]
    pending: tuple[Pending, ...]
    warnings: tuple[str, ...] = ()
    """What has arrived otherwise than somebody meant it, as it seems."""

    @property
    def converged(self) -> bool:
        """Whether everything has arrived, and there was something to arrive."""
        return bool(self.arrived) and not self.pending

    @property
    def asks(self) -> bool:
        """Whether nothing is missing but what a person must give."""
        return bool(self.arrived) and all(pending.asks for pending in self.pending)

    @property
    def failures(self) -> tuple[Pending, ...]:
        """What will not arrive at this revision."""
        return tuple(pending for pending in self.pending if pending.outlook is Outlook.FAILED)


def look(api: KubeApi, target: Target, *, cluster: str, values: ReleaseValues) -> tuple[Convergence, Blocker | None]:
    """One look at a cluster, and one of what is pending that must change before the commit can have arrived, if any.

    Raises ApiError or ApiUnreachableError when the cluster cannot be read.
    """
    seen = _Look(api, target, values)
    seen.take()
    found = Convergence(
        cluster=cluster,
        commit=target.commit,
        arrived=tuple(seen.arrived),
        pending=tuple(seen.pending),
        warnings=tuple(seen.warnings),
    )
    return found, seen.blocker


class _Look:
    """Collects what one look sees."""

    def __init__(self, api: KubeApi, target: Target, values: ReleaseValues) -> None:
        self._api = api
        self._target = target
        self._values = values
        self.arrived: list[str] = []
        self.pending: list[Pending] = []
        self.warnings: list[str] = []
        self.blocker: Blocker | None = None
        self._following: dict[tuple[str, str], KubeObject] = {}
        """The Kustomizations that are built from the branch."""
        self._followers: set[tuple[str, str]] = set()
        """The GitRepositories that follow the branch."""
        self._elsewhere: list[tuple[Resource, KubeObject]] = []
        """GitRepositories and Kustomizations that do not follow the branch."""

    def _judge(self, resource: Resource, subject: KubeObject, verdict: Pending | None) -> bool:
        if subject.deleting:  # whatever it says of itself, the commit does without it
            verdict = waiting(subject, "is being deleted")
        if verdict is None:
            self.arrived.append(str(subject))
            return True
        self.pending.append(verdict)
        # One that says itself that it is not ready will have changed when it is. What is suspended says nothing.
        if not self.blocker and not subject.suspended and self._not_ready(subject):
            self.blocker = Blocker.of(resource, subject)
        return False

    def _not_ready(self, subject: KubeObject) -> Pending | None:
        return not_since(subject, not_ready(subject), self._target.mended)

    def take(self) -> None:
        """Read stage after stage; a later stage is read only where an earlier one has arrived."""
        sources = {_id(source) for source in self._sources()}
        if not sources:
            return
        kustomizations = list(self._kustomizations(sources))
        for one in kustomizations:
            self.warnings += doubtful_values(one, api=self._api, text=self._target.text)
        if not kustomizations:
            return
        self._brought(_accountable(kustomizations), sources)
        releases = list(self._releases({_id(one) for one in kustomizations}, sources))
        self._workloads(_accountable(kustomizations), _accountable(releases))

    def _sources(self) -> Iterator[KubeObject]:
        found = self._api.list(GIT_REPOSITORY)
        following = [source for source in found if self._follows(source)]
        self._followers = {_id(source) for source in following}
        self._elsewhere = [(GIT_REPOSITORY, source) for source in found if _id(source) not in self._followers]
        if not following:
            nothing = f"no GitRepository follows branch {self._target.branch} of {self._target.url}"
            self.pending.append(Pending(object="the cluster", outlook=Outlook.WAITING, why=nothing))
        for source in following:
            if self._judge(GIT_REPOSITORY, source, self._source_verdict(source)):
                yield source

    def _follows(self, source: KubeObject) -> bool:
        same_url = text_at(source.raw, "spec", "url").removesuffix(".git") == self._target.url.removesuffix(".git")
        reference = source.raw["spec"]
        pinned = any(text_at(reference, "ref", field) for field in ("commit", "semver", "tag"))
        # A name wins over a branch, and a source without any reference follows Flux's default.
        name = text_at(reference, "ref", "name") or f"refs/heads/{text_at(reference, 'ref', 'branch') or 'master'}"
        return same_url and not pinned and name == f"refs/heads/{self._target.branch}"

    def _source_verdict(self, source: KubeObject) -> Pending | None:
        revision = text_at(source.raw, "status", "artifact", "revision")
        if not self._accepts(revision):
            verdict = self._not_ready(source)
            why = f" ({verdict.why})" if verdict else ""
            outlook = failed if verdict and verdict.outlook is Outlook.FAILED else waiting
            return outlook(source, f"its artifact is at {short_revision(revision) or 'no revision'}{why}")
        return self._unsettled(source)

    def _unsettled(self, subject: KubeObject) -> Pending | None:
        """Why an object is not ready of which the commit says that it is there; suspended, it is as it should be."""
        meant = subject.suspended and not is_lent(subject, SUSPEND) and not under_way(subject)
        return None if meant else self._not_ready(subject)

    def _kustomizations(self, sources: set[tuple[str, str]]) -> Iterator[KubeObject]:
        """Parents before children: what a commit removes may fail until its parent has applied that commit."""
        found = self._api.list(KUSTOMIZATION)
        following = {one.reference: one for one in found if git_source(one) in sources}
        self._elsewhere += [(KUSTOMIZATION, one) for one in found if git_source(one) not in self._followers]
        self._following = {_id(one): one for one in following.values()}
        arrived: set[tuple[str, str]] = set()
        for kustomization in sorted(following.values(), key=lambda found: depth(found, following)):
            above = parent(kustomization, following)
            if above and _id(above) not in arrived:
                self.pending.append(waiting(kustomization, f"{above} has not applied this commit yet"))
            elif self._judge(KUSTOMIZATION, kustomization, self._kustomization_verdict(kustomization)):
                arrived.add(_id(kustomization))
                yield kustomization

    def _kustomization_verdict(self, kustomization: KubeObject) -> Pending | None:
        applied = text_at(kustomization.raw, "status", "lastAppliedRevision")
        if kustomization.suspended and not (under_way(kustomization) and self._accepts(tried_revision(kustomization))):
            return self._suspended_kustomization(kustomization, applied)
        if self._accepts(tried_revision(kustomization)):
            problem = substitution_problem(kustomization, api=self._api, text=self._target.text)
            problem = problem or decryption_problem(kustomization, api=self._api, text=self._target.text)
            failure = kustomization_failure(kustomization, api=self._api)
            if problem or failure:
                return problem or not_since(kustomization, failure, self._target.mended)
        verdict = self._not_ready(kustomization)
        if verdict or self._accepts(applied):
            return verdict or self._variables_not_in_use(kustomization)
        # Mostly it is about to begin. But of a source that goes back to what it attempted last it may not have heard.
        again = text_at(kustomization.raw, "spec", "interval")
        return waiting(
            kustomization,
            f"has applied {short_revision(applied) or 'no revision'}, and looks by itself within {again}",
            next_=_reconcile_command(kustomization),
        )

    def _variables_not_in_use(self, kustomization: KubeObject) -> Pending | None:
        why = variables_not_in_use(kustomization, api=self._api, text=self._target.text, of=self._following.keys())
        if not why:
            return None
        again = text_at(kustomization.raw, "spec", "interval")
        why = f"{why}, and looks by itself within {again}"
        return waiting(kustomization, why, next_=_reconcile_command(kustomization))

    def _suspended_kustomization(self, kustomization: KubeObject, applied: str) -> Pending | None:
        target, path = self._target, text_at(kustomization.raw, "spec", "path")
        if (
            self._parked(kustomization)
            and same_below(kustomization, target.text_before, target.text)
            and self._says_nothing_of(partial(variable_sources, kustomization, api=self._api))
        ):
            return None
        ready = kustomization.condition("Ready")
        since = target.text_at(applied.rpartition(":")[2])
        if not applied or (ready and ready.status == "False"):
            return never_arrives(kustomization, "what it had not applied does not arrive")
        if not self._accepts(applied) and not same_below(kustomization, since, target.text):
            return never_arrives(
                kustomization, f"what changed in {path or './'} since {short_revision(applied)} does not arrive"
            )
        if self._says_anew(kustomization):
            return never_arrives(kustomization, "what this commit changes of its spec does not arrive")
        return None

    def _suspended_release(self, release: KubeObject, chart: KubeObject | None) -> Pending | None:
        if self._parked(release) and self._same_below(release, chart):
            return None
        ready = release.condition("Ready")
        if ready is None or ready.status != "True":
            return never_arrives(release, f"what it had not released does not arrive{f' ({ready})' if ready else ''}")
        if chart and chart_not_in_use(release, chart):
            return never_arrives(release, f"what changed in its {chart} does not arrive")
        if self._says_anew(release):
            return never_arrives(release, "what this commit changes of its spec does not arrive")
        if why := self._values.not_in_use(release):
            return never_arrives(release, f"it {why}")
        return None

    def _parked(self, subject: KubeObject) -> bool:
        """Whether git had it suspended before the commit already, which says nothing else of it; if in doubt, not.

        What applies it may patch it.
        """
        target, by = self._target, self._applied_by(subject)
        if by is None or self._says_else(by):
            return False
        return parked(subject, by, target.text_before, target.text)

    def _same_below(self, release: KubeObject, chart: KubeObject | None) -> bool:
        """Whether the commit changes nothing of what a release is made from; if in doubt, it does."""
        target, wanted = self._target, asked_for(release, chart)
        from_git = wanted is not None and git_source(wanted) in self._followers
        if wanted and from_git and not same_chart(wanted, target.text_before, target.text):
            return False
        if chart and self._says_else(chart):
            return False
        return self._says_nothing_of(partial(self._values.read, release))

    def _says_nothing_of(self, read: Callable[[], Sequence[KubeObject]]) -> bool:
        try:
            return not any(map(self._says_else, read()))
        except ApiError as error:
            if error.status not in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
                raise
            return False  # not everybody may read Secrets

    def _says_anew(self, subject: KubeObject) -> bool:
        """Whether the commit says something of an object that its controller has not acted on; if in doubt, it does.

        The observed generation tells nothing: helm-controller sets it of what is suspended, too.
        """
        attempted = number_at(subject.raw, "status", "lastAttemptedGeneration")
        return attempted != subject.generation and self._says_else(subject)

    def _says_else(self, subject: KubeObject) -> bool:
        """Whether the commit says something else of an object than was said before; if in doubt, it does."""
        target, by = self._target, self._applied_by(subject)
        if by is None or same_below(by, target.text_before, target.text):
            return False
        return not same_but_suspended(subject, by, target.text_before, target.text)

    def _applied_by(self, subject: KubeObject) -> KubeObject | None:
        """The Kustomization that applied an object, if it is built from the branch."""
        return self._following.get(owner(subject, KUSTOMIZE_LABEL))

    def _brought(self, applied: set[tuple[str, str]], sources: set[tuple[str, str]]) -> None:
        """What the commit has of sources, and of what follows other ones: at no revision of it, but to be ready."""
        kinds = (HELM_REPOSITORY, OCI_REPOSITORY, BUCKET, HELM_CHART)
        listed = [(kind, source) for kind in kinds for source in self._api.list(kind)]
        for resource, subject in (*listed, *self._elsewhere):
            # A HelmRepository of type oci is only an address: no controller reconciles it.
            if owner(subject, KUSTOMIZE_LABEL) in applied and text_at(subject.raw, "spec", "type") != "oci":
                stale = self._stale_chart(subject) if resource == HELM_CHART and git_source(subject) in sources else ""
                self._judge(resource, subject, waiting(subject, stale) if stale else self._unsettled(subject))

    def _releases(self, applied: set[tuple[str, str]], sources: set[tuple[str, str]]) -> Iterator[KubeObject]:
        """Those that Kustomizations applied, then those that the charts of these brought."""
        left, arrived = list(self._api.list(HELM_RELEASE)), set[tuple[str, str]]()
        while now := [
            one for one in left if owner(one, KUSTOMIZE_LABEL) in applied or owner(one, HELM_LABEL) in arrived
        ]:
            left = [one for one in left if one not in now]
            for release in self._released(now, sources):
                arrived.add(_id(release))
                yield release

    def _released(self, releases: Sequence[KubeObject], sources: set[tuple[str, str]]) -> Iterator[KubeObject]:
        charts = charts_of(releases, api=self._api)
        for release in releases:
            chart = charts.get(chart_reference(release))
            from_git = chart is not None and git_source(chart) in sources
            followed = chart if from_git or follows_a_chart(release) else None
            if release.suspended and not under_way(release):
                if self._judge(HELM_RELEASE, release, self._suspended_release(release, followed)):
                    yield release
                continue
            verdict = self._release_verdict(release, chart)
            if chart and from_git and (stale := self._stale_chart(chart)):
                verdict = waiting(release, f"waits for {chart} ({wanted_chart(chart)}): {stale}")
            elif followed:
                verdict = verdict or chart_not_in_use(release, followed)
            verdict = verdict or self._values_not_in_use(release)
            if verdict:
                verdict = with_literal_variables(
                    release, verdict, by=self._applied_by(release), api=self._api, text=self._target.text
                )
            if self._judge(HELM_RELEASE, release, verdict):
                yield release

    def _release_verdict(self, release: KubeObject, chart: KubeObject | None) -> Pending | None:
        verdict = self._not_ready(release)
        cause = self._not_ready(chart) if verdict and chart and not chart.deleting else None
        if cause is None or chart is None:
            return (self._untried(release, chart) if verdict and has_given_up(release) else None) or verdict
        outlook = failed if cause.outlook is Outlook.FAILED else waiting
        return outlook(release, f"waits for {chart} ({wanted_chart(chart)}): {cause.why}")

    def _untried(self, release: KubeObject, chart: KubeObject | None) -> Pending | None:
        """What a release that has given up is about to be tried with: that resets its count of failures.

        Releases are listed before charts, and helm-controller hears of a chart when we do.
        """
        newer = chart_not_in_use(release, chart) if chart else None
        values = "" if newer else self._values.untried(release)
        return waiting(release, values) if values else newer

    def _values_not_in_use(self, release: KubeObject) -> Pending | None:
        why = self._values.not_in_use(release)
        if not why:
            return None
        again = text_at(release.raw, "spec", "interval")
        return waiting(release, f"{why}, and looks by itself within {again}", next_=_reconcile_command(release))

    def _stale_chart(self, chart: KubeObject) -> str:
        """Of which revision it is, when not of the commit.

        A chart that lies in the repository itself is a part of the commit: of another revision, not even its failures
        say anything of this one.
        """
        seen = text_at(chart.raw, "status", "observedSourceArtifactRevision")
        return "" if self._accepts(seen) else f"it is at {short_revision(seen) or 'no revision'}"

    def _workloads(self, applied: set[tuple[str, str]], releases: set[tuple[str, str]]) -> None:
        for resource in WORKLOADS:
            for workload in self._api.list(resource):
                if owner(workload, KUSTOMIZE_LABEL) in applied or owner(workload, HELM_LABEL) in releases:
                    self._judge(resource, workload, rollout(workload))

    def _accepts(self, revision: str) -> bool:
        return revision.rpartition(":")[2] in self._target.accepted


def _reconcile_command(subject: KubeObject) -> str:
    """What has its controller look at once."""
    return f"fluxlab flux reconcile {subject.kind.lower()} {subject.name} -n {subject.namespace}"


def _accountable(subjects: Sequence[KubeObject]) -> set[tuple[str, str]]:
    """Those whose sources and workloads have to be well: not what is suspended and was failing before."""
    return {_id(one) for one in subjects if one.ready or not one.suspended}


def _id(subject: KubeObject) -> tuple[str, str]:
    return subject.namespace, subject.name
