"""The value of a Secret is typed where nobody else reads it: at a prompt, and on no command line."""

import os
import pty
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from fluxlab.cli import app
from fluxlab.state import LabFolder

VALUE = "s3cret-typed"
HANDED_ON = """
import os, pathlib, fluxlab.cluster
def keep(api, place, key, value, **_):
    pathlib.Path(os.environ["KEPT"]).write_text(f"{place} {key} {value}")
fluxlab.cluster.KubeApi.from_kubeconfig = lambda _: None
fluxlab.cluster.Kinds = lambda _: None
fluxlab.cluster.set_secret = keep
from fluxlab.cli.app import main
main()
"""


@pytest.mark.parametrize(
    "words",
    [
        ("default/x", "KEY", VALUE),
        ("default/x", "KEY", VALUE, "--create-namespace"),
        ("default/x", "KEY", f"--{VALUE}"),
        ("default/x", "KEY", "--value", VALUE),
        ("default/x", "KEY", f"--value={VALUE}"),
        ("default/x", f"KEY={VALUE}"),
        ("default/x", "KEY", f"--from-env={VALUE}"),
    ],
)
@pytest.mark.usefixtures("state_dir")
def test_a_value_on_the_command_line_is_refused_and_not_repeated(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    LabFolder.named("one").create()
    LabFolder.named("one").spec.write_text('{"name": "one"}')
    monkeypatch.setattr("sys.argv", ["fluxlab", "secret", "set", *words])
    with pytest.raises(SystemExit) as ended:
        app.main()
    shown = capsys.readouterr()
    assert ended.value.code == 64
    assert VALUE not in shown.out + shown.err
    assert "error: " in shown.err
    assert "--from-env VARIABLE" in shown.err


def test_what_is_typed_at_the_prompt_is_handed_on_and_not_shown(state_dir: Path, tmp_path: Path) -> None:
    LabFolder.named("one").create()
    LabFolder.named("one").spec.write_text('{"name": "one"}')
    kept = tmp_path / "kept"
    words = [sys.executable, "-c", HANDED_ON, "secret", "set", "default/x", "KEY"]
    terminal, theirs = pty.openpty()
    environment = {**os.environ, "KEPT": str(kept), "FLUXLAB_STATE_DIR": str(state_dir)}
    with subprocess.Popen(
        words, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    ) as program:
        os.close(theirs)
        shown = read_until(terminal, "KEY of Secret default/x: ")
        os.write(terminal, f"{VALUE}\n".encode())
        shown += read_until(terminal, "")
    os.close(terminal)
    assert (program.returncode, kept.read_text()) == (0, f"default/x KEY {VALUE}"), shown
    assert "Secret default/x has KEY" in shown
    assert VALUE not in shown


def read_until(terminal: int, words: str) -> str:
    """What a terminal shows until some words, or (without any) until its program is gone."""
    shown = ""
    while not words or words not in shown:
        try:
            more = os.read(terminal, 4096)
        except OSError:  # how Linux says that nobody is at the other end
            more = b""
        if not more:
            assert not words, shown
            break
        shown += more.decode()
    return shown


def test_without_a_standard_input_it_says_where_a_value_may_come_from(state_dir: Path) -> None:
    LabFolder.named("one").create()
    LabFolder.named("one").spec.write_text('{"name": "one"}')
    assert (state_dir / "labs" / "one").exists()
    script = "import sys; from fluxlab.cli import app; app.main()"
    words = [sys.executable, "-c", script, "secret", "set", "default/x", "KEY"]
    done = subprocess.run(["/bin/sh", "-c", f"{shlex.join(words)} <&-"], capture_output=True, text=True, check=False)
    assert done.returncode == 64
    assert "--from-env VARIABLE" in done.stderr
