"""What a person does with a lab: a clone, an edit, a plain `git push`; and what kubectl says came of it."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from tests.integration.conftest import CommandLine, Observer

CLUSTER_PATH = "clusters/flux-playground"


def git(*words: str | Path, cwd: Path) -> str:
    """Plain git, with the user's environment."""
    settings = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    done = subprocess.run(["git", *settings, *map(str, words)], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@dataclass(frozen=True)
class Person:
    """Somebody who works with one lab."""

    fluxlab: CommandLine
    lab: str
    clone: Path

    @classmethod
    def of(cls, fluxlab: CommandLine, lab: str) -> "Person":
        clone = fluxlab.folder / f"clone-{lab}"
        fluxlab.ok("clone", str(clone), f"--lab={lab}")
        return cls(fluxlab, lab, clone)

    @property
    def observer(self) -> Observer:
        return self.fluxlab.observer(self.lab)

    def push(self, name: str, value: str) -> str:
        """Commit a ConfigMap and push it; returns the commit."""
        manifest = f"""\
            apiVersion: v1
            kind: ConfigMap
            metadata: {{name: {name}, namespace: default}}
            data: {{value: "{value}"}}
            """
        file = self.clone / CLUSTER_PATH / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(manifest))
        return self.commit(f"Set {name} to {value}")

    def commit(self, message: str) -> str:
        """Commit all that is in the clone, and push; returns the commit."""
        git("add", "--all", cwd=self.clone)
        git("commit", "--quiet", f"--message={message}", cwd=self.clone)
        git("push", "--quiet", "origin", "HEAD:main", cwd=self.clone)
        return git("rev-parse", "HEAD", cwd=self.clone)

    def change(self, file: str, before: str, after: str, message: str) -> str:
        """Replace a text in a file, commit and push; returns the commit."""
        target = self.clone / file
        assert before in target.read_text()
        target.write_text(target.read_text().replace(before, after))
        git("commit", "--quiet", "--all", f"--message={message}", cwd=self.clone)
        git("push", "--quiet", "origin", "HEAD:main", cwd=self.clone)
        return git("rev-parse", "HEAD", cwd=self.clone)

    def sees(self, name: str, value: str) -> bool:
        """Whether kubectl shows the ConfigMap with that value."""
        answer = self.observer.kubectl("get", "configmap", name, "-o", "json", check=False)
        try:
            return bool(json.loads(answer)["data"]["value"] == value)
        except ValueError:
            return False

    def deploys(self, name: str) -> None:
        """Create a Deployment with kubectl and wait until its pod is Ready: API, controllers and KWOK all work."""
        self.observer.kubectl("create", "deployment", name, "--image=registry.example/none")
        self.observer.kubectl("rollout", "status", f"deployment/{name}", "--timeout=55s")
        self.observer.kubectl("delete", "deployment", name)
