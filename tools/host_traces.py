"""What a Docker daemon and the kubelets in its containers change on the machine: recorded before, put back after.

dockerd sets net.ipv4.ip_forward, the policy of FORWARD, chains and rules. Some sysctls are the whole machine's wherever
they are set: a kubelet sets what it needs (setupKernelTunables in pkg/kubelet/cm/container_manager_linux.go), systemd
in a node raises fs.file-max, and sets what files in the node's /usr/lib/sysctl.d say.
"""

import json
import re
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from fluxlab.commands import run

SYSCTLS = Path("/proc/sys")
SETTINGS = (
    *("fs/file-max", "fs/nr_open", "kernel/pid_max", "fs/inotify/max_user_instances"),
    *("fs/protected_fifos", "fs/protected_hardlinks", "fs/protected_regular", "fs/protected_symlinks"),
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "net/bridge/bridge-nf-call-ip6tables",
    "net/bridge/bridge-nf-call-iptables",
    "net/ipv4/ip_forward",
    "net/ipv6/conf/all/forwarding",
    "net/ipv6/conf/default/forwarding",
)
BRIDGE = re.compile(r"br-[0-9a-f]{12}|docker0")
"""As Docker names the bridges of its networks."""
CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, kw_only=True)
class Traces:
    """The machine before the daemon."""

    sysctls: dict[str, str]
    rules: list[str]
    """What iptables-save prints, without counters."""
    links: list[str]
    cgroups: list[str]
    """Docker's own, which an earlier daemon may have left."""

    @classmethod
    def now(cls) -> "Traces":
        """The machine as it is."""
        found = {name: _read(name) for name in SETTINGS if (SYSCTLS / name).exists()}
        return cls(sysctls=found, rules=_saved(), links=_links(), cgroups=_docker_cgroups())

    def write(self, file: Path) -> None:
        """Keep it."""
        file.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def read(cls, file: Path) -> "Traces":
        """What `write` kept."""
        return cls(**json.loads(file.read_text()))

    def restore(self) -> None:
        """Take away what a daemon left that has ended: bridges, rules, sysctls, empty control groups."""
        bridges = [name for name in _links() if BRIDGE.fullmatch(name) and name not in self.links]
        for name in bridges:
            run(["ip", "link", "delete", name])
        after = without_docker(_saved(counters=True), before=self.rules)
        if after:
            run(["iptables-restore", "--counters"], stdin="\n".join([*after, ""]))
        for name, value in self.sysctls.items():
            if _read(name) != value:
                (SYSCTLS / name).write_text(value)
        for folder in _docker_cgroups():
            if folder not in self.cgroups:
                with suppress(OSError):  # of a daemon that somebody else started meanwhile
                    _remove_cgroup(Path(folder))


def without_docker(dump: list[str], *, before: list[str]) -> list[str]:
    """A dump of iptables-save without what Docker added; empty when there is nothing to change.

    Policies become what they were `before`. Rules of others stay, also those that came meanwhile.
    """
    kept_rules, policies = set(before), _policies(before)
    result, table = [], ""
    for line in dump:
        if line.startswith("*"):
            table = line
        text = re.sub(r"^\[\d+:\d+\] ", "", line)
        is_docker = bool(re.search(r"[ :]DOCKER", text) or BRIDGE.search(text))
        if is_docker and text not in kept_rules and re.sub(r" \[.*", "", text) not in _chains(before):
            continue
        if line.startswith(":"):
            chain, policy, counters = line.split(" ")
            result.append(f"{chain} {policies.get((table, chain), _reset(policy))} {counters}")
        else:
            result.append(line)
    return result if result != dump else []


def _reset(policy: str) -> str:
    """The policy of a chain that was not there before: Docker sets DROP, the kernel's own is ACCEPT."""
    return "ACCEPT" if policy == "DROP" else policy


def _policies(dump: list[str]) -> dict[tuple[str, str], str]:
    found, table = {}, ""
    for line in dump:
        if line.startswith("*"):
            table = line
        elif line.startswith(":"):
            chain, policy, *_ = line.split(" ")
            found[table, chain] = policy
    return found


def _chains(dump: list[str]) -> set[str]:
    return {re.sub(r" \[.*", "", line) for line in dump if line.startswith(":")}


def _saved(*, counters: bool = False) -> list[str]:
    lines = run(["iptables-save", *(["--counters"] if counters else [])]).stdout.splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _links() -> list[str]:
    return sorted(name for _, name in socket.if_nameindex())


def _docker_cgroups() -> list[str]:
    """Its group in each hierarchy; with cgroup v2 there is one."""
    return [str(folder) for folder in (CGROUPS / "docker", *CGROUPS.glob("*/docker")) if folder.is_dir()]


def _remove_cgroup(folder: Path) -> None:
    for child in folder.iterdir():
        if child.is_dir():
            _remove_cgroup(child)
    folder.rmdir()


def _read(name: str) -> str:
    return (SYSCTLS / name).read_text().strip()
