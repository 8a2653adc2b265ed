"""The asking side of the supervisor's private socket."""

import json
import socket
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path

from fluxlab.clusters.capabilities import UnsupportedError
from fluxlab.errors import FluxlabError, UnknownError, UsageError
from fluxlab.host import peer, socket_address
from fluxlab.host_rules import HostRule
from fluxlab.processes import Identity
from fluxlab.spec import SinkSpec
from fluxlab.state import LabFolder
from fluxlab.status import LabStatus
from fluxlab.unix_http import Answer, ask

STATUS_TIMEOUT_SECONDS = 10
"""It answers in milliseconds, or when clusters that are silent have had their time (`verbs`), which is less than this.

On a machine that does ten things at once it was seen to take seconds.
"""
CHANGE_TIMEOUT_SECONDS = 60
START_TIMEOUT_SECONDS = 360
"""What starts programs waits until they act: five minutes on kind, and some for what is to end before."""


_KINDS: Mapping[int, type[FluxlabError]] = {
    HTTPStatus.BAD_REQUEST: UsageError,
    HTTPStatus.NOT_IMPLEMENTED: UnsupportedError,
}


class SupervisorGoneError(UnknownError):
    """Nobody answers on the lab's socket."""


class UnfinishedError(UnknownError):
    """The supervisor is still at what it was asked to do."""


class Control:
    """The supervisor of a lab, asked.

    Every verb raises SupervisorGoneError when nobody answers, and all but `status` UnfinishedError when it takes long.
    """

    def __init__(self, folder: LabFolder) -> None:
        self._folder = folder

    def status(self, *, timeout_seconds: float | None = None) -> LabStatus:
        """How the lab is. By default nobody waits for that longer than a sound supervisor takes."""
        timeout = timeout_seconds or STATUS_TIMEOUT_SECONDS
        try:
            return LabStatus.model_validate_json(self._ask("GET", "/status", timeout=timeout))
        except UnfinishedError as error:
            raise self._gone(error.what) from error

    def stop(self) -> None:
        """End the lab; returns when the supervisor has heard it, not when it has ended."""
        self._change("/stop")

    def restart(self, component: str) -> None:
        """Stop and start one component, and whoever had to do without it. Raises UsageError on an unknown one."""
        self._change("/restart", component, timeout=self._patience)

    def repair(self, cluster: str = "") -> list[str]:
        """Start again what died, in one cluster or, without a name, in all of the lab; returns the names."""
        result = self._change("/repair", cluster, timeout=self._patience)
        return [str(name) for name in result] if isinstance(result, list) else []

    def allow(self, host: str) -> None:
        """Let the gateway pass a host through."""
        self._change("/allow", host)

    def serve_charts(self, url: str) -> None:
        """Answer for a chart repository at a public URL."""
        self._change("/charts", url)

    def serve_sink(self, sink: SinkSpec) -> None:
        """Answer for a public host at which alerts end. Raises UsageError for one at which there is something else."""
        self._change("/sink", sink.model_dump_json())

    def answering(self) -> Identity | None:
        """The process that listens on the lab's socket, if there is one."""
        try:
            with socket_address(self._folder.control_socket) as address, socket.socket(socket.AF_UNIX) as asking:
                asking.connect(address)
                return Identity.of(peer(asking))
        except OSError:
            return None

    def serve_registry(self, host: str) -> None:
        """Answer for an OCI registry at a public host."""
        self._change("/registry", host)

    def put_rule(self, rule: HostRule) -> None:
        """Have something wrong with a host that the gateway answers for; the same rule again changes nothing.

        Raises UsageError for a host that is not mapped. Rules go with the supervisor.
        """
        self._change("/rules/put", rule.model_dump_json())

    def lift_rules(self, id_: str) -> None:
        """Take out the gateway's rules of an id, if there are any."""
        self._change("/rules/lift", id_)

    def rules(self) -> Sequence[HostRule]:
        """The gateway's rules that are in, oldest first."""
        found = self._change("/rules")
        return [HostRule.model_validate(rule) for rule in found] if isinstance(found, list) else []

    def save_state(self, folder: Path) -> None:
        """Write what each cluster's etcd holds, without the lab's own tokens, to `<folder>/<cluster>.db`."""
        self._change("/state", str(folder))

    def load_state(self, folder: Path) -> None:
        """Have the etcd of each cluster go on with the data in `<folder>/<cluster>`, where there are some."""
        self._change("/load", str(folder), timeout=self._patience)

    @property
    def _patience(self) -> float:
        """For what starts programs in all clusters, one after the other."""
        clusters = len(list((self._folder.root / "clusters").glob("*")))
        return CHANGE_TIMEOUT_SECONDS + START_TIMEOUT_SECONDS * max(1, clusters)

    def _change(self, path: str, argument: str = "", *, timeout: float | None = None) -> object:
        content = json.dumps({"argument": argument})
        answer = self._ask("POST", path, content=content, timeout=timeout or CHANGE_TIMEOUT_SECONDS)
        return json.loads(answer)["result"]

    def _ask(self, method: str, path: str, *, content: str | None = None, timeout: float) -> bytes:
        try:
            answer = ask(self._folder.control_socket, method, path, content=content, timeout=timeout)
        except TimeoutError as error:
            what = f"lab {self._folder.name}: its supervisor did not finish {path.strip('/')} within {timeout:g} s"
            raise UnfinishedError(what, hint=f"fluxlab status --lab {self._folder.name}: it goes on") from error
        except OSError as error:
            raise self._gone(str(error)) from error
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise _error_of(answer)
        return answer.content

    def _gone(self, fact: str) -> SupervisorGoneError:
        return SupervisorGoneError(
            f"lab {self._folder.name}: its supervisor does not answer",
            facts=[fact],
            hint=f"fluxlab up --name {self._folder.name} (repairs it) or fluxlab down {self._folder.name}",
        )


def _error_of(answer: Answer) -> FluxlabError:
    try:
        known = json.loads(answer.content)
        kind = _KINDS.get(answer.status, FluxlabError)
        return kind(known["what"], facts=known["facts"], hint=known["hint"])
    except (ValueError, KeyError, TypeError):
        return FluxlabError("the supervisor failed", facts=[answer.content.decode(errors="replace")[:500]])
