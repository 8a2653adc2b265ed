"""Labs that are ready before somebody asks for them, and that end after nobody waits for it any more."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from .clusters.root import lasting
from .lab import Lab
from .limits import usable_cores, usable_memory
from .spec import LabSpec
from .state import LabFolder
from .supervisor.launch import end
from .supervisor.starter import copying

LAB_BYTES = 1_200_000_000
"""What a lab takes, with the demo in it (docs/performance.md)."""
KEPT_FREE_BYTES = 1_500_000_000
MOST_SPARES = 4
"""No test waits for more than the next lab or two."""
MOST_ENDINGS = 3
"""Labs that end at the same time before whoever gives back another one has to wait."""

LOOK_SECONDS = 0.05

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class LabRequest:
    """What a lab should be like. Its name is the pool's to choose."""

    spec: LabSpec
    base: Path = Path()
    """What paths in the spec are relative to."""
    snapshot: Path | None = None
    """The lab begins as this one was; of the spec only the name counts then."""

    def same(self, other: "LabRequest") -> bool:
        """Whether a lab for one serves the other."""
        return self.essence == other.essence

    @property
    def essence(self) -> tuple[LabSpec, Path, Path | None]:
        """All but the name."""
        return self.spec.model_copy(update={"name": LabSpec().name}), self.base.absolute(), self.snapshot


def default_spares(*, workers: int = 1) -> int:
    """How many labs to have ready in all: what free memory allows, and the cores that so many workers leave."""
    cores = usable_cores()
    free = usable_memory() - KEPT_FREE_BYTES - workers * LAB_BYTES
    return max(0, min(max(1, cores // 2), MOST_SPARES, cores - workers, int(free // LAB_BYTES)))


class Pool:
    """Starts labs on request and ahead of it. All of them end when this process does, whatever ends it."""

    def __init__(self, *, prefix: str, spares: int, timeout_factor: float = 1.0) -> None:
        """Labs are named by `prefix` and a number; at most `spares` are ready or starting before they are asked for."""
        self._prefix = prefix
        self._most = spares
        self._timeout_factor = timeout_factor
        self._number = 0
        self._spares: list[_Spare] = []
        self._endings: list[_Background] = []
        self._ending = threading.BoundedSemaphore(MOST_ENDINGS)
        self._copying = ExitStack()
        self._copying.enter_context(copying())
        self.troubles: list[str] = []
        """What went wrong in the background: a lab that could not be ended."""

    def prepare(self, *requests: LabRequest) -> None:
        """Have spares for what will be asked for next, in this order; others end where there are too many."""
        wanted = list(requests[: self._most])
        kept: list[_Spare] = []
        for spare in self._spares:
            match = next((request for request in wanted if request.same(spare.request)), None)
            if match:
                wanted.remove(match)
                kept.append(spare)
        for spare in [spare for spare in self._spares if spare not in kept]:
            if len(kept) + len(wanted) < self._most:
                kept.append(spare)
            else:
                self._give_up(spare)
        if usable_memory() < KEPT_FREE_BYTES + LAB_BYTES:
            wanted = []
        self._spares = [*kept, *map(self._begin, wanted)]

    def take(self, request: LabRequest) -> Lab:
        """A lab that nobody has used, with its scenarios arrived. Raises what `Lab.up` and `Lab.converge` raise."""
        for spare in self._spares:
            if spare.request.same(request):
                self._spares.remove(spare)
                if lab := self._sound(spare):
                    return lab
                break
        return self._start(request, self._next_name())

    def give_back(self, lab: Lab) -> None:
        """End a lab in the background; at once where it is in somebody's cluster, in which the next one may be, too."""
        if lasting(lab.folder.root):
            self._noting_troubles(lab.name, lab.down)
            return
        self._ending.acquire()

        def finish() -> None:
            try:
                lab.down()
            finally:
                self._ending.release()

        self._end_in_background(lab.name, finish)

    def close(self) -> None:
        """End all spares, and wait until everything that was given back has ended."""
        for spare in self._spares:
            self._give_up(spare)
        self._spares.clear()
        for ending in self._endings:
            ending.join()
        self._copying.close()

    # -- in the background ---------------------------------------------------------------------------------------

    def _next_name(self) -> str:
        self._number += 1
        return f"{self._prefix}-{self._number}"

    def _begin(self, request: LabRequest) -> "_Spare":
        name = self._next_name()
        started: Future[Lab] = Future()

        def start() -> None:
            try:
                started.set_result(self._start(request, name))
            except BaseException as error:  # noqa: BLE001 # whoever takes it is told by a start of their own
                log.info("spare %s: %s", name, error)
                started.set_exception(error)

        _Background(start, name=f"start {name}")
        return _Spare(request=request, name=name, started=started)

    def _start(self, request: LabRequest, name: str) -> Lab:
        if request.snapshot:
            lab = Lab.restore(request.snapshot, name=name, lifeline=True)
        else:
            spec = request.spec.model_copy(update={"name": name})
            lab = Lab.up(spec, base=request.base, lifeline=True)
        lab.timeout_factor = self._timeout_factor
        if request.spec.scenarios and not request.snapshot:
            try:
                lab.converge(until_asked=True)
            except BaseException:
                lab.down()
                raise
        return lab

    def _sound(self, spare: "_Spare") -> Lab | None:
        """The spare, unless it did not start or died while it waited."""
        well = False
        try:
            well = spare.started.result().status().well
        except Exception as error:  # noqa: BLE001 # whoever asks is told by a start of their own
            log.info("spare %s: %s", spare.name, error)
        finally:  # also when a person interrupts
            if not well:
                self._give_up(spare)
        return spare.started.result() if well else None

    def _give_up(self, spare: "_Spare") -> None:
        def finish() -> None:
            folder = LabFolder.named(spare.name)
            while not spare.started.done():  # a start that is interrupted ends at once, and leaves nothing
                end(folder)
                wait([spare.started], timeout=LOOK_SECONDS)
            if spare.started.exception() is None:
                spare.started.result().down()

        self._end_in_background(spare.name, finish)

    def _end_in_background(self, name: str, finish: Callable[[], None]) -> None:
        self._endings = [ending for ending in self._endings if ending.running]
        self._endings.append(_Background(lambda: self._noting_troubles(name, finish), name=f"end {name}"))

    def _noting_troubles(self, name: str, finish: Callable[[], None]) -> None:
        try:
            finish()
        except Exception as error:  # noqa: BLE001 # told by `close`: nobody waits here
            self.troubles.append(f"lab {name} was not ended: {error}")


@dataclass(frozen=True, kw_only=True)
class _Spare:
    request: LabRequest
    name: str
    started: "Future[Lab]"


class _Background:
    """A thread that does not keep the process from ending: the lifelines see to the labs."""

    def __init__(self, act: Callable[[], None], *, name: str) -> None:
        self._thread = threading.Thread(target=act, name=name, daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def join(self) -> None:
        self._thread.join()
