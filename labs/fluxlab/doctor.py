"""Can this machine run a lab? Each finding is ok, bad, or unknown, with what to do."""

import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from fluxlab.clusters.capabilities import Capability, Footing
from fluxlab.clusters.root import Root
from fluxlab.commands import CommandError, run
from fluxlab.errors import FluxlabError
from fluxlab.host import unsupported
from fluxlab.ports import Ports
from fluxlab.state import lab_folders, state_folder

MINIMUM_GIT = (2, 31)
"""The first git that takes configuration from GIT_CONFIG_COUNT."""
OPEN_FILES = 1024
FREE_DISK_BYTES = 2_000_000_000


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    verdict: str
    """`ok`, `bad`, `unknown`, or `absent` for what some labs can do without."""
    detail: str
    hint: str = ""

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        return asdict(self)


def examine(*, backend: str = "") -> list[Finding]:
    """Look at everything that a lab needs from this machine; what is absent of a `backend` that was chosen is bad."""
    checks: tuple[Callable[[], Finding], ...] = (_system, _git, _toolchain, _state, _ports, _labs, _descriptors, _kind)
    findings = [check() for check in checks]
    chosen = f"backend {backend}"
    return [
        replace(one, verdict="bad") if (one.subject, one.verdict) == (chosen, "absent") else one for one in findings
    ]


def capabilities() -> dict[str, dict[str, str]]:
    """For each kind of cluster what it lacks, and why: `docs/backends.md` as data. Pods are taken for real ones."""
    return {
        str(footing): {
            str(one): reason
            for one in Capability
            if (reason := Root(footing=footing, simulated=footing is Footing.LOCAL).lacks(one))
        }
        for footing in Footing
    }


def _kind() -> Finding:
    from fluxlab.clusters.backends import kind_program  # noqa: PLC0415 # not every machine has it
    from fluxlab.clusters.kind_nodes import check, daemon  # noqa: PLC0415 # as above

    subject = "backend kind"
    try:
        with daemon() as client:
            check(client, wanted="")
            version = str(client.version()["Version"])
        kind_program()
    except FluxlabError as error:
        detail = "; ".join((error.what, *error.facts))
        return Finding(subject=subject, verdict="absent", detail=detail, hint=error.hint)
    return Finding(subject=subject, verdict="ok", detail=f"Docker {version}")


def _system() -> Finding:
    if reason := unsupported():
        return Finding(subject="operating system", verdict="bad", detail=reason)
    return Finding(subject="operating system", verdict="ok", detail=f"{platform.system()} {platform.machine()}")


def _git() -> Finding:
    try:
        words = run(["git", "version"]).stdout.split()
        version = tuple(int(part) for part in words[2].split(".")[:2])
    except CommandError:
        return Finding(subject="git", verdict="bad", detail="not found", hint="install git")
    except (ValueError, IndexError):
        return Finding(subject="git", verdict="unknown", detail="its version cannot be read")
    text = words[2]
    if version < MINIMUM_GIT:
        wanted = ".".join(map(str, MINIMUM_GIT))
        return Finding(
            subject="git", verdict="bad", detail=f"{text} is older than {wanted}", hint="install a newer git"
        )
    return Finding(subject="git", verdict="ok", detail=text)


def _toolchain() -> Finding:
    from fluxlab.toolchain import find  # noqa: PLC0415 # not needed when git is what is missing

    try:
        programs = find().programs
    except FluxlabError as error:
        return Finding(subject="toolchain", verdict="bad", detail=error.what, hint=error.hint)
    return Finding(subject="toolchain", verdict="ok", detail=f"{len(programs)} programs")


def _state() -> Finding:
    folder = state_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Finding(
            subject="state folder", verdict="bad", detail=str(error), hint="set FLUXLAB_STATE_DIR to a writable folder"
        )
    detail = f"{folder}, {free / 1e9:.1f} GB free"
    if not os.access(folder, os.W_OK):
        hint = "set FLUXLAB_STATE_DIR to a writable folder"
        return Finding(subject="state folder", verdict="bad", detail=f"{folder} cannot be written", hint=hint)
    if free < FREE_DISK_BYTES:
        return Finding(subject="state folder", verdict="bad", detail=detail, hint="free at least 2 GB")
    return Finding(subject="state folder", verdict="ok", detail=detail)


def _ports() -> Finding:
    ports = Ports()
    try:
        first = ports.reserve()
    except (FluxlabError, OSError) as error:
        return Finding(subject="ports", verdict="bad", detail=str(error))
    finally:
        ports.release()
    return Finding(subject="ports", verdict="ok", detail=f"free from 127.0.0.1:{first}")


def _labs() -> Finding:
    from fluxlab.supervisor.launch import alive  # noqa: PLC0415 # as above

    dead = [folder.name for folder in lab_folders() if not alive(folder.read_record())]
    if dead:
        detail = f"left behind by a supervisor that is gone: {', '.join(dead)}"
        return Finding(subject="labs", verdict="bad", detail=detail, hint=f"fluxlab down {dead[0]}")
    return Finding(subject="labs", verdict="ok", detail=f"{len(lab_folders())} running")


def _descriptors() -> Finding:
    import resource  # noqa: PLC0415 # not on every platform

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < OPEN_FILES:
        return Finding(subject="open files", verdict="bad", detail=f"limit {soft}", hint=f"ulimit -n {OPEN_FILES}")
    return Finding(subject="open files", verdict="ok", detail=f"limit {soft}")
