"""The recipes of docs/ci.md do what they say: their commands are run, with fluxlab as it is here already installed."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.integration.conftest import CommandLine

from fluxlab.toolchain import find

pytestmark = pytest.mark.integration
DOCUMENT = Path(__file__).parents[2] / "docs" / "ci.md"
SUITE = """\
def test_a_commit_arrives(lab):
    probe = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe", "namespace": "default"}}
    lab.repository.write("clusters/flux-playground/probe.yaml", probe)
    lab.converge(lab.repository.commit("Add a probe"))


def test_fails(lab):
    assert lab.name == "nobody"
"""


def recipe(heading: str) -> Any:
    section = DOCUMENT.read_text().partition(f"## {heading}\n")[2]
    found = re.search(r"```yaml\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    assert found
    return yaml.safe_load(found[1])


def github() -> list[str]:
    steps = recipe("GitHub Actions")["jobs"]["test"]["steps"]
    return [step["run"] for step in steps if "run" in step]


def gitlab() -> list[str]:
    job = recipe("GitLab CI")["gitops"]
    return ["\n".join([*job["before_script"], *job["script"]])]


@pytest.mark.verify
@pytest.mark.parametrize("scripts", [github(), gitlab()], ids=["github", "gitlab"])
def test_a_recipe_builds_a_bundle_once_and_then_installs_it(fluxlab: CommandLine, scripts: list[str]) -> None:
    programs = find().binary("flux").parent.parent  # stands for a build, which takes its time
    cache = fluxlab.folder / "cache"
    (fluxlab.folder / "test_suite.py").write_text(SUITE)
    (fluxlab.folder / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider\n")
    environment = {
        **{name: value for name, value in fluxlab.environment.items() if "XDIST" not in name},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "GITHUB_OUTPUT": str(fluxlab.folder / "output"),
        "FLUXLAB_CACHE_DIR": str(cache),
    }
    cache.mkdir()
    for first in (True, False):
        if first:
            (cache / "toolchain").symlink_to(programs)
        else:
            (cache / "toolchain").unlink()
            (fluxlab.folder / "junit.xml").unlink()
        said = ""
        for number, script in enumerate(scripts):
            mine = "\n".join(line for line in script.splitlines() if not line.startswith("pip install"))
            done = subprocess.run(
                ["bash", "-e", "-c", mine],
                cwd=fluxlab.folder,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            said += done.stdout + done.stderr
            assert done.returncode == (1 if number == len(scripts) - 1 else 0), said  # the planted failure
        assert "1 failed, 1 passed" in said
        if len(scripts) > 1:  # GitHub's key for the bundle
            assert re.search(r"^toolchain=[0-9a-f]{64}$", (fluxlab.folder / "output").read_text(), re.MULTILINE)
        assert ("installed 15 programs" in said) is not first
        assert "ok       toolchain: 15 programs" in said
        assert 'name="fluxlab_artifacts"' in (fluxlab.folder / "junit.xml").read_text()
        [evidence] = (fluxlab.folder / "evidence").iterdir()
        assert evidence.name == "test_suite.py-test_fails"
        assert (fluxlab.folder / "toolchain.tar.zst").is_file()


STAND_IN = """\
#!/bin/sh
echo "$*" >> calls
case "$2" in
  install) grep -q sound "$3" ;;
  bundle) echo sound > "$3" ;;
  key) echo 0123 ;;
esac
"""


@pytest.mark.parametrize("scripts", [github()[:-1], gitlab()[-1].partition("\npytest")[:1]], ids=["github", "gitlab"])
@pytest.mark.parametrize(
    ("kept", "done"),
    [("", ["build", "bundle"]), ("of another toolchain", ["install", "build", "bundle"]), ("sound", ["install"])],
    ids=["none", "refused", "sound"],
)
def test_a_bundle_that_is_refused_is_made_anew(
    tmp_path: Path, scripts: Sequence[str], kept: str, done: list[str]
) -> None:
    (tmp_path / "fluxlab").write_text(STAND_IN)
    (tmp_path / "fluxlab").chmod(0o755)
    bundle = tmp_path / "toolchain.tar.zst"
    if kept:
        bundle.write_text(f"{kept}\n")
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "GITHUB_OUTPUT": str(tmp_path / "output")}
    for script in scripts:
        mine = "\n".join(line for line in script.splitlines() if not line.startswith("pip install"))
        subprocess.run(["bash", "-e", "-c", mine], cwd=tmp_path, env=environment, check=True)
    calls = [line.split()[1] for line in (tmp_path / "calls").read_text().splitlines()]
    assert [call for call in calls if call != "key"] == done
    assert bundle.read_text() == "sound\n"


def test_a_cache_that_is_never_written_anew_has_the_key_of_the_toolchain() -> None:
    steps = recipe("GitHub Actions")["jobs"]["test"]["steps"]
    [told] = [step for step in steps if step.get("id") == "fluxlab"]
    [cache] = [step for step in steps if step.get("uses", "").startswith("actions/cache@")]
    assert told["run"] == 'echo "toolchain=$(fluxlab toolchain key)" >> "$GITHUB_OUTPUT"'
    assert cache["with"]["key"] == "fluxlab-${{ steps.fluxlab.outputs.toolchain }}"


def test_what_a_recipe_keeps_is_what_the_run_writes() -> None:
    upload = recipe("GitHub Actions")["jobs"]["test"]["steps"][-1]["with"]["path"].split()
    job = recipe("GitLab CI")["gitops"]
    assert upload == ["junit.xml", "evidence"] == [job["artifacts"]["reports"]["junit"], *job["artifacts"]["paths"]]
    assert job["cache"]["paths"] == ["toolchain.tar.zst"]
