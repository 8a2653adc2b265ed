"""How each edit of the table is made by each actor, on a real cluster."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubernetes import client, config
from tests.integration.drift_cells import Cell

from fluxlab.documents import Json, JsonObject
from fluxlab.toolchain import find

CHANGES: Mapping[str, JsonObject] = {
    "modify": {"data": {"colour": "blue"}},
    "add": {"data": {"more": "x"}},
    "remove": {"data": {"colour": None}},
    "scale": {"spec": {"replicas": 2}},
    "scale-undeclared": {"spec": {"replicas": 2}},
    "same": {"data": {"colour": "red"}},
}
"""What is changed of an object, as a merge patch."""
TEXTS = {
    "modify": ("  colour: red\n", "  colour: blue\n"),
    "add": ("data:\n", "data:\n  more: x\n"),
    "remove": ("  colour: red\n", ""),
    "scale": ("  replicas: 1\n", "  replicas: 2\n"),
    "scale-undeclared": ("  replicas: 1\n", "  replicas: 2\n"),
}
"""What somebody replaces in an editor."""
EDITOR = """
import pathlib, sys
before, after, name = sys.argv[1:]
file = pathlib.Path(name)
text = file.read_text()
assert before in text, text
file.write_text(text.replace(before, after, 1))
"""


@dataclass(frozen=True)
class Actors:
    """All who edit, as alice, with programs of their own."""

    kubeconfig: Path
    manifests: Mapping[Cell, JsonObject]
    """The object of each cell as git has it, or as it is to be made."""
    chart: Path
    """Makes what its values say."""
    api: Any = field(init=False)

    def __post_init__(self) -> None:
        # The official client has no types.
        api = config.new_client_from_config(str(self.kubeconfig))  # type: ignore[no-untyped-call]
        api.user_agent = "inventory/1.0"
        api.set_default_header("Impersonate-User", "alice")
        api.set_default_header("Impersonate-Group", "system:masters")
        object.__setattr__(self, "api", api)

    def act(self, cell: Cell) -> None:
        """Make the edit of a cell."""
        by: Mapping[str, Callable[[Cell], None]] = {
            "edit": self._edit,
            "apply": self._apply,
            "kubectl": self._command,
            "ssa": self._server_side,
            "node-fetch": self._server_side,
            "alice": self._server_side,
            "python": self._python,
            "hpa": self._autoscaler,
            "helm": self._helm,
        }
        by[cell.actor](cell)

    def kubectl(
        self, *words: str, stdin: JsonObject | None = None, environment: Mapping[str, str] | None = None
    ) -> str:
        """What kubectl prints for alice."""
        as_alice = ("--as=alice", "--as-group=system:masters")
        return self._run("kubectl", *as_alice, *words, stdin=stdin, environment=environment)

    def _run(
        self, program: str, *words: str, stdin: JsonObject | None, environment: Mapping[str, str] | None = None
    ) -> str:
        done = subprocess.run(
            [str(find().binary(program)), f"--kubeconfig={self.kubeconfig}", *words],
            input=None if stdin is None else json.dumps(stdin),
            stdin=subprocess.DEVNULL if stdin is None else None,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def _edit(self, cell: Cell) -> None:
        editor = shlex.join([sys.executable, "-c", EDITOR, *TEXTS[cell.edit.name]])
        self.kubectl("edit", *_place(cell), environment={"KUBE_EDITOR": editor})

    def _apply(self, cell: Cell) -> None:
        manifest = self.manifests[cell]
        if cell.edit.name == "remove":  # kubectl only removes what it has applied before
            self.kubectl("apply", "-f", "-", stdin=manifest)
        self.kubectl("apply", "-f", "-", stdin=merged(manifest, CHANGES.get(cell.edit.name, {})))

    def _command(self, cell: Cell) -> None:
        match cell.edit.name:
            case "delete":
                self.kubectl("delete", *_place(cell))
            case "new":
                self.kubectl("create", "-f", "-", stdin=self.manifests[cell])
            case "scale" | "scale-undeclared":
                self.kubectl("scale", *_place(cell), "--replicas=2")
            case change:
                self.kubectl("patch", *_place(cell), "--type=merge", f"--patch={json.dumps(CHANGES[change])}")

    def _server_side(self, cell: Cell) -> None:
        manager = "kubectl" if cell.actor == "ssa" else cell.actor
        words = ("apply", "--server-side", "--force-conflicts", f"--field-manager={manager}", "-f", "-")
        bare = {key: value for key, value in self.manifests[cell].items() if key in {"apiVersion", "kind"}}
        metadata = {"name": cell.name, "namespace": cell.owner}
        if cell.edit.name == "new":
            self.kubectl(*words, stdin=self.manifests[cell])
            return
        if cell.edit.name == "remove":  # who has taken a field over can leave it out
            self.kubectl(*words, stdin={**bare, "metadata": metadata, **CHANGES["modify"]})
        self.kubectl(*words, stdin=merged({**bare, "metadata": metadata}, CHANGES[cell.edit.name]))

    def _python(self, cell: Cell) -> None:
        core, apps = client.CoreV1Api(self.api), client.AppsV1Api(self.api)
        manifest: Any = self.manifests[cell]
        change = dict(CHANGES.get(cell.edit.name, {}))
        match cell.edit.name:
            case "delete":
                core.delete_namespaced_config_map(cell.name, cell.owner)
            case "new":
                core.create_namespaced_config_map(cell.owner, manifest)
            case "scale" | "scale-undeclared":
                apps.patch_namespaced_deployment(cell.name, cell.owner, change)
            case _:
                core.patch_namespaced_config_map(cell.name, cell.owner, change)

    def _autoscaler(self, cell: Cell) -> None:
        """It acts by itself: git has it."""
        self.kubectl("wait", *_place(cell), "--for=jsonpath={.spec.replicas}=2", "--timeout=60s")

    def _helm(self, cell: Cell) -> None:
        left = [] if cell.edit.name == "delete" else [merged(self.manifests[cell], CHANGES[cell.edit.name])]
        words = ("upgrade", cell.release, str(self.chart), f"--namespace={cell.owner}", "--force-conflicts")
        self._run(
            "helm",
            *words,
            "--values=-",
            "--kube-as-user=alice",
            "--kube-as-group=system:masters",
            stdin={"objects": left},
        )


def merged(document: JsonObject, change: JsonObject) -> JsonObject:
    """A document with a merge patch (RFC 7386) made to it."""
    changed: dict[str, Json] = dict(document)
    for key, value in change.items():
        before = changed.pop(key, None)
        if isinstance(value, Mapping):
            changed[key] = merged(before if isinstance(before, Mapping) else {}, value)
        elif value is not None:
            changed[key] = value
    return changed


def _place(cell: Cell) -> tuple[str, ...]:
    return (cell.edit.kind.lower(), cell.name, f"--namespace={cell.owner}")
