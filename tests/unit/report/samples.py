"""Results of runs, made by hand: what pages, JSON and JUnit are made of in tests."""

from datetime import UTC, datetime, timedelta

from fluxlab.rehearsals.results import (
    CheckResult,
    FaultResult,
    Finding,
    HistoryEntry,
    Outcome,
    Part,
    RunResult,
    SignalResult,
    StepResult,
    Times,
)
from fluxlab.rehearsals.spec import Truth

BEGAN = datetime(2026, 11, 26, 14, 2, 40, 120_000, tzinfo=UTC)
ZERO = BEGAN + timedelta(seconds=9)
COMMIT = "ae52c1dce493b4f4db8f88d059c9f2dceb037f22"
HOSTILE = (
    "</script></title></style></svg><img src=http://evil.example/x.png onerror=\"document.title='owned'\">"
    "<script>document.title='owned'</script><link rel=stylesheet href=//evil.example/y.css> ' \" &amp; {{ 7*7 }}"
)
"""Breaks out of whatever it is put into, unless it is escaped there."""
PARTS = tuple(Part)


def at(seconds: float) -> datetime:
    """So long after the first fault."""
    return ZERO + timedelta(seconds=seconds)


def _entry(seconds: float, lane: str, about: str, text: str, level: str = "info", *, actor: str = "") -> HistoryEntry:
    commit = COMMIT if lane == "git" else ""
    return HistoryEntry(time=at(seconds), lane=lane, object=about, text=text, level=level, actor=actor, commit=commit)


HISTORY = (
    _entry(-8.2, "workloads", "Namespace shop", "created", actor="kustomize-controller"),
    _entry(-1.1, "releases", "HelmRelease flux-system/cart", "Ready=True InstallSucceeded: Helm install succeeded"),
    _entry(0.04, "faults", "git-hang-191c35", "git-hang (github.com): in; a fetch hangs", "warning"),
    _entry(0.3, "git", "", "fleet main: 4b9b8d134f -> ae52c1dce4, 1 commit", actor="lab"),
    _entry(0.3, "git", "", "Take dollars, too (#42)", actor="Ada <ada@example.org>"),
    _entry(1.2, "sources", "GitRepository flux-system/flux-system", "changed .metadata.annotations"),
    _entry(10.6, "sources", "GitRepository flux-system/flux-system", "Ready=False GitOperationFailed", "error"),
    _entry(11.0, "sources", "GitRepository flux-system/flux-system", "GitOperationFailed: i/o timeout", "error"),
    _entry(12.4, "alerts", "GitRepository flux-system/flux-system", "slack: GitOperationFailed", "error"),
    _entry(13.5, "workloads", "Deployment shop/frontend", "changed .spec.replicas: 1 -> 3", actor="alice with kubectl"),
    _entry(21.0, "faults", "git-hang-191c35", "git-hang (github.com): out; a fetch takes 40 ms"),
    _entry(22.4, "sources", "GitRepository flux-system/flux-system", "NewArtifact: stored artifact"),
    _entry(22.9, "kustomizations", "Kustomization flux-system/flux-system", "Ready=True ReconciliationSucceeded"),
    _entry(23.1, "workloads", "Deployment shop/frontend", "Available=False: 1 of 3", "warning"),
    _entry(23.6, "kustomizations", "Kustomization flux-system/shop", "Ready=True ReconciliationSucceeded"),
    _entry(23.7, "processes", "source-controller", "still there"),
)

