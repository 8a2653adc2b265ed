"""What a lab leaves on this machine, judged without fluxlab: from /proc (by psutil) and from the disk."""

import json
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
from tests.integration.conftest import CommandLine


def private(fluxlab: CommandLine) -> CommandLine:
    """The same command line with a home and a folder for temporary files of its own, so that all it writes shows."""
    places = {"HOME": fluxlab.folder / "home", "TMPDIR": fluxlab.folder / "tmp"}
    for place in places.values():
        place.mkdir(exist_ok=True)
    cache = os.environ.get("FLUXLAB_CACHE_DIR") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    named = {"FLUXLAB_CACHE_DIR": cache if os.environ.get("FLUXLAB_CACHE_DIR") else Path(cache) / "fluxlab"}
    return fluxlab.having(**{name: str(path) for name, path in {**places, **named}.items()})


def processes(fluxlab: CommandLine) -> dict[int, str]:
    """The processes of the labs of a command line."""
    return processes_in(fluxlab.state)


def processes_in(folder: Path) -> dict[int, str]:
    """Processes whose command line, working directory or environment points into a state folder, by pid."""
    state = str(folder)
    mine = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = {}
    for process in psutil.process_iter():
        try:
            if process.pid in mine or process.status() == psutil.STATUS_ZOMBIE:
                continue
            command = process.cmdline()
            places = [*command, process.cwd(), *process.environ().values()]
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if any(state in place for place in places):
            found[process.pid] = " ".join(command)[:120]
    return found


def leftovers(fluxlab: CommandLine) -> list[str]:
    """All that is still there of the labs of a command line: nothing, once they have ended."""
    running = [f"process {pid}: {command}" for pid, command in processes(fluxlab).items()]
    allowed = {fluxlab.state / name for name in ("labs", "trash", "locks", "pytest")}
    # A start that is killed leaves its lock, and all of them share a gate.
    locks = [*(fluxlab.state / "locks").glob("*.lock"), fluxlab.state / "locks" / ".gate"]
    allowed |= {path for path in locks if path.exists() and not path.read_bytes()}
    kept = [f"file {path}" for path in _below(fluxlab.state) if path not in allowed]
    places = [Path(fluxlab.environment.get(name, "/nowhere")) for name in ("HOME", "TMPDIR")]
    own = [place for place in places if place.is_relative_to(fluxlab.folder)]
    return [*running, *kept, *(f"file {path}" for place in own for path in _below(place))]


def _below(folder: Path) -> Iterator[Path]:
    # os.walk: it does not mind what vanishes while it looks.
    for parent, folders, files in os.walk(folder):
        yield from (Path(parent) / name for name in (*folders, *files))


def supervisor(fluxlab: CommandLine, lab: str) -> psutil.Process:
    """The one supervisor of a lab: what it says goes to the lab's log."""
    log = fluxlab.state / "labs" / lab / "supervisor.log"
    found = {}
    for pid in processes(fluxlab):
        with suppress(psutil.NoSuchProcess):  # git, say, ends while it is looked at
            if _writes_to(pid, log):
                found[psutil.Process(pid)] = psutil.Process(pid).ppid()
    first = [process for process, parent in found.items() if parent not in {one.pid for one in found}]  # forks, too
    assert len(first) == 1, found
    return first[0]


def _writes_to(pid: int, log: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/fd/1").readlink() == log
    except OSError:
        return False  # it ended, or is about to


def components(fluxlab: CommandLine, lab: str) -> dict[str, psutil.Process]:
    """The processes of a lab's components by program, as the kernel knows them."""
    return {Path(words[0]).name: child for child, words in children(supervisor(fluxlab, lab)).items()}


def children(parent: psutil.Process) -> dict[psutil.Process, list[str]]:
    """The children of a process that run now, with their command lines; a zombie has none."""
    found = {}
    for child in parent.children():
        with suppress(psutil.NoSuchProcess):
            found[child] = child.cmdline()
    return {child: words for child, words in found.items() if words}


def recorder_of(supervisor_pid: int | None) -> psutil.Process:
    """The process that records what happens in a lab."""
    assert supervisor_pid
    words = children(psutil.Process(supervisor_pid))
    [found] = [child for child, line in words.items() if "fluxlab.recorder" in line]
    return found


def component(fluxlab: CommandLine, lab: str, name: str) -> psutil.Process:
    """The process of one component."""
    return components(fluxlab, lab)[name]


def component_of(fluxlab: CommandLine, lab: str, cluster: str, name: str) -> psutil.Process:
    """The process of one component of one of several clusters: it reads files of that cluster."""
    place = f"/clusters/{cluster}/"
    words = children(supervisor(fluxlab, lab))
    found = [child for child, line in words.items() if Path(line[0]).name == name and place in " ".join(line)]
    assert len(found) == 1, words
    return found[0]


def ended(process: psutil.Process) -> bool:
    """Whether a process has ended, whoever has not yet asked for its exit code."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE or not process.is_running()
    except psutil.NoSuchProcess:
        return True


def listeners(fluxlab: CommandLine) -> Iterator[tuple[str, str, int]]:
    """(program, address, port) of all listening TCP sockets of a command line's labs."""
    for pid in processes(fluxlab):
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN:
                    yield process.name(), connection.laddr.ip, connection.laddr.port


def refuses_strangers(port: int) -> bool:
    """Whether a TLS server ends the connection of a client without a certificate, or answers it 401."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as plain, context.wrap_socket(plain) as secure:
            secure.sendall(b"GET /version HTTP/1.0\r\n\r\n")  # which Kubernetes tells anybody by default
            answer = secure.recv(64)
            return not answer or b" 401 " in answer
    except (ssl.SSLError, ConnectionResetError):
        return True


def record(fluxlab: CommandLine, lab: str) -> dict[str, object]:
    """The lab's record on disk; empty while there is none."""
    try:
        content = json.loads((fluxlab.state / "labs" / lab / "record.json").read_text())
    except (OSError, ValueError):
        return {}
    assert isinstance(content, dict)
    return content
