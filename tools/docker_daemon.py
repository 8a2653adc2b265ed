"""A Docker daemon of one's own for kind clusters: its data, its socket and all its traces belong to one folder.

`python -m tools.docker_daemon start FOLDER` prints the DOCKER_HOST that kind, docker and its SDKs follow; `stop FOLDER`
ends exactly that daemon and puts the machine back as it was; images and stopped clusters stay in the folder. For root.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from tools.debian_packages import HINT, install
from tools.host_traces import Traces

from fluxlab.commands import CommandError, run
from fluxlab.errors import FluxlabError, UsageError, WaitTimeoutError
from fluxlab.waiting import wait_until

RUNTIME = Path(__file__).with_name("oci_runtime.py")
CAP_SYS_RESOURCE = 1 << 24
INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_INSTANCES = 1024
CHAIN = "DOCKER-USER"
START_SECONDS = 60
STOP_SECONDS = 90
"""dockerd gives each container 10 s, several at a time."""
QUOTED_LINES = 15
LONGEST_SOCKET = 60
"""containerd's sockets are deeper in the folder; the kernel allows 107."""


class DaemonError(FluxlabError):
    """The daemon did not start, did not end, or left something."""


@dataclass(frozen=True, kw_only=True)
class Daemon:
    """The daemon whose everything is in `folder`."""

    folder: Path

    @property
    def socket(self) -> Path:
        """Where it listens; nowhere else."""
        return self.folder / "docker.sock"

    @property
    def host(self) -> str:
        """The value for DOCKER_HOST."""
        return f"unix://{self.socket}"

    @property
    def log(self) -> Path:
        """What it says."""
        return self.folder / "dockerd.log"

    @property
    def _record(self) -> Path:
        """The machine before the start; gone once it is as before."""
        return self.folder / "machine-before.json"

    def docker(self, *arguments: str, timeout_seconds: float = 60) -> str:
        """The answer of one docker command to this daemon."""
        return run(["docker", "--host", self.host, *arguments], timeout_seconds=timeout_seconds).stdout

    def answers(self) -> bool:
        """Whether it can be used."""
        try:
            self.docker("version", "--format", "{{.Server.Version}}")
        except CommandError:
            return False
        return True

    def start(self) -> None:
        """Start it unless it runs; it outlives this process. Raises DaemonError with what to do."""
        if self._processes() and self.answers():
            return
        self._check()
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._record.exists():  # else an earlier daemon was killed: the machine is not as it was
            Traces.now().write(self._record)
        _raise_inotify_limit()
        (self.folder / "docker.pid").unlink(missing_ok=True)  # only ours writes there, and ours does not run
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True
            )
        try:
            wait_until(
                lambda: process.poll() is not None or self.answers(),
                what="the Docker daemon answers",
                timeout_seconds=START_SECONDS,
                interval_seconds=0.2,
            )
            if process.poll() is not None:
                raise DaemonError("the Docker daemon ended at once", facts=self._last_lines(), hint=f"read {self.log}")
            self._keep_traffic()
        except BaseException:
            self._end()
            raise

    def stop(self) -> None:
        """End it and its containers, and put the machine back. Raises DaemonError that names what is left."""
        if self._record.exists() and not self._daemons() and self._processes():
            self.start()  # killed: only a daemon can end the containers that it left
        self._end()

    def _end(self) -> None:
        for process in self._daemons():  # each ends its containerd, and that the rest
            process.send_signal(signal.SIGTERM)
        try:
            wait_until(
                lambda: not self._processes(),
                what=f"the Docker daemon in {self.folder} ends",
                timeout_seconds=STOP_SECONDS,
                interval_seconds=0.1,
                state=lambda: "\n".join(_command_line(process) for process in self._processes()),
            )
        except WaitTimeoutError as error:
            raise DaemonError(error.what, facts=[*error.facts, *self._last_lines()], hint="stop it again") from error
        for mount in sorted(self._mounts(), reverse=True):
            run(["umount", "--lazy", mount])
        if self._record.exists():
            Traces.read(self._record).restore()
            self._record.unlink()

    def status(self) -> str:
        """One line for people."""
        if not self._daemons():
            return f"no daemon runs for {self.folder}" + (
                "; `stop` cleans up after it" if self._record.exists() else ""
            )
        return f"DOCKER_HOST={self.host}  # {len(self.docker('ps', '--quiet').split())} containers run"

    def _command(self) -> list[str | Path]:
        command: list[str | Path] = ["dockerd", "--host", self.host, "--data-root", self.folder / "data"]
        command += ["--exec-root", self.folder / "exec", "--pidfile", self.folder / "docker.pid"]
        command += ["--bridge", "none", "--log-level", "warn"]  # kind makes a network of its own
        if _lacks_sys_resource():
            command += ["--add-runtime", f"fluxlab={self._write_runtime()}", "--default-runtime", "fluxlab"]
        return command

    def _write_runtime(self) -> Path:
        """A program for dockerd, which takes no arguments for one. -I and -S: nothing but the standard library."""
        file = self.folder / "oci-runtime"
        file.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "{RUNTIME}" "$@"\n')
        file.chmod(0o755)
        return file

    def _check(self) -> None:
        if sys.platform != "linux" or os.geteuid() != 0:
            raise DaemonError(
                "a Docker daemon of one's own needs Linux and root", hint="set DOCKER_HOST to another one"
            )
        for program in ("dockerd", "docker", "iptables-save"):
            if shutil.which(program) is None:
                raise DaemonError(f"{program} is not installed", hint=f"{HINT}, or set DOCKER_HOST to another daemon")
        ours = {process.pid for process in self._processes()}
        others = [process for process in psutil.process_iter() if _is_dockerd(process) and process.pid not in ours]
        if others:
            raise DaemonError(
                f"another Docker daemon runs (process {others[0].pid})",
                facts=["two daemons on one machine overwrite each other's iptables rules", _command_line(others[0])],
                hint="use that one: set DOCKER_HOST to its socket, or leave it unset for the default one; or stop it",
            )

    def _keep_traffic(self) -> None:
        """Containers reach each other and this machine; nothing of theirs leaves it."""
        with suppress(CommandError):  # dockerd makes the chain, but with a network in its folder only after a new one
            run(["iptables", "-w", "-N", CHAIN])
        _have_rule("FORWARD", "-j", CHAIN)
        for line in run(["ip", "-4", "route", "show", "default"]).stdout.splitlines():
            words = line.split()
            _have_rule(CHAIN, "-o", words[words.index("dev") + 1], "-j", "REJECT")

    def _processes(self) -> list[psutil.Process]:
        """The daemon, its containerd and their shims: all that were started with a path in the folder."""
        mark = f"{self.folder}/"
        return [p for p in psutil.process_iter() if mark in _command_line(p) and _program(p) in PROGRAMS]

    def _daemons(self) -> list[psutil.Process]:
        return [process for process in self._processes() if _program(process) == "dockerd"]

    def _mounts(self) -> Iterator[str]:
        for line in Path("/proc/mounts").read_text().splitlines():
            if line.split()[1].startswith(f"{self.folder}/"):
                yield line.split()[1]

    def _last_lines(self) -> list[str]:
        return self.log.read_text(errors="replace").splitlines()[-QUOTED_LINES:] if self.log.exists() else []


