"""One difference between what git wants and what is there, all of them together, and what a test expects of them."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from fluxlab.errors import FluxlabError, UnknownError, UsageError
from fluxlab.timeline.entries import ObjectRef

from .aspects import SILENT, Actor, DriftClass, Fate, Mark, Said, Times


@dataclass(frozen=True, kw_only=True)
class Drift:
    """One difference. Values stand as JSON; those of Secrets as digests, and None where there is none."""

    cluster: str
    object: ObjectRef
    class_: DriftClass
    field: str = ""
    """As Kubernetes writes paths: `.spec.containers[name="app"].image`; empty for a whole object."""
    pointer: str = ""
    """The same as a JSON pointer (RFC 6901), into the live object where the field is there."""
    desired: str | None = None
    live: str | None = None
    owner: str
    """`Kustomization flux-system/apps` or `HelmRelease shop/cart`; empty for an orphan."""
    chain: Sequence[str] = ()
    """The owner, and the Kustomizations by which it came into the cluster, the root first."""
    commit: str = ""
    """The commit that the owner has applied; of a HelmRelease the Kustomization that applies it."""
    source: str = ""
    """Where git says so: `clusters/staging/cart.yaml:12`; empty where no single file does.

    The line of the field where the file says what is wanted of it, else that of the manifest; of a chart's object that
    of the HelmRelease.
    """
    actor: Actor
    fate: Fate
    said: Said = SILENT
    """What Flux said of it since."""
    released: str = ""
    """Of a HelmRelease: the release that was made from it already, and what that means for the release's objects."""

    @property
    def flux_said(self) -> str:
        """What Flux said of it since, in words; empty when it was silent."""
        return self.said.text

    @property
    def times(self) -> Times:
        """When what happened to it: it is still there, so that nothing has corrected it."""
        return Times(changed=self.actor.time, detected=self.actor.seen, alerted=self.said.alerted)

    @property
    def marks(self) -> Sequence[Mark]:
        """What is so of it besides how it differs."""
        return self.fate.marks

    @property
    def headline(self) -> str:
        """What differs, in one line."""
        line = f"{self.object}: {self.class_}"
        if not self.field:
            return line
        wanted = "nothing" if self.desired is None else self.desired
        there = "nothing" if self.live is None else self.live
        return f"{line} {self.field}: git wants {wanted}, there is {there}"

    def __str__(self) -> str:
        at = f" at {self.actor.time.astimezone():%Y-%m-%d %H:%M:%S}" if self.actor.time else ""
        lines = [self.headline, f"  {self.actor}{at}", f"  {self.fate}", f"  Flux: {self.said}"]
        if self.marks:
            lines.append(f"  marks: {', '.join(self.marks)}")
        if self.released:
            lines.append(f"  {self.released}")
        if self.source:
            lines.append(f"  in git: {self.source}")
        return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """Something that could not be compared."""

    cluster: str
    object: ObjectRef | None = None
    """None: all objects of a kind, or of the cluster."""
    owner: str = ""
    """As that of a Drift; the Kustomization or HelmRelease itself where it cannot be told what it wants."""
    chain: Sequence[str] = ()
    commit: str = ""
    """The commit that the owner has applied, where one is known."""
    why: str
    """What could not be told and why, as a whole sentence."""
    fate: Fate | None = None
    """Of an object that the API server refuses to change: what its Kustomization makes of that."""

    @property
    def class_(self) -> DriftClass:
        """As every record has one."""
        return DriftClass.UNKNOWN

    def __str__(self) -> str:
        return f"{self.why}\n  {self.fate}" if self.fate else self.why


@dataclass(frozen=True)
class Expected:
    """A record that a test expects. What is left out may be anything, but what is ignored or unknown has to be asked
    for: by `marks=[Mark.IGNORED]` or `class_=DriftClass.UNKNOWN`.
    """

    object: str
    """`ConfigMap shop/settings`; empty for what is unknown of no single object."""
    pointer: str = ""
    """`/data/colour`; empty for a whole object."""
    class_: DriftClass | None = None
    by: str = ""
    """A part of who did it."""
    live: str | None = None
    """What is there, as a report writes it: `"blue"` with its quotes, or `3`."""
    desired: str | None = None
    """What git wants, likewise."""
    cluster: str = ""
    marks: Collection[Mark] = ()
    """Those that it bears, perhaps among others."""

    def matches(self, drift: Drift) -> bool:
        """Whether a difference is this one."""
        return (
            (str(drift.object), drift.pointer) == (self.object, self.pointer)
            and set(self.marks) <= set(drift.marks)
            and drift.fate.ignored == (Mark.IGNORED in self.marks)
            and self.class_ in {None, drift.class_}
            and self.by in drift.actor.who
            and self.live in {None, drift.live}
            and self.desired in {None, drift.desired}
            and self.cluster in {"", drift.cluster}
        )

    def is_unknown(self, unknown: Unknown) -> bool:
        """Whether this is what could not be told."""
        return (
            self == Expected(self.object, class_=DriftClass.UNKNOWN, cluster=self.cluster)
            and str(unknown.object or "") == self.object
            and self.cluster in {"", unknown.cluster}
        )

    def __str__(self) -> str:
        values = (("there is", self.live), ("git wants", self.desired))
        told = [f"{what} {value}" for what, value in values if value is not None]
        by, where = f" by {self.by}" if self.by else "", f" in {self.cluster}" if self.cluster else ""
        told += map(str, self.marks)
        return ", ".join([f"{self.object}{self.pointer}{where}: {self.class_ or 'any difference'}{by}", *told])


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """Drift that may be there, and why: whoever reads the test later has to know."""

    object: str
    """`Deployment shop/cart`; with `*` and `?` it stands for several."""
    pointer: str = "*"
    """`/spec/replicas`, or as above; empty for a whole object."""
    reason: str

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise UsageError(f"drift of {self.object} is allowed without a reason")

    def covers(self, drift: Drift) -> bool:
        """Whether a difference may be there."""
        return fnmatchcase(str(drift.object), self.object) and fnmatchcase(drift.pointer, self.pointer)

    def __str__(self) -> str:
        return f"{self.object} {self.pointer}: {self.reason}"


