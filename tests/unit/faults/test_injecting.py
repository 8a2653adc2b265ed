"""How a fault is put in, and taken out again by whatever ends it."""

import errno
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import NoReturn

import pytest
from tests.unit.faults.conftest import NOW, Lab

from fluxlab.errors import FluxlabError, UnknownError, UsageError
from fluxlab.fault_records import BusyError, FaultRecord, FaultRecords, FaultState, LabGoneError
from fluxlab.faults import injecting
from fluxlab.faults.choosing import check_free
from fluxlab.faults.injecting import NotProvenError
from fluxlab.supervisor.control import SupervisorGoneError

STEPS = ("look", "inject", "prove", "hold", "heal")


def interrupted() -> None:
    """Ctrl-C."""
    signal.raise_signal(signal.SIGINT)


def terminated() -> None:
    """What `kill` does."""
    signal.raise_signal(signal.SIGTERM)


def broken() -> NoReturn:
    """An error that nobody expects."""
    raise RuntimeError("it broke")


def test_a_fault_is_in_while_a_block_runs_and_out_afterwards(lab: Lab) -> None:
    with lab.faults.during("brittle", cluster="c", target="b") as record:
        assert record.proof == "it is there"
        assert lab.fault.there == {"b"}
        assert lab.states() == {"b": FaultState.INJECTED}
    assert lab.fault.there == set()
    assert lab.states() == {}


