"""What is on disk: names, records that may be broken, locks, and ports that no two labs share."""

import contextlib
import json
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fluxlab.errors import FluxlabError, UnknownError, UsageError
from fluxlab.processes import Identity
from fluxlab.state import (
    LabFolder,
    Phase,
    Record,
    Step,
    checked_name,
    described_labs,
    held,
    lab_folders,
    state_folder,
)

HOSTILE = ["", ".", "..", "../x", "a/b", "/a", "A", "aB", "-a", "a-", "a b", "a\n", "\na", "a.b", "a_b", "ü", "a" * 41]
CHILDREN: list[object] = [[], None, "x", {"a": 1}, {"a": {}}]
SUPERVISORS: list[object] = [None, [], {"pid": 1}, {"x": 1}]
RECORD = Record(
    phase=Phase.READY,
    supervisor=Identity(pid=7, since_boot=12.34),
    children={"c/etcd": Identity(pid=8, since_boot=0.1), "ü": Identity(pid=9, since_boot=3.0)},
    steps=(Step(name="processes launched", at_seconds=0.5),),
    error='it "died"\nthere',
)


# -- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*HOSTILE, "a" * 100])
def test_a_name_that_could_leave_its_folder_or_name_nothing_is_refused(state_dir: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a lab") as caught:
        LabFolder.named(name)
    assert repr(name) in caught.value.what
    assert not state_dir.exists()


@pytest.mark.parametrize("name", ["a", "0", "a-b", "a--b", "my-lab-2", "a" * 40])
def test_a_plain_name_is_a_folder_below_the_labs(state_dir: Path, name: str) -> None:
    assert LabFolder.named(name).root == state_dir / "labs" / name
    assert LabFolder.named(name).name == name


@given(st.text(alphabet="aZ0-./\n \0ü", max_size=45))
@example("a" * 40)
def test_exactly_the_names_of_dns_labels_are_allowed(name: str) -> None:
    plain = 1 <= len(name) <= 40 and set(name) <= set("a0-") and name[0] != "-" and name[-1] != "-"
    with contextlib.nullcontext() if plain else pytest.raises(UsageError):
        assert checked_name(name) == name


def test_the_state_folder_is_absolute_wherever_one_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLUXLAB_STATE_DIR", "here")
    assert state_folder() == tmp_path / "here"


def test_an_empty_variable_means_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FLUXLAB_STATE_DIR", "")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_folder() == tmp_path / "fluxlab"


# -- folders ---------------------------------------------------------------------------------------------------------


def test_everything_of_a_lab_is_in_its_own_private_folder(state_dir: Path) -> None:
    lab = LabFolder.named("one")
    lab.create()
    lab.create()
    assert stat.S_IMODE(lab.root.stat().st_mode) == 0o700
    assert stat.S_IMODE(lab.discoveries.stat().st_mode) == 0o700, "kubectl writes there, by its umask where it makes it"
    paths = [lab.spec, lab.control_socket, lab.supervisor_log, lab.gateway_log, lab.pki, lab.repositories, lab.charts]
    paths += [lab.cluster("c"), lab.kubeconfig("c")]
    assert all(path.is_relative_to(state_dir / "labs" / "one") for path in paths)
    assert len(set(paths)) == len(paths)


def test_digests_are_told_under_one_key_for_each_lab_whoever_asks_first(state_dir: Path) -> None:
    for name in ("one", "other"):
        LabFolder.named(name).create()
    with ThreadPoolExecutor(8) as threads:
        keys = set(threads.map(lambda _: LabFolder.named("one").digest_key(), range(32)))
    assert len(keys) == 1
    assert len(keys.pop()) == 16
    assert LabFolder.named("other").digest_key() != LabFolder.named("one").digest_key()
    file = state_dir / "labs/one/digest.key"
    assert file.stat().st_mode & 0o777 == 0o600
    assert not list((state_dir / "labs/one/scratch").iterdir())


def test_no_command_that_still_runs_makes_the_folder_of_a_lab_again_that_has_gone(state_dir: Path) -> None:
    lab = LabFolder.named("one")
    lab.create()
    assert stat.S_IMODE(lab.scratch.stat().st_mode) == 0o700
    assert lab.scratch == state_dir / "labs/one/scratch"
    lab.remove()
    with pytest.raises(UnknownError, match="lab one is not there any more"):
        _ = lab.scratch
    with pytest.raises(UnknownError):
        lab.digest_key()
    assert lab_folders() == []


def test_removal_takes_all_and_nothing_else(state_dir: Path) -> None:
    one, two = LabFolder.named("one"), LabFolder.named("two")
    for lab in (one, two):
        lab.create()
        (lab.root / "deep" / "er").mkdir(parents=True)
        (lab.root / "deep" / "er" / "file").touch()
    outside = state_dir / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    (one.root / "link").symlink_to(outside)
    one.remove()
    assert [path.name for path in (state_dir / "labs").iterdir()] == ["two"]
    assert list((state_dir / "trash").iterdir()) == []
    assert (outside / "kept").exists()
    one.remove()  # what is gone is gone


def test_removal_sweeps_what_an_interrupted_one_left(state_dir: Path) -> None:
    left = state_dir / "trash" / "old.1.2"
    (left / "deep").mkdir(parents=True)
    lab = LabFolder.named("one")
    lab.create()
    lab.remove()
    assert not left.exists()


def test_labs_are_listed_by_name_and_strangers_are_not(state_dir: Path) -> None:
    assert lab_folders() == []
    for name in ("b", "a", "c"):
        LabFolder.named(name).create()
    (state_dir / "labs" / ".stray").mkdir()
    (state_dir / "labs" / "file").touch()
    assert [lab.name for lab in lab_folders()] == ["a", "b", "c"]


@pytest.mark.usefixtures("state_dir")
def test_what_is_half_made_is_no_lab_yet() -> None:
    whole, half = LabFolder.named("a"), LabFolder.named("b")
    for lab in (whole, half):
        lab.create()
    whole.spec.touch()
    assert described_labs() == [whole]
    assert lab_folders() == [whole, half]


@pytest.mark.usefixtures("state_dir")
def test_a_lab_is_filled_unless_its_first_start_has_still_to_do_that() -> None:
    lab = LabFolder.named("one")
    lab.create()
    assert not lab.filled
    lab.filling.touch()
    lab.spec.touch()
    assert not lab.filled
    lab.filling.unlink()
    assert lab.filled


# -- the record ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("state_dir")
def test_a_record_comes_back_from_disk_as_it_was() -> None:
    lab = LabFolder.named("one")
    lab.write_record(RECORD)
    assert lab.read_record() == RECORD
    assert stat.S_IMODE((lab.root / "record.json").stat().st_mode) == 0o600
    lab.write_record(RECORD.changed(phase=Phase.STOPPING, children={}))
    assert lab.read_record() == replace(RECORD, phase=Phase.STOPPING, children={})


Names = st.text(st.characters(exclude_categories=["Cs"]))
Identities = st.builds(Identity, pid=st.integers(1), since_boot=st.floats(0, 1e9))


@given(
    st.builds(
        Record,
        phase=st.sampled_from(Phase),
        supervisor=Identities,
        children=st.dictionaries(Names, Identities, max_size=3),
        steps=st.lists(st.builds(Step, name=Names, at_seconds=st.floats(0, 1e6)), max_size=3).map(tuple),
        error=Names,
    )
)
def test_any_record_survives_json(record: Record) -> None:
    assert Record.from_json(record.to_json()) == record


GOOD = json.loads(RECORD.to_json())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"7",
        b"\xff\xfe",
        RECORD.to_json().encode()[:-20],
        *(json.dumps({key: GOOD[key] for key in GOOD if key != lost}).encode() for lost in GOOD),
        *(json.dumps({**GOOD, "children": children}).encode() for children in CHILDREN),
        *(json.dumps({**GOOD, "supervisor": identity}).encode() for identity in SUPERVISORS),
        json.dumps({**GOOD, "phase": "sleeping"}).encode(),
        json.dumps({**GOOD, "steps": [1]}).encode(),
    ],
)
@pytest.mark.usefixtures("state_dir")
def test_a_broken_record_is_none(content: bytes) -> None:
    lab = LabFolder.named("one")
    lab.create()
    (lab.root / "record.json").write_bytes(content)
    assert lab.read_record() is None