PROGRAMS = frozenset({"dockerd", "containerd", "containerd-shim-runc-v2", "docker-proxy"})


def _program(process: psutil.Process) -> str:
    return Path(_command_line(process).partition(" ")[0]).name


def _is_dockerd(process: psutil.Process) -> bool:
    """Whether it is a Docker daemon, wherever it was started. One that has just ended is a zombie for a moment."""
    try:
        return process.name() == "dockerd" and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""  # it has ended meanwhile; that of a zombie is empty too


def _raise_inotify_limit() -> None:
    """Let there be more watchers: systemd and the kubelet of each node take some, all counted as one user's.

    Source: kind's list of known issues. `stop` restores it with the rest.
    """
    if int(INOTIFY.read_text()) < INOTIFY_INSTANCES:
        INOTIFY.write_text(str(INOTIFY_INSTANCES))


def _have_rule(*rule: str) -> None:
    """Have a rule of iptables stand before all others of its chain."""
    try:
        run(["iptables", "-w", "-C", *rule])
    except CommandError:
        run(["iptables", "-w", "-I", *rule])


def _lacks_sys_resource() -> bool:
    """Whether this machine cannot hand out the capability: what is not in the bounding set cannot be had."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return not int(fields["CapBnd"], 16) & CAP_SYS_RESOURCE


def main() -> int:
    """Install, start, stop or look at a daemon."""
    parser = argparse.ArgumentParser(prog="python -m tools.docker_daemon", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("install", help="Debian's packages, as far as programs are missing")
    for verb in ("start", "stop", "status"):
        named = verbs.add_parser(verb)
        named.add_argument("folder", type=Path, help="holds its data and its socket: 10 GB should be free there")
    chosen = parser.parse_args()
    try:
        if chosen.verb == "install":
            install()
        else:
            print(_act(chosen.verb, Daemon(folder=chosen.folder.absolute())))
    except FluxlabError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _act(verb: str, daemon: Daemon) -> str:
    if len(str(daemon.socket)) > LONGEST_SOCKET:
        raise UsageError(f"{daemon.folder} is too long a path for sockets", hint="name a folder with a short path")
    if verb == "start":
        daemon.start()
    elif verb == "stop":
        daemon.stop()
    return daemon.status()


if __name__ == "__main__":
    sys.exit(main())
