"""Start the supervisor of a lab and end it, from outside: safe at any moment, whatever an earlier one left behind."""

import os
import subprocess
import sys
import time
from collections.abc import Callable

from fluxlab.errors import FluxlabError, UsageError
from fluxlab.processes import reap, tail
from fluxlab.spec import LabSpec
from fluxlab.state import SERVING, LabFolder, Phase, Record, held
from fluxlab.waiting import wait_until

from .control import Control

START_TIMEOUT_SECONDS = 180
STOP_TIMEOUT_SECONDS = 15
LOCK_TIMEOUT_SECONDS = 240

Progress = Callable[[str], None]


def alive(record: Record | None) -> bool:
    """Whether the supervisor of a record still runs."""
    return record is not None and record.supervisor.process() is not None


def launch(
    spec: LabSpec, *, progress: Progress, serving: Callable[[], None] = lambda: None, retain: bool = False
) -> None:
    """Have the lab of `spec` run and ready: start it, resume what a killed one left, or repair what died in it.

    `serving` is called as soon as git and charts are served, which is long before Flux acts: what is pushed there is
    in Flux's first fetch. A start that fails or is interrupted leaves nothing, unless the lab was there before, or `retain` asks for its
    folder to be kept.

    Raises:
        UsageError: A lab of that name runs with another spec.
        FluxlabError: It did not start; the facts quote why.
    """
    folder = LabFolder.named(spec.name)
    with held(folder.lock(), what=f"lab {spec.name}", timeout_seconds=LOCK_TIMEOUT_SECONDS):
        record = folder.read_record()
        if record and alive(record):
            _join(folder, spec, record, progress)
            serving()
            return
        fresh = not folder.spec.exists()
        if record:
            progress("reaping what an earlier run left")
            reap(record.children.values())
        _start(folder, spec, progress, serving=serving, keep=retain or not fresh)


def _join(folder: LabFolder, spec: LabSpec, record: Record, progress: Progress) -> None:
    if folder.spec.read_text() != spec.model_dump_json():
        raise UsageError(
            f"lab {spec.name} runs already, with another spec",
            facts=[f"it was started with {folder.spec.read_text()}"],
            hint=f"fluxlab down {spec.name}, or up with another --name",
        )
    if record.phase is Phase.STARTING:
        _await_ready(folder, progress, running=lambda: alive(folder.read_record()))
    for component in Control(folder).repair():
        progress(f"started again: {component}")


def _start(folder: LabFolder, spec: LabSpec, progress: Progress, *, serving: Callable[[], None], keep: bool) -> None:
    folder.create()
    folder.spec.write_text(spec.model_dump_json())
    (folder.root / "record.json").unlink(missing_ok=True)
    with folder.supervisor_log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "fluxlab.supervisor", str(folder.root)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
        )
    try:
        _await_ready(folder, progress, serving=serving, running=lambda: process.poll() is None)
    except BaseException:  # also Ctrl-C: whatever ends the start, the supervisor must not be left to itself
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
        if not keep:
            _remove(folder)
        raise


def _await_ready(
    folder: LabFolder,
    progress: Progress,
    *,
    running: Callable[[], bool],
    serving: Callable[[], None] = lambda: None,
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
                serving()
        if record and record.phase is Phase.FAILED:
            raise FluxlabError(f"lab {folder.name} did not start", facts=[record.error])
        if ended:
            quoted = tail(folder.supervisor_log)
            raise FluxlabError(f"lab {folder.name}: its supervisor ended while starting", facts=quoted)
        return record is not None and record.phase is Phase.READY

    wait_until(
        ready,
        what=f"lab {folder.name} becomes ready",
        timeout_seconds=START_TIMEOUT_SECONDS,
        state=lambda: "\n".join(tail(folder.supervisor_log)),
    )


def end(folder: LabFolder) -> None:
    """End a lab and remove its folder; also one that is half-made or whose supervisor is gone."""
    with held(folder.lock(), what=f"lab {folder.name}", timeout_seconds=LOCK_TIMEOUT_SECONDS):
        record = folder.read_record()
        if record:
            reap([record.supervisor], grace_seconds=STOP_TIMEOUT_SECONDS)
            latest = folder.read_record() or record
            reap([*record.children.values(), *latest.children.values()])
        if folder.root.exists():
            _remove(folder)


def _remove(folder: LabFolder) -> None:
    # First out of the way in one step: a removal that is interrupted leaves no half lab of that name.
    trash = folder.root.parent.parent / "trash"
    trash.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.root.rename(trash / f"{folder.name}.{os.getpid()}.{time.monotonic_ns()}")
    for rest in trash.iterdir():
        LabFolder(rest).remove()
