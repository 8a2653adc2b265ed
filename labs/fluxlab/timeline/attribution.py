"""Who made a change and for which commit: what no single source tells, from all of them together. Pure."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from .audit import DELETIONS, WRITES, is_person, short_user
from .entries import Detail, Entry, Source, format_time, parse_time, parse_version

APPLIERS = frozenset({"kustomize-controller", "helm-controller"})
"""The field managers whose changes come from git."""
PATIENCE = timedelta(seconds=30)
"""How much later than the change the recorder may have seen it, in a storm."""
BURST = timedelta(seconds=1)
"""Within which time writes of one object may be taken for one another; managed fields have whole seconds, too."""
WHOLE_COLLECTION = ""
"""Stands for the name of an object in a request that meant all of them."""
DELETION_ASKED = ".metadata.deletionTimestamp"
"""What is set in an object that is asked to end and has finalizers, or is given time."""
SHA_DIGITS = 40
CHART_SHA_DIGITS = 12
"""How much of a commit's name source-controller puts into the version of a chart that it packages from git."""


@dataclass(frozen=True, kw_only=True)
class _Revisions:
    """The revisions that a Flux object spoke of, by resource version."""

    versions: Sequence[int]
    commits: Sequence[str]

    def at(self, version: int) -> str:
        place = bisect_right(self.versions, version)
        return self.commits[place - 1] if place else ""


def attribute(entries: Iterable[Entry]) -> list[Entry]:
    """The entries of the journals with the commit behind each change that Flux made, its subject and its issues."""
    told = list(entries)
    pushed = commits_of(told)
    commits = _Commits(told)
    found = []
    for entry in told:
        commit = entry.commit or commits.behind(entry)
        known = entry if commit == entry.commit else replace(entry, commit=commit)
        found.append(with_message(known, pushed))
    return found


def commits_of(entries: Iterable[Entry]) -> Mapping[str, Entry]:
    """What is told of each commit, by its name."""
    return {entry.commit: entry for entry in entries if entry.source is Source.COMMIT and entry.commit}


def with_message(entry: Entry, commits: Mapping[str, Entry]) -> Entry:
    """An entry with what the message of its commit says: its subject, and the issues that it refers to."""
    commit = commits.get(entry.commit)
    if commit is None or commit is entry:
        return entry
    subject = commit.details.get(Detail.SUBJECT, "")
    details = {**entry.details, Detail.SUBJECT: subject} if subject else entry.details
    return replace(entry, issues=entry.issues or commit.issues, details=details)


