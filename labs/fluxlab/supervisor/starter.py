"""The pipe between a supervisor and the process that starts it: which lab to own, and whether the other still lives."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from fluxlab.errors import FluxlabError
from fluxlab.files import absolute_paths

from .template import Template

MODULE = "fluxlab.supervisor"
FREE = b"f"
"""The supervisor stays when its starter ends. Without this word the end of the pipe is the end of the lab."""
_PATH_VARIABLES = ("FLUXLAB_STATE_DIR", "FLUXLAB_CACHE_DIR", "FLUXLAB_TOOLCHAIN", "FLUXLAB_TOOLCHAIN_BUNDLE")
_LIST_VARIABLE = "KUBECONFIG"


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a supervisor is started for."""

    folder: Path
    """The lab's folder."""
    remove_orphaned: bool
    """Whether the folder goes, too, when the starter ends without having let go of the lab."""
    brief: bool
    """Whether the lab is not expected to live long: its programs then spare the processor rather than memory."""


class Starter:
    """The starter's side: a supervisor that loads its libraries and does nothing before its order."""

    def __init__(self, template: Template | None = None) -> None:
        """A copy of `template`, if there is one."""
        theirs, self._pipe = os.pipe()
        try:
            self.process = template.copy(_environment(), theirs) if template else _new_process(theirs)
        except BaseException:
            os.close(self._pipe)
            raise
        finally:
            os.close(theirs)

    def order(self, order: Order) -> None:
        """Tell it which lab to own; it begins at once. Raises FluxlabError when it has ended already."""
        words = {"folder": str(order.folder), "remove_orphaned": order.remove_orphaned, "brief": order.brief}
        try:
            os.write(self._pipe, json.dumps(words).encode() + b"\n")
        except BrokenPipeError:
            code = self.process.wait()
            raise FluxlabError(
                f"the supervisor of lab {order.folder.name} ended before it began", facts=[f"exit code {code}"]
            ) from None

    @property
    def holds(self) -> bool:
        """Whether it ends with this process."""
        return self._pipe >= 0

    def let_go(self) -> None:
        """Have it stay when this process ends; once more changes nothing."""
        if self.holds:
            with suppress(BrokenPipeError):  # it just ended: `status` says so
                os.write(self._pipe, FREE)
        self.close()

    def close(self) -> None:
        """Close this end of the pipe: without `let_go` before, the supervisor ends."""
        if self._pipe >= 0:
            os.close(self._pipe)
        self._pipe = -1


def _new_process(pipe: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", MODULE],
        stdin=pipe,
        stdout=subprocess.DEVNULL,
        env=_environment(),
        start_new_session=True,
        cwd="/",
    )


_loading: list[Starter] = []
_templates: list[Template] = []


@contextmanager
def loading_early() -> Iterator[None]:
    """Have a supervisor load while this process does; the first `start` within the context takes it."""
    _loading.append(Starter())
    try:
        yield
    finally:
        for unused in _loading:
            unused.close()
            unused.process.kill()
            unused.process.wait()
        _loading.clear()


@contextmanager
def copying() -> Iterator[None]:
    """Within the context each supervisor is a copy of one template."""
    template = Template(_environment())
    _templates.append(template)
    try:
        yield
    finally:
        _templates.remove(template)
        template.close()


def start() -> Starter:
    """A supervisor without an order yet."""
    if _loading:
        return _loading.pop()
    running = [template for template in _templates if template.running]
    return Starter(running[-1] if running else None)


def _environment() -> dict[str, str]:
    """The caller's, with paths that hold in any working directory, and without what points git elsewhere."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    paths = {name: os.path.abspath(inherited[name]) for name in _PATH_VARIABLES if inherited.get(name)}  # noqa: PTH100
    if several := inherited.get(_LIST_VARIABLE):
        paths[_LIST_VARIABLE] = absolute_paths(several)
    return {**inherited, **paths}


# -- the supervisor's side -----------------------------------------------------------------------------------------


def await_order(pipe: int) -> Order | None:
    """Wait for the order; None when the starter ended without one, so that nothing must begin."""
    line = bytearray()
    while not line.endswith(b"\n"):  # byte by byte: what follows the line is for `watch`
        byte = os.read(pipe, 1)
        if not byte:
            return None
        line += byte
    words = json.loads(line)
    return Order(folder=Path(words["folder"]), remove_orphaned=words["remove_orphaned"], brief=words["brief"])


def watch(pipe: int, orphaned: Callable[[], None]) -> None:
    """Call `orphaned`, in a thread, when the starter ends without having let go."""

    def wait() -> None:
        if os.read(pipe, 1) != FREE:
            orphaned()

    threading.Thread(target=wait, name="lifeline", daemon=True).start()