def test_without_a_supervisor_a_person_is_told_so_and_not_that_the_cluster_is_silent(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(_: object) -> NoReturn:
        raise UnknownError("https://127.0.0.1:1 does not answer")

    lab.answers = False
    monkeypatch.setattr(lab.fault, "candidates", silent)
    with pytest.raises(SupervisorGoneError, match="its supervisor does not answer") as caught:
        lab.faults.inject("brittle", cluster="c")
    assert caught.value.hint == "fluxlab up --name one"


def test_a_fault_whose_time_was_over_within_the_block_is_out(lab: Lab) -> None:
    with lab.faults.during("brittle", cluster="c", target="b") as record:
        lab.faults.heal(record.id)
    assert lab.fault.done == ["inject b", "heal b"]


def test_the_time_of_a_fault_begins_when_it_is_proven_to_be_in(lab: Lab) -> None:
    lab.fault.at["prove"] = lambda: time.sleep(0.3)
    planned = datetime.now(UTC)
    with lab.faults.during("brittle", cluster="c", target="b", for_seconds=0.2) as record:
        proven = datetime.now(UTC)
        assert proven >= planned + timedelta(seconds=0.3)
        assert planned + timedelta(seconds=0.3 + 0.2) <= record.until <= proven + timedelta(seconds=0.2)
        time.sleep(0.3)
        assert [one.id for one in lab.records.due(lab.supervisor)] == [record.id]


@contextmanager
def somebody_at_it(lab: Lab) -> Iterator[None]:
    """Another one puts in faults, or takes them out."""
    holding, enough = threading.Event(), threading.Event()

    def hold() -> None:
        with FaultRecords(lab.folder).alone():
            holding.set()
            enough.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert holding.wait(timeout=60)
        yield
    finally:
        enough.set()
        holder.join()


@pytest.fixture
def soon_tired(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for another one gives up soon."""
    monkeypatch.setattr(injecting, "LOCK_SECONDS", 20.0)


def in_a_block(lab: Lab, others: ExitStack) -> None:
    with lab.faults.during("brittle", cluster="c", target="a", owner=lab.supervisor):
        others.enter_context(somebody_at_it(lab))


def by_its_id(lab: Lab, others: ExitStack) -> None:
    record = lab.faults.inject("brittle", cluster="c", target="a", owner=lab.supervisor)
    others.enter_context(somebody_at_it(lab))
    lab.faults.heal(record.id)


def all_of_them(lab: Lab, others: ExitStack) -> None:
    lab.faults.inject("brittle", cluster="c", target="a", owner=lab.supervisor)
    others.enter_context(somebody_at_it(lab))
    lab.faults.heal()


@pytest.mark.usefixtures("soon_tired")
@pytest.mark.parametrize("heal", [in_a_block, by_its_id, all_of_them])
def test_a_fault_that_cannot_be_taken_out_because_somebody_else_is_at_it_is_left_to_the_watchdog(
    lab: Lab, heal: Callable[[Lab, ExitStack], None]
) -> None:
    lab.have("b")
    with pytest.raises(UnknownError, match="for more than") as caught, ExitStack() as others:
        heal(lab, others)
    assert lab.out == []
    wanted_out = {"a", "b"} if heal is all_of_them else {"a"}
    assert {one.targets[0] for one in lab.records.due(lab.supervisor)} == wanted_out, "although who wanted it goes on"
    assert "watchdog" in str(caught.value)
    lab.faults.heal_overdue()
    assert set(lab.states()) == {"b"} - wanted_out


@pytest.mark.usefixtures("soon_tired")
def test_the_watchdog_is_promised_only_for_what_could_be_left_to_it(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    for target in ("a", "b"):
        lab.have(target)
    write = FaultRecords.write

    def full(records: FaultRecords, record: FaultRecord) -> FaultRecord:
        if record.targets == ("a",):
            raise OSError(errno.ENOSPC, "no space left")
        return write(records, record)

    monkeypatch.setattr(FaultRecords, "write", full)
    with somebody_at_it(lab), pytest.raises(BusyError) as caught:
        lab.faults.heal()
    due = [one.id for one in lab.records.due(lab.supervisor)]
    (promise,) = [fact for fact in caught.value.facts if "watchdog" in fact]
    assert [one.id for one in lab.records.all() if one.id in promise] == due
    with somebody_at_it(lab), pytest.raises(BusyError) as caught:
        lab.faults.heal("brittle-a")
    assert "watchdog" not in str(caught.value), "nothing was left to it"


def test_whoever_is_kept_out_by_a_fault_is_told_how_long_that_is_in(lab: Lab) -> None:
    record = lab.have("a", touches=frozenset({"host:a"}))
    for state, told in (
        (FaultState.INJECTED, f"until {record.until:%H:%M:%S} UTC"),
        (FaultState.WAITING, "it waits to be taken out"),
    ):
        with pytest.raises(UsageError) as caught:
            check_free(lab.fault, "c", frozenset({"host:a"}), [record.changed(state=state)])
        (fact,) = caught.value.facts
        assert told in fact
        assert (f"{record.until:%H:%M:%S}" in fact) == (state is FaultState.INJECTED)


def test_a_fault_whose_lab_has_gone_within_the_block_is_gone_with_it(lab: Lab) -> None:
    with lab.faults.during("brittle", cluster="c", target="b"):
        lab.folder.remove()
    assert lab.fault.done == ["inject b"]
    assert not lab.folder.root.exists()


@pytest.mark.parametrize("step", ["look", "inject", "prove"])
def test_a_lab_that_goes_while_a_fault_is_put_in_stays_away(lab: Lab, step: str) -> None:
    lab.fault.at[step] = lab.folder.remove
    with pytest.raises(LabGoneError):
        lab.faults.inject("brittle", cluster="c", target="a")
    assert not lab.folder.root.exists()


def test_a_fault_of_which_nobody_knows_how_to_take_it_out_is_told(lab: Lab) -> None:
    with (
        pytest.raises(FluxlabError, match=r"brittle-\w+\.json cannot be read"),
        lab.faults.during("brittle", cluster="c", target="b") as record,
    ):
        (lab.folder.root / "faults" / f"{record.id}.json").write_text("{")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("happens", "ends_with"), [(interrupted, KeyboardInterrupt), (terminated, SystemExit), (broken, RuntimeError)]
)
def test_whatever_ends_it_at_whatever_step_it_is_out(
    lab: Lab, step: str, happens: Callable[[], None], ends_with: type[BaseException]
) -> None:
    lab.fault.at[step] = happens
    if step == "heal":
        _heal_in_spite_of(lab, happens, ends_with)
    else:
        with pytest.raises(ends_with), lab.faults.during("brittle", cluster="c", target="a"):
            lab.fault.come_to("hold")
    assert lab.fault.at == {}, "it came to that step"
    assert lab.fault.there == set()
    assert lab.states() == {}


def _heal_in_spite_of(lab: Lab, happens: Callable[[], None], ends_with: type[BaseException]) -> None:
    lab.faults.inject("brittle", cluster="c", target="a")
    if happens is broken:
        lab.faults.heal()  # which is tried again
        return
    with pytest.raises(ends_with):
        lab.faults.heal()
    assert lab.states() == {"a": FaultState.HEALING}
    lab.faults.heal()


def test_what_shows_before_anything_is_done_proves_nothing(lab: Lab) -> None:
    lab.fault.there.add("a")
    with pytest.raises(NotProvenError, match="shows before anything is done") as caught:
        lab.faults.inject("brittle", cluster="c", target="a")
    assert "it is there" in str(caught.value)
    assert lab.fault.done == [], "neither put in nor taken out: it is somebody else's"
    assert lab.states() == {}


def test_what_looks_like_it_and_passes_is_waited_for(lab: Lab) -> None:
    lab.fault.there.add("a")
    lab.fault.at["look"] = lambda: lab.fault.at.update(look=lambda: lab.fault.there.discard("a"))
    assert lab.faults.inject("brittle", cluster="c", target="a").proof == "it is there"
    assert lab.fault.done == ["inject a"]


def test_what_nobody_can_see_is_taken_out_again(lab: Lab) -> None:
    lab.fault.at["inject"] = lab.fault.there.clear
    with pytest.raises(NotProvenError, match="could not be proven to be in"):
        lab.faults.inject("brittle", cluster="c", target="a")
    assert lab.fault.done == ["inject a", "heal a"]
    assert lab.states() == {}


@pytest.mark.parametrize(("target", "told"), [("*", "matches 3, at most 1 may"), ("z*", "no target is 'z*'")])
def test_a_target_that_means_several_or_none_is_refused(lab: Lab, target: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        lab.faults.inject("brittle", cluster="c", target=target)
    assert told in str(caught.value)
    for candidate in ("a", "b", "c"):
        assert candidate in "\n".join(caught.value.facts)
    assert lab.fault.done == []
    assert lab.states() == {}


@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf, 1e12])
def test_a_time_that_is_none_or_longer_than_a_year_is_refused(lab: Lab, seconds: float) -> None:
    lab.have("b", until=NOW)
    with (
        pytest.raises(UsageError, match="at most a year"),
        lab.faults.during("brittle", cluster="c", target="a", for_seconds=seconds),
    ):
        raise AssertionError("it is not put in")
    assert lab.fault.done == [], "nothing was touched"
