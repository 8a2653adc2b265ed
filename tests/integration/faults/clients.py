"""Clients that owe nothing to fluxlab: git, and a fault that was planned but never injected."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from tests.integration.conftest import Observer

from fluxlab.faults.base import Ground, Injection
from fluxlab.faults.catalogue import AnyFault
from fluxlab.lab import Lab
from fluxlab.supervisor.way_out import way_out


@dataclass(frozen=True)
class Git:
    """git as a controller would run it: the public URL, through the gateway, with the lab's token."""

    lab: Lab
    folder: Path

    @property
    def url(self) -> str:
        return self.lab.spec.repository.url

    def start(self, *words: str) -> subprocess.Popen[str]:
        name = self.lab.spec.repository.name
        token = (self.lab.folder.repositories / f"{name}.token").read_text().strip()
        variables = way_out(self.lab.folder)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "HTTPS_PROXY": variables["HTTPS_PROXY"],
            "GIT_SSL_CAINFO": variables["SSL_CERT_FILE"],
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "echo",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.https://git:{token}@github.com/.insteadOf",
            "GIT_CONFIG_VALUE_0": "https://github.com/",
        }
        return subprocess.Popen(
            ["git", *words],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str) -> tuple[int, str, str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def ok(self, *words: str) -> str:
        code, out, err = self.run(*words)
        assert code == 0, err
        return out.strip()

    def refs(self) -> dict[str, str]:
        lines = [line.split("\t") for line in self.ok("ls-remote", self.url).splitlines()]
        return {name: commit for commit, name in lines}

    def head(self) -> str:
        return self.refs()["refs/heads/main"]

    def has(self, commit: str) -> bool:
        """Whether the server gives a commit to an empty repository."""
        self.ok("init", "--quiet", "--bare", f"has-{commit}")
        code, _, error = self.run(f"--git-dir=has-{commit}", "fetch", "--quiet", "--depth=1", self.url, commit)
        assert code == 0 or "not our ref" in error, error
        return code == 0


def never_injected(lab: Lab, fault: AnyFault) -> tuple[Ground, Injection[Any]]:
    """What `heal` and the proofs are given for a fault whose injection did nothing."""
    ground = lab._ground(lab.cluster.name)
    target = fault.candidates(ground)[0]
    parameters = fault.parameters()
    plan = fault.plan(ground, target, parameters, Random(7))  # noqa: S311
    return ground, Injection(id="none-123", target=target, parameters=parameters, undo=plan.undo)


def ready(observer: Observer, kind: str, name: str) -> tuple[str, str, str]:
    """Status, reason and message of the Ready condition, as kubectl shows them."""
    conditions = observer.get(kind, name, "-n", "flux-system").get("status", {}).get("conditions", [])
    found: dict[str, str] = next((one for one in conditions if one["type"] == "Ready"), {})
    return found.get("status", ""), found.get("reason", ""), found.get("message", "")