class _Commits:
    """The commit that was in force for an owner at a moment, told by resource versions: they order all kinds."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        revisions: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
        self._applied: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
        for entry in entries:
            sha = commit_of(entry.details.get(Detail.REVISION, ""))
            if entry.source is Source.OBJECT and entry.object and entry.object.kind == "Kustomization" and sha:
                revisions[entry.cluster, str(entry.object)].append((version_of(entry), sha))
        self._revisions = {
            key: _Revisions(versions=[v for v, _ in sorted(told)], commits=[c for _, c in sorted(told)])
            for key, told in revisions.items()
        }
        known = {entry.commit[:CHART_SHA_DIGITS]: entry.commit for entry in entries if entry.source is Source.COMMIT}
        for entry in entries:  # a release follows the commit that changed it last, not those that came by since
            if entry.object and entry.object.kind == "HelmRelease" and _applied(entry):
                commit = self._in_force(entry)
                self._applied[entry.cluster, str(entry.object)].append((version_of(entry), commit))
            elif entry.object and entry.object.kind == "HelmChart":  # one that lies in git names its commit
                packaged = entry.details.get(Detail.REVISION, "").partition("+")[2][:CHART_SHA_DIGITS]
                if packaged in known:
                    owner = entry.cluster, entry.details.get(Detail.OWNER, "")
                    self._applied[owner].append((version_of(entry), known[packaged]))

    def behind(self, entry: Entry) -> str:
        """The commit behind a change or an event; empty when no commit is, or it is not known."""
        told = commit_of(entry.details.get(Detail.REVISION, ""))
        if entry.source is Source.EVENT:
            return told
        if entry.source is not Source.OBJECT or entry.object is None:
            return ""
        if told and entry.actor.endswith("(status)"):
            return told
        return self._owned(entry) if _applied(entry) else ""

    def _owned(self, entry: Entry) -> str:
        owner, version = entry.details.get(Detail.OWNER, ""), version_of(entry)
        if owner.startswith("HelmRelease "):
            applied = [commit for at, commit in self._applied.get((entry.cluster, owner), ()) if at <= version]
            return applied[-1] if applied else ""
        return self._in_force(entry)

    def _in_force(self, entry: Entry) -> str:
        known = self._revisions.get((entry.cluster, entry.details.get(Detail.OWNER, "")))
        if known is None:
            return ""
        # What was found in a first list is older than the state in which its Kustomization was found there.
        found = known.commits[0] if entry.details.get(Detail.VERB) == "created" and Detail.GAP in entry.details else ""
        return known.at(version_of(entry)) or found


def _applied(entry: Entry) -> bool:
    """Whether a change was made from git, and by nobody else besides."""
    if entry.details.get(Detail.VERB) == "deleted":
        return bool(entry.details.get(Detail.OWNER)) and entry.actor in APPLIERS
    actors = {actor for actor in entry.actor.split(", ") if not actor.endswith("(status)")}
    return bool(actors) and actors <= APPLIERS


def commit_of(revision: str) -> str:
    """The commit in a revision such as `main@sha1:...`; empty for those of charts."""
    head, _, sha = revision.rpartition("sha1:")
    return sha if len(sha) == SHA_DIGITS and (not head or head.endswith("@")) else ""


def version_of(entry: Entry) -> int:
    """The resource version after a change, 0 where there is none."""
    return parse_version(entry.details.get(Detail.VERSION, ""))


def with_actors(entries: Iterable[Entry], audit: Iterable[Entry]) -> tuple[list[Entry], set[str]]:
    """The entries with the user of the API behind each change, and the ids of the audit entries that they explain.

    Neither side names the other: a watch tells no user, the audit log no resource version. Writes and changes of one
    object have the same order, and a change is never seen before its write was received.
    """
    writes: dict[_Key, list[_Write]] = defaultdict(list)
    for request in audit:
        if _wrote(request) and (key := _meant(request)):
            writes[key].append((parse_time(request.details[Detail.RECEIVED]), request))
    found = list(entries)
    changes: dict[_Key, list[int]] = defaultdict(list)
    for number, entry in enumerate(found):
        if entry.source is Source.OBJECT and entry.object and Detail.GAP not in entry.details:
            plural = entry.details.get(Detail.RESOURCE, "").rpartition("/")[2]
            changes[entry.cluster, plural, entry.object.namespace, entry.object.name].append(number)
    used: set[str] = set()
    for key, numbers in changes.items():
        of_all = writes.get((*key[:3], WHOLE_COLLECTION), ())
        left = sorted([*writes.get(key, ()), *of_all], key=_received)
        behind: dict[int, int] = {}
        end = len(left)
        # From the last one: a write that changed nothing is skipped, and does not push all later ones aside.
        for number in reversed(numbers):
            place = _write_behind(found[number], left, end=end, taken=behind.values())
            if place is not None:
                behind[number] = place
                # What was received before this one was answered may have come before it all the same.
                end = min(end, bisect_left(left, left[place][1].time, key=_received))
        begin = 0
        for number, place in reversed(behind.items()):
            candidates = _candidates(found[number], left, place, begin=begin)
            begin = candidates[0] + 1
            used.add(left[place][1].details[Detail.AUDIT_ID])
            found[number] = _named(found[number], left[place][1], [left[one][1] for one in candidates])
    return found, used


_Key = tuple[str, str, str, str]
"""Cluster, plural, namespace and name."""
_Write = tuple[datetime, Entry]
"""A write, and when the API server had received it."""


def _received(write: _Write) -> datetime:
    return write[0]


def _meant(request: Entry) -> _Key | None:
    """The object that a write meant, or a whole collection; None where it is not known, as where a name was made up."""
    if target := request.object:
        return request.cluster, target.kind, target.namespace, target.name
    details = request.details
    if details[Detail.VERB] != "deletecollection":
        return None
    return request.cluster, details.get(Detail.RESOURCE, ""), details.get(Detail.NAMESPACE, ""), WHOLE_COLLECTION


def _wrote(request: Entry) -> bool:
    details = request.details
    done = details.get(Detail.VERB) in WRITES and details.get(Detail.STATUS, "").startswith("2")
    return done and Detail.DRY_RUN not in details and Detail.RECEIVED in details


def _write_behind(entry: Entry, writes: Sequence[_Write], *, end: int, taken: Collection[int]) -> int | None:
    """The place, before `end`, of the last write that can have made a change: best one of the same manager."""
    latest = bisect_right(writes, entry.time, hi=end, key=_received)
    fitting: int | None = None
    for place in range(latest - 1, -1, -1):
        received, request = writes[place]
        if received < entry.time - PATIENCE and Detail.LATE not in entry.details:
            break
        if place not in taken and _can_have_made(entry, writes, place):
            if entry.actor and _as_its_manager(entry.actor, request):
                return place
            fitting = place if fitting is None else fitting
    return fitting


def _candidates(entry: Entry, writes: Sequence[_Write], chosen: int, *, begin: int) -> Sequence[int]:
    """The places of all writes that can have made a change, in order: one, where it is certain.

    `begin` is the first that no earlier change needs. Those between it and the chosen one may have done nothing, or the
    chosen one may have; of those that the API server had at the same time it is not known which came first.
    """
    received = writes[chosen][0]
    near = [
        place
        for place in range(
            bisect_left(writes, received - BURST, key=_received),
            bisect_right(writes, min(received + BURST, entry.time), key=_received),
        )
        if place == chosen or (_as_its_manager(entry.actor, writes[place][1]) and _can_have_made(entry, writes, place))
    ]
    at_once: list[int] = []
    answered = datetime.min.replace(tzinfo=UTC)
    for place in near:
        if writes[place][0] > answered:
            if chosen in at_once:
                break
            at_once = []
        at_once.append(place)
        answered = max(answered, writes[place][1].time)
    return sorted({*(at_once if chosen in at_once else ()), *(one for one in near if begin <= one <= chosen)})


def _can_have_made(entry: Entry, writes: Sequence[_Write], place: int) -> bool:
    return _fits(entry, writes[place][1]) and _may_delete(entry, writes, place)


def _may_delete(entry: Entry, writes: Sequence[_Write], place: int) -> bool:
    """Whether a write can have ended an object, where one ended: to patch it does so only once that was asked for."""
    if entry.details.get(Detail.VERB) != "deleted":
        return True
    return any(request.details[Detail.VERB] in DELETIONS for _, request in writes[: place + 1])


def _as_its_manager(actor: str, request: Entry) -> bool:
    """Whether a request is noted in the managed fields under one of the names that made a change, if any did."""
    names = _managers(actor)
    asked = request.details.get(Detail.MANAGER, "")
    return not names or (asked in names if asked else _same_program(actor, request))


def _managers(actor: str) -> Sequence[str]:
    return [name.partition(" (")[0] for name in actor.split(", ") if name]


def _fits(entry: Entry, request: Entry) -> bool:
    verb, asked = entry.details.get(Detail.VERB, ""), request.details[Detail.VERB]
    of_status = request.details.get(Detail.SUBRESOURCE) == "status"
    if verb == "deleted":
        # Who takes the last finalizer of an object away ends it; who writes its status leaves them as they are.
        return asked in DELETIONS or (asked in {"update", "patch"} and not of_status and not entry.actor)
    if any(change.field == DELETION_ASKED for change in entry.changes):
        return asked not in {"update", "patch"}  # to evict a pod is to create something
    if asked == "deletecollection":
        return False
    if verb == "created":
        # A server-side apply creates, too; one that finds the object there already is answered otherwise.
        return request.details.get(Detail.STATUS) == f"{HTTPStatus.CREATED:d}"
    if entry.actor:
        return of_status == all(manager.endswith("(status)") for manager in entry.actor.split(", "))
    # Where nobody manages what changed (kubectl scale past a default), the fields tell: a status is never written with
    # a spec, but with annotations, as that of a Deployment's revision.
    parts = {change.field[1:].partition(".")[0].partition("[")[0] for change in entry.changes}
    return of_status if "status" in parts else not of_status or parts <= {"metadata"}


def _same_program(actor: str, request: Entry) -> bool:
    """Whether a field manager (`kubectl-scale`) is that of a program (`kubectl/v1.36.3`)."""
    program = request.details.get(Detail.USER_AGENT, "").partition("/")[0]
    return bool(program) and any(program in name for name in actor.split(", "))


def _named(entry: Entry, request: Entry, candidates: Sequence[Entry]) -> Entry:
    user = _who(request)
    managers = _managers(entry.actor)
    # Who only takes something away is not among the managers of what is left.
    asked = managers or [name for name in (request.details.get(Detail.MANAGER, ""),) if name]
    own = not user or any(user.rpartition(":")[2] in name for name in asked)
    with_ = f" with {', '.join(asked)}" if asked and not own else ""
    kept = (Detail.USER, Detail.USER_AGENT, Detail.MANAGER, Detail.AUDIT_ID, Detail.SUBRESOURCE)
    details = {key: request.details[key] for key in kept if key in request.details}
    if len({_client(one) for one in candidates}) > 1 or Detail.SELECTED in request.details:
        details[Detail.CANDIDATES] = "; ".join(map(_told, candidates))
    return replace(
        entry,
        actor=entry.actor if own and managers else f"{user}{with_}",
        # The API server's time is that of the change; the recorder's is when it heard of it.
        time=min(entry.time, request.time),
        details={
            **entry.details,
            **details,
            Detail.REQUEST: request.details[Detail.VERB],
            Detail.SEEN: format_time(entry.time),
        },
    )


def _who(request: Entry) -> str:
    """The user of the API. What Flux does as a tenant's service account (`.spec.serviceAccountName`), Flux does."""
    user = request.details.get(Detail.USER, "")
    asks = short_user(user.partition(" as ")[0])
    return asks if asks in APPLIERS and not is_person(user) else short_user(user)


def _client(request: Entry) -> tuple[str, str]:
    return request.details.get(Detail.USER, ""), request.details.get(Detail.USER_AGENT, "")


def _told(request: Entry) -> str:
    _, agent = _client(request)
    return f"{_who(request)} with {agent.partition(' ')[0]} (audit id {request.details[Detail.AUDIT_ID]})"