@pytest.mark.usefixtures("state_dir")
def test_a_missing_record_is_none() -> None:
    assert LabFolder.named("one").read_record() is None


# -- locks -----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("state_dir")
def test_a_lab_is_changed_by_one_at_a_time() -> None:
    lab, other = LabFolder.named("one"), LabFolder.named("two")
    asked: list[None] = []
    with held(lab.lock(), what="lab one", timeout_seconds=0):
        with held(other.lock(), what="lab two", timeout_seconds=0):
            pass
        with (
            pytest.raises(FluxlabError, match="lab one: another fluxlab process is at it"),
            held(lab.lock(), what="lab one", timeout_seconds=0.1, waiting=lambda: asked.append(None)),
        ):
            pass
    assert asked
    with held(lab.lock(), what="lab one", timeout_seconds=0):
        pass


@pytest.mark.usefixtures("state_dir")
def test_a_lock_is_given_back_after_an_error() -> None:
    lab = LabFolder.named("one")
    with pytest.raises(KeyError), held(lab.lock(), what="x", timeout_seconds=0):
        raise KeyError
    with held(lab.lock(), what="x", timeout_seconds=0):
        pass


@pytest.mark.usefixtures("state_dir")
def test_whoever_waits_for_a_lock_gets_it() -> None:
    lab, order = LabFolder.named("one"), []
    waiting = threading.Event()

    def second() -> None:
        with held(lab.lock(), what="x", timeout_seconds=20, waiting=waiting.set):
            order.append("second")

    thread = threading.Thread(target=second)
    with held(lab.lock(), what="x", timeout_seconds=0):
        thread.start()
        assert waiting.wait(20)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
