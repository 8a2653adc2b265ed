import json
from pathlib import Path

import pytest
from tools.oci_runtime import option, rewrite

PROCESS = {
    "args": ["/sbin/init"],
    "capabilities": {"bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE"], "ambient": []},
    "oomScoreAdj": -500,
}
LOWERED = {"args": ["/sbin/init"], "capabilities": {"bounding": ["CAP_CHOWN"], "ambient": []}}


@pytest.mark.parametrize("given", [["--bundle", "/b"], ["--bundle=/b"], ["-b", "/b"]])
def test_an_option_is_found_however_it_is_written(given: list[str]) -> None:
    assert option(["--root", "/r", "create", *given, "id"], "--bundle", "-b") == "/b"
    assert option(["create", "id"], "--bundle", "-b") == ""


def test_what_a_new_container_may_not_have_is_taken_out(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"process": PROCESS, "root": {"path": "rootfs"}}))
    rewrite(["--root", "/r", "create", "--bundle", str(tmp_path), "id"])
    assert json.loads(file.read_text()) == {"process": LOWERED, "root": {"path": "rootfs"}}


def test_so_is_it_of_a_further_process(tmp_path: Path) -> None:
    file = tmp_path / "process.json"
    file.write_text(json.dumps(PROCESS))
    rewrite(["exec", "--process", str(file), "id"])
    assert json.loads(file.read_text()) == LOWERED


def test_other_calls_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"process": PROCESS}))
    rewrite(["--root", "/r", "delete", "--force", "id"])
    assert json.loads((tmp_path / "config.json").read_text()) == {"process": PROCESS}
