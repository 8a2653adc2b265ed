"""Every fault of the catalogue, with its defaults: it can be put in, is proven, and leaves nothing once it is out."""

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest
from tests.integration.faults.clients import never_injected
from tests.integration.faults.wholeness import Whole, await_token, await_whole
from tests.integration.traces import recorder_of

from fluxlab.clusters.capabilities import Footing, UnsupportedError
from fluxlab.clusters.toxics import LinkProxy, Stream, Toxic
from fluxlab.fault_records import FaultRecord
from fluxlab.faults.cases import Case
from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.faults.descriptions import describe
from fluxlab.host_rules import Delay, HostRule
from fluxlab.lab import Lab

pytestmark = pytest.mark.integration

RECOVERY_SECONDS = 90.0
HERE = sorted(name for name, fault in CATALOGUE.items() if str(Footing.LOCAL) in describe(fault).backends)
NOT_HERE = sorted(CATALOGUE.keys() - set(HERE))


SHORT = frozenset(
    {
        "artifact-corrupt",
        "artifact-lost",
        "human-delete",
        "human-edit",
        "human-helm-rollback",
        "human-helm-uninstall",
        "human-deletes-release-secret",
        "human-scale",
        "human-takes-over",
        "pod-deleted",
    }
)
"""Faults that Flux or Kubernetes may mend by itself at any moment."""


@pytest.fixture(scope="module")
def whole(shop_lab: Lab) -> Whole:
    shop_lab.cluster.set_secret("flux-system/shop-secrets", "CHECKOUT_TOKEN", "t0ken")
    await_token(shop_lab.folder.root, "t0ken")
    shop_lab.converge()
    return Whole.of(shop_lab.folder.root)


def _said_to_be_gone(shop: Lab, fault: FaultRecord) -> str:
    """What the proof says that has to say nothing while a fault is in."""
    case = Case(record=fault, ground=shop._ground(fault.cluster), patience=shop.patience)
    return case.fault.healed(case.ground, case.injection)


@pytest.mark.verify
@pytest.mark.parametrize("name", HERE)
def test_a_fault_is_proven_and_leaves_nothing(shop: Lab, whole: Whole, name: str) -> None:
    with shop.fault(name, seed=3) as fault:
        assert fault.proof
        assert [record.id for record in shop.faults.active()] == [fault.id]
        assert name in SHORT or not _said_to_be_gone(shop, fault)
    shop.converge(timeout_seconds=RECOVERY_SECONDS)
    await_whole(shop.folder.root, whole)
    shop.drift().assert_clean()


@pytest.mark.parametrize("name", HERE)
def test_what_was_never_put_in_does_not_show_and_is_gone(shop: Lab, whole: Whole, name: str) -> None:
    del whole  # a shop in which all is well
    fault = CATALOGUE[name]
    ground, injection = never_injected(shop, fault)
    assert not fault.injected(ground, injection)
    assert fault.healed(ground, injection)


@pytest.mark.parametrize("name", NOT_HERE)
def test_what_the_backend_lacks_is_refused_before_anything_is_touched(shop: Lab, name: str) -> None:
    before = Whole.of(shop.folder.root)
    with pytest.raises(UnsupportedError) as caught, shop.fault(name):
        pass
    assert describe(CATALOGUE[name]).lacks[str(Footing.LOCAL)] in "\n".join(caught.value.facts)
    assert Whole.of(shop.folder.root).differences(before) == []


@contextmanager
def _toxic(shop: Lab) -> Iterator[str]:
    proxy, link = LinkProxy(shop.folder.cluster(shop.cluster.name)), shop.status().clusters[0].links[0].name
    proxy.add(link, Toxic(name="left", type="latency", stream=Stream.DOWNSTREAM, attributes={"latency": 1}))
    yield f"way to link {link} of {shop.cluster.name}: "
    proxy.remove(link, "left")


@contextmanager
def _rule(shop: Lab) -> Iterator[str]:
    shop.control.put_rule(HostRule(id="left", host="github.com", effect=Delay(seconds=0.01)))
    yield "way to hosts: "
    shop.control.lift_rules("left")


@contextmanager
def _branch(shop: Lab) -> Iterator[str]:
    _git(shop, "update-ref", "refs/heads/left", "refs/heads/main")
    yield "git fleet refs/heads/left: not there -> "
    _git(shop, "update-ref", "-d", "refs/heads/left")


@contextmanager
def _head(shop: Lab) -> Iterator[str]:
    _git(shop, "symbolic-ref", "HEAD", "refs/heads/left")
    yield "git fleet HEAD: ref: refs/heads/main -> ref: refs/heads/left"
    _git(shop, "symbolic-ref", "HEAD", "refs/heads/main")


@contextmanager
def _bundle(shop: Lab) -> Iterator[str]:
    file = shop.folder.root / "faults" / "git-force-push-0a1b2c.bundle"
    file.touch()
    yield "file faults/git-force-push-0a1b2c.bundle: not there -> there"
    file.unlink()


@contextmanager
def _set_aside(shop: Lab) -> Iterator[str]:
    [archive] = (shop.folder.root / "charts").rglob("cart-*.tgz")
    aside = archive.with_name(".left")
    aside.hardlink_to(archive)
    yield f"file {aside.relative_to(shop.folder.root)}: not there -> there"
    aside.unlink()


@contextmanager
def _scratch(shop: Lab, *, name: str) -> Iterator[str]:
    folder = shop.folder.scratch / name
    folder.mkdir()
    yield f"file scratch/{name}: not there -> there"
    folder.rmdir()


@contextmanager
def _stopped(shop: Lab) -> Iterator[str]:
    record = shop.folder.read_record()
    recorder = recorder_of(record.supervisor.pid if record else None)
    recorder.send_signal(signal.SIGSTOP)
    yield "1 of them stopped"
    recorder.send_signal(signal.SIGCONT)


def _git(shop: Lab, *words: str) -> None:
    [repository] = Path(shop.folder.repositories).glob("*.git")
    subprocess.run(["git", f"--git-dir={repository}", *words], check=True)


@pytest.mark.verify
@pytest.mark.parametrize(
    "plant",
    [
        _toxic,
        _rule,
        _branch,
        _head,
        _bundle,
        _set_aside,
        partial(_scratch, name="etcd-restore-0a1b2c"),
        partial(_scratch, name="tmpa1b2c3"),
        _stopped,
    ],
)
def test_what_a_fault_could_leave_is_no_wholeness(
    shop: Lab, whole: Whole, plant: Callable[[Lab], AbstractContextManager[str]]
) -> None:
    with plant(shop) as told:
        found = Whole.of(shop.folder.root).differences(whole)
    assert [told in line for line in found] == [True], found
    await_whole(shop.folder.root, whole)


def test_there_are_enough_faults_for_a_rehearsal() -> None:
    assert len(HERE) >= 34
