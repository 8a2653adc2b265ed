"""Other programs, pointed at a lab: which cluster they mean, and which of them go through the lab's gateway."""

import os
import shlex
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from fluxlab import shells
from fluxlab.command_lines import TOOLS
from fluxlab.errors import UsageError
from fluxlab.lab import Lab
from fluxlab.shells import shell_environment
from fluxlab.state import LabFolder

SHOWS = """\
#!/bin/sh
echo "${HTTPS_PROXY:-no proxy}" "$KUBECONFIG"
for word in "$@"; do echo "<$word>"; done
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A lab in a folder with a difficult name, and programs that show what they are given."""
    monkeypatch.setenv("FLUXLAB_STATE_DIR", str(tmp_path / "it's a $(state)"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    programs = tmp_path / "some 'programs'"
    programs.mkdir()
    for tool in TOOLS:
        (programs / tool).write_text(SHOWS)
        (programs / tool).chmod(0o755)
    monkeypatch.setattr(shells, "find", lambda: SimpleNamespace(binary=lambda tool: programs / tool))
    folder = LabFolder.named("one")
    folder.create()
    folder.spec.write_text('{"name": "one", "clusters": [{"name": "staging"}, {"name": "production"}]}')
    let_out(folder, "http://first@127.0.0.1:1")
    return Lab(folder)


def let_out(folder: LabFolder, proxy: str) -> None:
    folder.way_out.write_text(f"export HTTPS_PROXY={shlex.quote(proxy)}\n")


def asked(environment: dict[str, str], *words: str) -> list[str]:
    """What a program of that environment shows."""
    given = {**os.environ, **environment}
    command = shlex.join(words)
    return subprocess.run(
        ["/bin/sh", "-c", command], env=given, capture_output=True, text=True, check=True
    ).stdout.splitlines()


def test_a_shell_knows_the_lab_and_all_its_clusters_the_first_one_before_the_others(lab: Lab) -> None:
    found = shell_environment(lab)
    assert found["FLUXLAB_LAB"] == "one"
    assert found["KUBECONFIG"].split(":") == [str(lab.folder.kubeconfig(name)) for name in ("staging", "production")]
    assert found["PATH"].endswith(":/usr/bin:/bin")


def test_a_shell_may_know_one_cluster_only(lab: Lab) -> None:
    assert shell_environment(lab, cluster="production")["KUBECONFIG"] == str(lab.folder.kubeconfig("production"))
    with pytest.raises(UsageError, match="no cluster 'prod'"):
        shell_environment(lab, cluster="prod")


@pytest.mark.parametrize(
    ("tool", "proxy"),
    [("kubectl", "no proxy"), ("flux", "http://first@127.0.0.1:1"), ("helm", "http://first@127.0.0.1:1")],
)
def test_only_what_speaks_to_public_hosts_goes_through_the_gateway(lab: Lab, tool: str, proxy: str) -> None:
    found = shell_environment(lab)
    shown = asked(found, tool, "get", "a b", "$HOME", "-o", "it's")
    assert shown == [f"{proxy} {found['KUBECONFIG']}", "<get>", "<a b>", "<$HOME>", "<-o>", "<it's>"]


def test_a_shell_that_was_opened_before_goes_through_the_gateway_of_a_later_supervisor(lab: Lab) -> None:
    found = shell_environment(lab)
    let_out(lab.folder, "http://second@127.0.0.1:2")
    assert asked(found, "helm")[0].startswith("http://second@127.0.0.1:2 ")
    assert "127.0.0.1" not in "".join(found.values())


def test_the_tools_are_their_owners_only(lab: Lab) -> None:
    shell_environment(lab)
    for tool in TOOLS:
        assert (lab.folder.root / "bin" / tool).stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("tool", TOOLS)
def test_what_a_tool_remembers_of_an_api_goes_with_the_lab(lab: Lab, tmp_path: Path, tool: str) -> None:
    (tmp_path / "some 'programs'" / tool).write_text('#!/bin/sh\necho "$KUBECACHEDIR"\n')
    (tmp_path / "some 'programs'" / tool).chmod(0o755)
    [place] = asked(shell_environment(lab), tool)
    assert Path(place).is_relative_to(lab.folder.root)