PASSED = RunResult(
    title="Git hangs while a change is pushed",
    story="The server takes the connection and never answers. The fleet goes on at the old revision; an alert says so.",
    file="git-hang.yaml",
    seed=7,
    control=False,
    lab="rehearsal-410ae3",
    outcome=Outcome.PASS,
    findings=(
        Finding(part=Part.HYPOTHESIS, what="the shop is rolled out (before)", outcome=Outcome.PASS, why="2 workloads"),
        Finding(
            part=Part.HYPOTHESIS, what="the shop is rolled out (during)", outcome=Outcome.PASS, why="asked 40 times"
        ),
        Finding(part=Part.RECOVERY, what="the newest commit is everywhere (after)", outcome=Outcome.PASS),
        Finding(
            part=Part.SIGNAL, what="the source says that it cannot fetch", outcome=Outcome.PASS, why="after 10.6 s"
        ),
        Finding(part=Part.SIGNAL, what="the channel hears of it", outcome=Outcome.PASS, why="after 12.4 s"),
        Finding(part=Part.FORBIDDEN, what="anybody calls the shop broken", outcome=Outcome.PASS, why="it did not come"),
        Finding(part=Part.RESIDUE, what="nothing is left", outcome=Outcome.PASS),
    ),
    truth=Truth.model_validate({"cause": "the git server does not answer", "not": ["the commit", "the controllers"]}),
    began=BEGAN,
    first_fault=ZERO,
    healed=at(21.0),
    recovered=at(24.2),
    ended=at(25.5),
    recovery_within_seconds=30.0,
    checks=(
        CheckResult(what="the shop is rolled out", when="before", holds=True, words="2 workloads", at=at(-0.5)),
        CheckResult(
            what="the shop is rolled out",
            when="during",
            holds=False,
            words="Deployment shop/frontend: 1 of 3 replicas are ready",
            at=at(20.5),
            for_seconds=0.6,
            tolerated_seconds=5,
        ),
        CheckResult(what="the shop is rolled out", when="after", holds=True, words="2 workloads", at=at(23.8)),
        CheckResult(what="the newest commit is everywhere", when="before", holds=True, words="4b9b8d134f", at=at(-0.3)),
        CheckResult(what="the newest commit is everywhere", when="after", holds=True, words="ae52c1dce4", at=at(24.2)),
    ),
    steps=(
        StepResult(name="hang", what="break git-hang github.com", began=ZERO, seconds=0.04, words="a fetch hangs"),
        StepResult(name="", what="commit 'Take dollars, too (#42)'", began=at(0.1), seconds=0.2, words=COMMIT),
        StepResult(name="", what="alice: kubectl scale deployment frontend --replicas=3", began=at(13.4), seconds=0.2),
    ),
    faults=(
        FaultResult(
            name="hang",
            fault="git-hang",
            id="git-hang-191c35",
            targets=("github.com",),
            parameters={"after_bytes": 0},
            began=at(0.01),
            proven=at(0.04),
            proof="a fetch of https://github.com/acme/fleet.git hangs for 3 s",
            healed=at(21.0),
        ),
    ),
    signals=(
        SignalResult(
            what="the source says that it cannot fetch",
            signal={"condition": {"kind": "GitRepository", "place": "flux-system/flux-system", "status": "False"}},
            within_seconds=20,
            after=ZERO,
            seen=at(10.6),
            after_seconds=10.6,
            words="GitRepository flux-system/flux-system: Ready=False GitOperationFailed: i/o timeout",
        ),
        SignalResult(
            what="the channel hears of it",
            signal={"alert": {"object": "GitRepository flux-system/flux-system", "provider": "slack"}},
            within_seconds=20,
            after=ZERO,
            seen=at(12.4),
            after_seconds=12.4,
            words="slack: GitRepository/flux-system.flux-system GitOperationFailed",
        ),
        SignalResult(
            what="anybody calls the shop broken",
            signal={"condition": {"kind": "Kustomization", "place": "flux-system/shop", "status": "False"}},
            forbidden=True,
            after=ZERO,
        ),
    ),
    times=Times(first_signal_seconds=10.6, all_signals_seconds=12.4, alert_seconds=12.4, recovery_seconds=3.2),
    blast_radius=("Deployment shop/frontend", "GitRepository flux-system/flux-system"),
    history=HISTORY,
    evidence=("14:02:59.720000 object GitRepository flux-system/flux-system: Ready=False GitOperationFailed",),
    unreal=("pods are simulated by KWOK in cluster flux-playground: they have no containers",),
    versions={"fluxlab": "0.1.0", "flux": "2.9.2", "kube-apiserver": "1.36.3"},
    commit="4b9b8d134f66d717fa10eace4442b38d9b53b1bf",
    replay="fluxlab rehearse git-hang --seed 7",
)

FAILED = PASSED.model_copy(
    update={
        "outcome": Outcome.FAIL,
        "seed": 8,
        "findings": (
            Finding(part=Part.HYPOTHESIS, what="the shop is rolled out (before)", outcome=Outcome.PASS),
            Finding(part=Part.SIGNAL, what="the source says that it cannot fetch", outcome=Outcome.PASS),
            Finding(
                part=Part.SIGNAL, what="the channel hears of it", outcome=Outcome.FAIL, why="never came; it has 20 s"
            ),
            Finding(
                part=Part.FORBIDDEN, what="anybody calls the shop broken", outcome=Outcome.FAIL, why="after 14.0 s"
            ),
            Finding(part=Part.RESIDUE, what="nothing is left", outcome=Outcome.FAIL, why="Secret shop/x is there"),
        ),
        "signals": (
            PASSED.signals[0],
            PASSED.signals[1].model_copy(update={"seen": None, "after_seconds": None, "words": ""}),
            PASSED.signals[2].model_copy(update={"seen": at(14), "after_seconds": 14.0, "words": "Ready=False"}),
        ),
        "times": Times(first_signal_seconds=10.6, recovery_seconds=3.2),
        "residue": ("Secret shop/x is there, and nobody owns it",),
        "replay": "fluxlab rehearse git-hang --seed 8",
    }
)

