"""Start the supervisor of a lab and end it, from outside: safe at any moment, whatever an earlier one left behind."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from fluxlab.clusters import backends
from fluxlab.errors import FluxlabError, UsageError, WaitTimeoutError
from fluxlab.fault_records import FaultRecords
from fluxlab.files import write_private
from fluxlab.host import ended_by_exception, unbroken, unsupported
from fluxlab.processes import Identity, reap, tail
from fluxlab.spec import LabSpec, stored_spec
from fluxlab.state import SERVING, LabFolder, Phase, Record, forget, held, lab_folders
from fluxlab.status import LabStatus
from fluxlab.toolchain import find
from fluxlab.waiting import wait_until

from .control import Control, SupervisorGoneError
from .elsewhere import Elsewhere
from .starter import Order, Starter, start

STOP_TIMEOUT_SECONDS = 15
END_TIMEOUT_SECONDS = 240
START_MARGIN_SECONDS = 60
FULL_BYTES = 1_000_000
CAUSE_TIMEOUT_SECONDS = 2
PAUSE_SECONDS = 60
"""For how long a supervisor that runs is waited for: it may be paused, and what it has in memory would end with it."""

Progress = Callable[[str], None]
_ours: dict[Path, Starter] = {}
"""The supervisors that this process started."""


def alive(record: Record | None) -> bool:
    """Whether the supervisor of a record still runs."""
    return record is not None and record.supervisor.process() is not None


def launch(
    spec: LabSpec,
    *,
    progress: Progress,
    base: Path | None = None,
    serving: Callable[[Path], None] = lambda _: None,
    prepare: Callable[[LabFolder], None] | None = None,
    retain: bool = False,
    lifeline: bool = False,
    anew: bool = True,
) -> None:
    """Have the lab of `spec` run and ready: start it, resume what a killed one left, or repair what died in it.

    `serving` fills a new lab, and one whose first start was cut off before it was filled. It is called as soon as git
    and charts are served, which is long before Flux acts: what is pushed there is in Flux's first fetch. It is given
    the folder that the lab's paths are meant from: `base` or, where nobody says, that of the first start. `prepare`
    fills the folder of a new lab beforehand, which then starts as if it were resumed; a lab of that name must not be
    there. A start that fails or is interrupted leaves nothing, unless the lab was there before and filled, or `retain`
    asks for its folder to be kept. What killed starts of other labs left half-made is removed.

    Raises:
        UsageError: A lab of that name is there with another spec; or none is that was filled, and none is to be made
            `anew`.
        FluxlabError: It did not start; the facts quote why.
    """
    folder = LabFolder.named(spec.name)
    waiting = _once(progress, f"waiting for another fluxlab that is at lab {spec.name}")
    limit = backends.start_seconds(spec)
    lock = folder.lock()
    with ended_by_exception():
        sweep(progress=progress)
        with held(lock, what=f"lab {spec.name}", timeout_seconds=limit + START_MARGIN_SECONDS, waiting=waiting):
            try:
                if not (anew or folder.filled):
                    hint = f"fluxlab up --name {spec.name}"
                    raise UsageError(f"lab {spec.name} is not there any more, or was never filled", hint=hint)
                _check_machine(folder, spec)
                _launch_alone(folder, spec, progress, serving, prepare, base=base, retain=retain, lifeline=lifeline)
            finally:
                if not folder.root.exists():
                    forget(lock)


def resume(folder: LabFolder, *, progress: Progress) -> None:
    """As `launch`, for a lab that is there: it stays until `end`, or ends with this process, as it was started here."""
    spec = stored_spec(folder.spec) if folder.spec.exists() else LabSpec(name=folder.name)
    launch(spec, progress=progress, lifeline=_holds(folder), anew=False)


def _launch_alone(
    folder: LabFolder,
    spec: LabSpec,
    progress: Progress,
    serving: Callable[[Path], None],
    prepare: Callable[[LabFolder], None] | None,
    *,
    base: Path | None,
    retain: bool,
    lifeline: bool,
) -> None:
    """As `launch`, while nobody else is at the lab."""
    resumed = _check_spec(folder, spec)
    if resumed and prepare:
        hint = f"fluxlab down {spec.name}, or choose another name"
        raise UsageError(f"lab {spec.name} is there already", hint=hint)
    if _joined(folder, progress):
        return
    keep = retain or (folder.filled and not (lifeline and _holds(folder)))
    if resumed:
        progress("reaping what an earlier run left")
        _reap(folder)
    elif folder.root.exists():  # half-made by one that was killed before the lab was described
        _reap(folder)
        discard(folder)
    begin = _leave_as_it_is if resumed else prepare or (lambda lab: _begin_empty(lab, base or Path()))
    _start(
        folder, spec, progress, prepare=begin, serving=lambda: _fill(folder, serving, base), keep=keep, hold=lifeline
    )


def _holds(folder: LabFolder) -> bool:
    """Whether the lab is to end, and its folder to go, with this process, which started it."""
    starter = _ours.get(folder.root)
    return starter is not None and starter.holds


def _leave_as_it_is(_: LabFolder) -> None:
    """A resumed lab has its data."""


def _begin_empty(folder: LabFolder, base: Path) -> None:
    """A new lab is described only when it is marked: whoever comes after a killed start must know that it is empty."""
    write_private(folder.filling, str(base.absolute()))


def _fill(folder: LabFolder, serving: Callable[[Path], None], base: Path | None) -> None:
    """Give a lab what it begins with, once: what its owner changed since must not be overwritten."""
    if folder.filling.exists():
        serving(base or Path(folder.filling.read_text()))
        folder.filling.unlink(missing_ok=True)


def _once(progress: Progress, text: str) -> Callable[[], None]:
    said: list[str] = []

    def say() -> None:
        if not said:
            said.append(text)
            progress(text)

    return say


def _check_machine(folder: LabFolder, spec: LabSpec) -> None:
    """Raise FluxlabError for what a lab needs and does not find, before anything is made that stays."""
    if reason := unsupported():
        raise FluxlabError(reason, hint="docs/platforms.md says what is missing")
    if not shutil.which("git"):
        raise FluxlabError("git is not on PATH", hint="install git, then `fluxlab doctor`")
    new = not folder.root.exists()
    try:
        backends.check(spec, find(), folder=folder)
    finally:
        if new and folder.root.exists():  # for credentials that were tried
            with unbroken():
                folder.remove()


def _check_spec(folder: LabFolder, spec: LabSpec) -> bool:
    """Whether the lab is there already. Raises UsageError if it is, with another spec."""
    if not folder.spec.exists():
        return False
    if (known := stored_spec(folder.spec)) == spec:
        return True
    was, asked = known.model_dump(mode="json"), spec.model_dump(mode="json")
    raise UsageError(
        f"lab {spec.name} is there already, with another spec",
        facts=[
            f"{field}: it has {was[field]}, asked for {asked[field]}" for field in was if was[field] != asked[field]
        ],
        hint=f"fluxlab up --name {spec.name} takes it as it is; fluxlab down {spec.name} removes it",
    )


def _joined(folder: LabFolder, progress: Progress) -> bool:
    """Whether a supervisor runs and all its parts do, after those that died have been started again.

    Raises UnfinishedError while it is still at that: a lab that is being repaired must not be ended.
    """
    record = folder.read_record()
    if not record or not alive(record) or record.phase is not Phase.READY or folder.filling.exists():
        return False  # whoever started it would hold the lock: that process is gone, and the supervisor about to end
    control = Control(folder)
    status = _status(control, progress)
    if status is None:
        progress("its supervisor does not answer: starting another one")
        return False
    for component in control.repair():
        progress(f"started again: {component}")
    paused = {part.name for part in status.broken() if part.state == "paused"}
    for fault in FaultRecords(folder).readable():
        for part in sorted(paused.intersection(fault.parts)):
            progress(f"{part}: paused, left to fault {fault.id}")
    return True


def _status(control: Control, progress: Progress) -> LabStatus | None:
    """How the lab is, if its supervisor tells: fast if it is well, which a repair is not."""
    try:
        return control.status()
    except SupervisorGoneError:
        if not control.answering():
            return None
        progress(f"its supervisor does not answer: waiting {PAUSE_SECONDS:g} s for it to go on")
        try:
            return control.status(timeout_seconds=PAUSE_SECONDS)  # ends as soon as the supervisor does
        except SupervisorGoneError:
            return None


def _start(
    folder: LabFolder,
    spec: LabSpec,
    progress: Progress,
    *,
    prepare: Callable[[LabFolder], None],
    serving: Callable[[], None],
    keep: bool,
    hold: bool,
) -> None:
    try:
        folder.create()
        prepare(folder)
        with unbroken():
            if not folder.spec.exists():  # its time is that of the lab's beginning
                write_private(folder.spec, spec.model_dump_json())
            starter = _spawn(folder, remove_orphaned=not keep, brief=hold)
        _await_ready(
            folder,
            progress,
            limit_seconds=backends.start_seconds(spec),
            serving=serving,
            running=lambda: starter.process.poll() is None,
        )
        if not hold:
            starter.let_go()
    except BaseException as error:  # also Ctrl-C: whatever ends the start, the supervisor must not be left to itself
        with unbroken():
            full = "no space left" in str(error).lower() or _is_full(folder)
            _reap(folder)
            if not keep:
                _discard_or_tell(folder, progress)
        if full and isinstance(error, (FluxlabError, OSError)):
            hint = "free some space, or let FLUXLAB_STATE_DIR name a folder elsewhere"
            raise FluxlabError(f"the disk of {folder.root} is full", facts=[str(error)], hint=hint) from error
        raise


def _is_full(folder: LabFolder) -> bool:
    return folder.root.exists() and shutil.disk_usage(folder.root).free < FULL_BYTES


def _spawn(folder: LabFolder, *, remove_orphaned: bool, brief: bool) -> Starter:
    """Order a supervisor only when its record is on disk: none is at work that a later call cannot find."""
    starter = start()
    _ours[folder.root] = starter
    folder.write_record(Record(phase=Phase.STARTING, supervisor=Identity.of(starter.process.pid)))
    starter.order(Order(folder=folder.root, remove_orphaned=remove_orphaned, brief=brief))
    return starter


def _await_ready(
    folder: LabFolder,
    progress: Progress,
    *,
    limit_seconds: float,
    running: Callable[[], bool],
    serving: Callable[[], None],
) -> None:
    shown = 0

    def ready() -> bool:
        nonlocal shown
        ended = not running()  # before the record is read, so that the last one is seen
        record = folder.read_record()
        for step in record.steps[shown:] if record else ():
            progress(step.name)
            shown += 1
            if step.name == SERVING:
                with _blamed_on(folder, running):
                    serving()
        return _is_ready(folder, record, ended=ended)

    wait_until(
        ready,
        what=f"lab {folder.name} becomes ready",
        timeout_seconds=limit_seconds,
        state=lambda: "\n".join(tail(folder.supervisor_log)),
    )


@contextmanager
def _blamed_on(folder: LabFolder, running: Callable[[], bool]) -> Iterator[None]:
    """When what is done meanwhile fails because the start does, say why that failed."""
    try:
        yield
    except FluxlabError:
        with suppress(WaitTimeoutError):  # it is a failure of its own
            wait_until(
                lambda: _is_ready(folder, folder.read_record(), ended=not running()) and None,
                what="the start fails",
                timeout_seconds=CAUSE_TIMEOUT_SECONDS,
            )
        raise


def _is_ready(folder: LabFolder, record: Record | None, *, ended: bool) -> bool:
    """Raise FluxlabError when it never will be."""
    if record and record.phase is Phase.FAILED:
        hint = f"fluxlab up --name {folder.name} --retain keeps its logs in {folder.root}"
        if "address already in use" in record.error:
            hint = f"fluxlab up --name {folder.name} again: it passes over the port that another program took"
        raise FluxlabError(f"lab {folder.name} did not start", facts=[record.error], hint=hint)
    if record and record.phase is Phase.STOPPING:
        raise FluxlabError(f"lab {folder.name} was ended while it started", hint=f"fluxlab up --name {folder.name}")
    if ended:
        quoted = tail(folder.supervisor_log)
        raise FluxlabError(f"lab {folder.name}: its supervisor ended while starting", facts=quoted)
    return record is not None and record.phase is Phase.READY


def discard(folder: LabFolder, *, progress: Progress = lambda _: None) -> None:
    """Remove what a lab that has ended left: in Docker, in somebody's clusters, then its folder.

    Raises NotRemovedError, and the folder stays, when one does not let go, or a fault is in it.
    """
    Elsewhere.of(folder).check()
    backends.remove([file.parent for file in (folder.root / "clusters").glob("*/root.json")], progress=progress)
    folder.remove()


def _discard_or_tell(folder: LabFolder, progress: Progress) -> None:
    """As `discard`, while another error is on its way that matters more."""
    try:
        discard(folder, progress=progress)
    except FluxlabError as error:
        progress(f"{error.what}; next: fluxlab down {folder.name}")


def sweep(*, progress: Progress) -> None:
    """Remove what starts left half-made that were killed before the lab was described: Secrets may be in it.

    Whoever makes a lab holds its lock, so that what is being made right now is left alone. What the lab made outside
    its folder, and cannot be removed, is told of, and the folder stays.
    """
    for folder in lab_folders():
        if folder.spec.exists():
            continue
        # Whoever calls this has something else to do, or to tell.
        with suppress(FluxlabError, OSError), held(lock := folder.lock(), what=folder.name, timeout_seconds=0):
            if folder.root.exists() and not folder.spec.exists():
                progress(f"removing what a start of lab {folder.name} left half-made")
                with unbroken():
                    _reap(folder)
                    _discard_or_tell(folder, progress)
            if not folder.root.exists():
                forget(lock)


def end(folder: LabFolder, *, leave_clusters: bool = False, progress: Progress = lambda _: None) -> None:
    """End a lab and remove its folder; also one that starts, is half-made, or whose supervisor is gone.

    With `leave_clusters` what it made outside its folder is left there. Raises NotRemovedError, and the folder stays,
    when that cannot be removed.
    """

    def hurry() -> None:  # whoever starts it holds the lock until it is ready
        record = folder.read_record()
        if record and record.phase is Phase.STARTING and (process := record.supervisor.process()):
            with suppress(psutil.NoSuchProcess):
                process.terminate()

    lock = folder.lock()
    with held(lock, what=f"lab {folder.name}", timeout_seconds=END_TIMEOUT_SECONDS, waiting=hurry):
        if folder.root.exists():
            with unbroken():
                _reap(folder)
                if leave_clusters:
                    folder.remove()
                else:
                    discard(folder, progress=progress)
        forget(lock)


def started_here(folder: LabFolder) -> bool:
    """Whether the lab's supervisor was started by this process, not by another one, nor before."""
    return folder.root in _ours


def let_go(folder: LabFolder) -> None:
    """Have a lab that this process started with a lifeline stay when this process ends."""
    if starter := _ours.get(folder.root):
        starter.let_go()


def _reap(folder: LabFolder) -> None:
    """End the supervisor of a lab and all that it started."""
    record = folder.read_record()
    found = record.supervisor if record else Control(folder).answering()  # when somebody damaged the record
    reap([found] if found else [], grace_seconds=STOP_TIMEOUT_SECONDS)
    latest = folder.read_record() or record
    if record and latest:
        reap({*record.children.values(), *latest.children.values()})
    if starter := _ours.pop(folder.root, None):
        starter.close()
        starter.process.wait(STOP_TIMEOUT_SECONDS)