class DriftError(FluxlabError):
    """A lab that should be as git wants it, and is not."""


@dataclass(frozen=True, kw_only=True)
class DriftReport:
    """All differences that were found, and what could not be told."""

    drifts: Sequence[Drift]
    unknown: Sequence[Unknown]
    """What could not be compared: a report with any is never clean."""
    examined: int
    """How many objects were compared."""
    ignored: Sequence[Drift] = ()
    """Differences in fields that a rule in git leaves to others: no drift."""
    held_back: Sequence[str] = ()
    """The clusters in which report-only keeps Flux from correcting."""
    unreal: Sequence[str] = ()
    """What of the lab only stands in for something, a line each: simulated pods, stand-in charts."""

    @property
    def clean(self) -> bool:
        """Whether everything was compared, and nothing differs."""
        return bool(self.examined) and not self.drifts and not self.unknown

    @property
    def exit_code(self) -> int:
        """0 clean, 1 drift, 2 could not tell."""
        if self.drifts:
            return DriftError.exit_code
        return 0 if self.clean else UnknownError.exit_code

    def assert_clean(self, *, allow: Sequence[Allowed] = (), budget: Mapping[str, int] | None = None) -> None:
        """Raise DriftError that quotes each difference, or UnknownError when it could not be told.

        What is allowed does not count. A namespace may have as many differences as its `budget` says, 0 without one;
        what is in no namespace is counted under the empty name.
        """
        left = [drift for drift in self.drifts if not any(one.covers(drift) for one in allow)]
        allotted = budget or {}
        counts = Counter(drift.object.namespace for drift in left)
        over = {namespace: count for namespace, count in counts.items() if count > allotted.get(namespace, 0)}
        if over:
            limits = [
                f"{count} in namespace {name}, whose budget is {allotted[name]}"
                for name, count in over.items()
                if name in allotted
            ]
            quoted = [str(drift) for drift in left if drift.object.namespace in over]
            raise DriftError(f"differences from git: {len(quoted)}", facts=[*limits, *quoted])
        if self.unknown or not self.examined:
            facts = [*map(str, self.unknown)] or ["nothing to compare"]
            raise UnknownError("whether there is drift could not be told", facts=facts)

    def expect(self, *expected: Expected) -> None:
        """Raise DriftError unless exactly these differences were found, and UnknownError when it could not be told.

        What a rule in git ignores has to be there when it is expected, and may be there when it is not; what is unknown
        has to be expected.
        """
        if not expected:
            raise UsageError("no difference is expected", hint="assert_clean() is for none")
        missing = [one for one in expected if not self._has(one)]
        others = [drift for drift in self.drifts if not any(one.matches(drift) for one in expected)]
        if missing or others:
            facts = [*(f"missing: {one}" for one in missing), *(f"not expected: {drift}" for drift in others)]
            facts += [f"could not tell: {one}" for one in self.unknown]
            raise DriftError("the drift is not the one that was expected", facts=facts)
        if untold := [str(one) for one in self.unknown if not any(each.is_unknown(one) for each in expected)]:
            raise UnknownError("whether there is more drift could not be told", facts=untold)

    def _has(self, expected: Expected) -> bool:
        return any(map(expected.matches, (*self.drifts, *self.ignored))) or any(map(expected.is_unknown, self.unknown))


def together(reports: Iterable[DriftReport], *, unreal: Sequence[str] = ()) -> DriftReport:
    """Several reports as one, with what was not real."""
    told = list(reports)
    return DriftReport(
        drifts=tuple(drift for report in told for drift in report.drifts),
        unknown=tuple(one for report in told for one in report.unknown),
        examined=sum(report.examined for report in told),
        ignored=tuple(drift for report in told for drift in report.ignored),
        held_back=tuple(name for report in told for name in report.held_back),
        unreal=tuple(unreal),
    )
