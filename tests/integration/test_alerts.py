"""Alerts: what reaches a sink, for which object and commit, and what became of the rest."""

import base64
import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.conftest import CommandLine, command_lines
from tests.integration.traces import component

from fluxlab.alerts import AlertError, Wanted
from fluxlab.documents import JsonObject
from fluxlab.errors import UsageError
from fluxlab.host_rules import HostRule, Reply
from fluxlab.lab import Lab
from fluxlab.state import LabFolder
from fluxlab.waiting import wait_until

pytestmark = pytest.mark.integration

LAB = "alerts"
SHOP = "Kustomization flux-system/shop"
SETTINGS = "apps/shop/settings.yaml"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    for command_line in command_lines(tmp_path_factory.mktemp("alerts")):
        (command_line.folder / "lab.yaml").write_text(f"name: {LAB}\nscenarios: [shop]\n")
        command_line.ok("up", "lab.yaml")
        token = secrets.token_hex(12)
        command_line.ok("secret", "set", "flux-system/github-token", "token", stdin=token)
        command_line.ok("wait")
        yield command_line


@pytest.fixture
def lab(shop: CommandLine) -> Iterator[Lab]:
    handle = Lab(LabFolder(shop.state / "labs" / LAB))
    yield handle
    handle.converge()
    handle.close()


def dispatched(shop: CommandLine, text: str) -> bool:
    """Whether notification-controller's own log says that it sent something on."""
    log = shop.state / "labs" / LAB / "clusters" / "flux-playground" / "logs" / "notification-controller.log"
    files = [log] if log.exists() else list((shop.state / "labs" / LAB).rglob("notification-controller*.log"))
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines() if line.startswith("{")]
    return any(line.get("msg") == "dispatching event" and text in line.get("message", "") for line in lines)


def test_a_commit_that_fails_alerts_everybody_who_asked_and_one_that_arrives_alerts_nobody(
    shop: CommandLine, lab: Lab
) -> None:
    sound = lab.repository.read(SETTINGS)
    lab.repository.write(SETTINGS, f"{sound}broken: [\n")
    broken = lab.repository.commit("Break the settings (#7)")
    for provider in ("slack", "generic", "github"):
        alert = lab.alerts.expect(
            Wanted(object=SHOP, commit=broken.sha, severity="error", provider=provider), after=broken
        )
        assert alert.commit == broken.sha
    assert dispatched(shop, "MalformedYAMLError")
    root = Wanted(provider="slack", commit=broken.sha, object="Kustomization flux-system/flux-system")
    assert lab.alerts.all(root) == []

    lab.repository.write(SETTINGS, sound)
    mended = lab.repository.commit("Mend the settings")
    lab.converge(mended)
    lab.alerts.expect(Wanted(object=SHOP, commit=mended.sha, provider="github", severity="info"), after=mended)
    lab.alerts.forbid(Wanted(commit=mended.sha, severity="error"), after=mended, for_seconds=1)
    told = json.loads(shop.ok("alerts", "-o", "json", "--severity", "error", "--object", SHOP))["alerts"]
    assert {one["commit"] for one in told} == {broken.sha}


def test_an_alert_that_does_not_come_is_told_with_what_came_instead(lab: Lab) -> None:
    lab.repository.write("apps/shop/more.yaml", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "more"}})
    commit = lab.repository.commit("Add a file that nobody lists")
    with pytest.raises(AlertError) as caught:
        lab.alerts.expect(Wanted(object=SHOP, commit=commit.sha, severity="error"), after=commit, within_seconds=4)
    assert "five minutes" in str(caught.value)
    assert SHOP in str(caught.value)
    with pytest.raises(UsageError):
        lab.alerts.expect(Wanted(), after=commit)


def test_without_notification_controller_no_alert_comes_and_it_is_told_why(shop: CommandLine, lab: Lab) -> None:
    moment = lab.moment()
    component(shop, LAB, "notification-controller").kill()
    sound = lab.repository.read(SETTINGS)
    lab.repository.write(SETTINGS, f"{sound}dead: [\n")
    commit = lab.repository.commit("Break the settings while nobody tells")
    dropped = wait_until(
        lambda: [one for one in lab.alerts.dropped(since=moment.time) if "did not take the event" in one.why],
        what="a controller says that it could not tell",
        timeout_seconds=60,
    )
    assert dropped[0].object
    assert lab.alerts.all(Wanted(commit=commit.sha)) == []
    lab.repository.write(SETTINGS, sound)
    lab.repository.commit("Mend them again")
    shop.ok("up", f"--name={LAB}")


@pytest.mark.parametrize("place", ["Secret", "git"])
def test_the_address_of_a_webhook_is_nowhere_in_what_the_lab_wrote_and_tells(
    shop: CommandLine, lab: Lab, place: str
) -> None:
    canary = f"canary{secrets.token_hex(8)}"
    address = f"https://hooks.slack.com/services/{canary}"
    change: JsonObject = {"spec": {"address": address, "secretRef": None}}
    if place == "Secret":
        shop.ok("secret", "set", "flux-system/chat-address", "address", stdin=address)
        change = {"spec": {"address": None, "secretRef": {"name": "chat-address"}}}
    file = "clusters/flux-playground/alerts.yaml"
    lab.repository.patch(file, change, kind="Provider", name="chat")
    sound = lab.repository.read(SETTINGS)
    lab.converge(lab.repository.commit(f"Keep the address of the chat in {place}"))
    lab.repository.write(SETTINGS, f"{sound}canary: [\n")
    commit = lab.repository.commit(f"Break the settings for the chat, told by {place}")
    lab.alerts.expect(Wanted(object=SHOP, provider="slack", commit=commit.sha), after=commit)
    # What answers before the sink knows no better.
    lab.control.put_rule(HostRule(id=canary[:12], host="hooks.slack.com", effect=Reply(status=503, text="busy")))
    lab.repository.write(SETTINGS, f"{sound}canary: ]\n")
    commit = lab.repository.commit(f"Break them another way, told by {place}")
    lab.wait_until(lambda: refused_at(shop, "hooks.slack.com"), what="the chat answers 503")
    lab.control.lift_rules(canary[:12])
    lab.repository.write(SETTINGS, sound)
    lab.converge(lab.repository.commit(f"Mend them, told by {place}"))
    folder = shop.state / "labs" / LAB
    content = {"etcd", "scratch"}  # of the cluster, and of the test's own clone
    written = [file for file in folder.rglob("*") if file.is_file() and not content & {*file.relative_to(folder).parts}]
    needles = (canary.encode(), base64.b64encode(address.encode()))
    assert holds(folder / "clusters" / "flux-playground", needles), "etcd has it: the scanner finds it"
    assert [file for file in written if any(needle in file.read_bytes() for needle in needles)] == []
    told = [shop.ok("timeline", "--level=debug", "-n0", "-o", "json"), shop.ok("alerts"), shop.ok("logs", "gateway")]
    assert "hooks.slack.com" in "".join(told)
    assert canary not in "".join(told)


def refused_at(shop: CommandLine, host: str) -> bool:
    """Whether the gateway has answered for a host that it is not available."""
    lines = (shop.state / "labs" / LAB / "gateway.log").read_text().splitlines()
    return any(one["host"] == host and one["status"] == 503 for one in map(json.loads, lines))


def holds(folder: Path, needles: tuple[bytes, ...]) -> bool:
    return any(needle in file.read_bytes() for file in folder.rglob("*") if file.is_file() for needle in needles)