INCONCLUSIVE = RunResult(
    title="The API server's disk fills up",
    file="disk-full.yaml",
    seed=0,
    control=False,
    lab="rehearsal-77ab01",
    outcome=Outcome.INCONCLUSIVE,
    findings=(
        Finding(
            part=Part.STEP,
            what="the run",
            outcome=Outcome.INCONCLUSIVE,
            why="before anything was done it did not hold: the shop is rolled out\n  Deployment shop/cart: 0 of 1",
        ),
    ),
    truth=Truth(cause="etcd has no space left"),
    began=BEGAN,
    ended=BEGAN + timedelta(seconds=61),
    recovery_within_seconds=60,
    replay="fluxlab rehearse disk-full --seed 0",
)

CONTROL = PASSED.model_copy(
    update={
        "control": True,
        "findings": (
            *PASSED.findings[:3],
            *(
                Finding(part=Part.CONTROL, what=one.what, outcome=Outcome.PASS, why="it did not come")
                for one in PASSED.signals[:2]
            ),
            *PASSED.findings[-2:],
        ),
        "faults": (),
        "steps": (PASSED.steps[0].model_copy(update={"skipped": True, "words": ""}), PASSED.steps[1]),
        "signals": tuple(
            one.model_copy(update={"seen": None, "after_seconds": None, "words": ""}) for one in PASSED.signals
        ),
        "times": Times(),
        "healed": None,
        "blast_radius": (),
        "evidence": (),
        "history": tuple(one for one in HISTORY if one.lane in {"git", "workloads"} and one.level == "info"),
        "replay": "fluxlab rehearse git-hang --seed 7 --control",
    }
)

SET_BACK = PASSED.model_copy(
    update={
        "title": "Somebody sets the clock back",
        "outcome": Outcome.INCONCLUSIVE,
        "findings": (
            Finding(
                part=Part.CLOCK,
                what="nobody sets the clock",
                outcome=Outcome.INCONCLUSIVE,
                why="it was set by -3600.0 s, or the machine slept: nobody knows what came when, and took how long",
            ),
            *PASSED.findings,
        ),
        "ended": at(25.5 - 3600),
    }
)
"""It has ended, by the clock, before it began."""

CROWDED = PASSED.model_copy(
    update={
        "title": "Three thousand things happen",
        "untold": 1234,
        "history": tuple(
            _entry(
                number / 120,
                ("workloads", "kustomizations", "releases", "sources")[number % 4],
                f"Deployment shop/part-{number}",
                "x" * 10_240 if number % 1000 == 0 else f"changed .spec.replicas: {number} -> {number + 1}",
                ("info", "info", "info", "warning", "info", "error")[number % 6],
                actor="kustomize-controller",
            )
            for number in range(3000)
        ),
    }
)


def hostile(text: str = HOSTILE) -> RunResult:
    """A run in which every text that others have a say in is `text`."""
    signals = [
        one.model_copy(update={"what": text, "words": text, "unknown": text, "signal": {"log": {"pattern": text}}})
        for one in FAILED.signals
    ]
    return FAILED.model_copy(
        update={
            "title": text,
            "story": text,
            "file": text,
            "lab": text,
            "replay": text,
            "commit": text,
            "truth": Truth.model_validate({"cause": text, "not": [text]}),
            "findings": tuple(
                Finding(part=part, what=text, why=text, outcome=outcome) for part in PARTS for outcome in Outcome
            ),
            "checks": tuple(one.model_copy(update={"what": text, "words": text}) for one in FAILED.checks),
            "steps": tuple(one.model_copy(update={"what": text, "words": text}) for one in FAILED.steps),
            "faults": tuple(
                one.model_copy(
                    update={
                        **dict.fromkeys(("name", "fault", "id", "proof", "trouble"), text),
                        "targets": (text,),
                        "parameters": {text: text},
                    }
                )
                for one in FAILED.faults
            ),
            "signals": tuple(signals),
            "history": tuple(
                one.model_copy(update=dict.fromkeys(("text", "object", "actor", "commit", "level"), text))
                for one in HISTORY
            ),
            **dict.fromkeys(("blast_radius", "residue", "evidence", "unreal"), (text,)),
            "versions": {text: text},
        }
    )


SAMPLES = {
    "pass": PASSED,
    "fail": FAILED,
    "inconclusive": INCONCLUSIVE,
    "control": CONTROL,
    "set-back": SET_BACK,
    "crowded": CROWDED,
    "hostile": hostile(),
}
