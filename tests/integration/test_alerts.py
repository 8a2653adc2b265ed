"""Alerts: what reaches a sink, for which object and commit, and what became of the rest."""

import base64
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import httpx
import pytest
import zstandard
from tests.integration.conftest import CommandLine, command_lines
from tests.integration.traces import component

from fluxlab.alerts import AlertError, Wanted
from fluxlab.documents import JsonObject
from fluxlab.errors import UsageError
from fluxlab.evidence import gather
from fluxlab.host_rules import CertificateProblem, Effect, HostRule, Reply, WrongCertificate
from fluxlab.lab import Lab
from fluxlab.moments import Commit
from fluxlab.spec import SinkSpec
from fluxlab.state import LabFolder
from fluxlab.waiting import wait_until

pytestmark = pytest.mark.integration

LAB = "alerts"
SHOP = "Kustomization flux-system/shop"
SETTINGS = "apps/shop/settings.yaml"
ALERTS = "clusters/flux-playground/alerts.yaml"
SIGNED_SINK = "- {kind: generic-hmac, host: signed.shop.example, secret: flux-system/signing}\n"
SIGNED: Sequence[JsonObject] = (
    {
        "apiVersion": "notification.toolkit.fluxcd.io/v1beta3",
        "kind": "Provider",
        "metadata": {"name": "signed", "namespace": "flux-system"},
        "spec": {
            "type": "generic-hmac",
            "address": "https://signed.shop.example/flux",
            "secretRef": {"name": "signing"},
        },
    },
    {
        "apiVersion": "notification.toolkit.fluxcd.io/v1beta3",
        "kind": "Alert",
        "metadata": {"name": "signed", "namespace": "flux-system"},
        "spec": {
            "providerRef": {"name": "signed"},
            "eventSources": [{"kind": "Kustomization", "name": "*", "namespace": "flux-system"}],
        },
    },
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    for command_line in command_lines(tmp_path_factory.mktemp("alerts")):
        (command_line.folder / "lab.yaml").write_text(f"name: {LAB}\nscenarios: [shop]\nalerts:\n{SIGNED_SINK}")
        command_line.ok("up", "lab.yaml")
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
    assert "events were dropped as the same as one of the last five minutes" in str(caught.value)
    assert SHOP in str(caught.value)
    with pytest.raises(UsageError):
        lab.alerts.expect(Wanted(), after=commit)


@pytest.mark.verify
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
    assert {one.object for one in dropped} <= {SHOP, "Kustomization flux-system/flux-system"}
    assert lab.alerts.all(Wanted(commit=commit.sha)) == []
    lab.repository.write(SETTINGS, sound)
    lab.repository.commit("Mend them again")
    shop.ok("up", f"--name={LAB}")


def broken_for(lab: Lab, message: str) -> Commit:
    """A commit that cannot be built, of which Flux has told the webhook; it is mended in the next one."""
    sound = lab.repository.read(SETTINGS)
    lab.repository.write(SETTINGS, f"{sound}{secrets.token_hex(4)}: [\n")
    commit = lab.repository.commit(message)
    lab.alerts.expect(Wanted(object=SHOP, provider="generic", commit=commit.sha, severity="error"), after=commit)
    lab.repository.write(SETTINGS, sound)
    return commit


def await_dropped(lab: Lab, words: str, *, since: Commit) -> None:
    wait_until(
        lambda: any(words in one.message for one in lab.alerts.dropped(since=since.before.time)),
        what=f"notification-controller says why it could not send: {words}",
        timeout_seconds=60,
    )


def token_in(shop: CommandLine, name: str) -> str:
    secret = shop.observer(LAB).get("secret", name, "-n", "flux-system")
    return base64.b64decode(secret["data"]["token"]).decode()


def test_only_who_knows_the_token_that_the_lab_made_sets_a_commit_status(shop: CommandLine, lab: Lab) -> None:
    token = token_in(shop, "github-token")
    shop.ok("secret", "set", "flux-system/github-token", "token", stdin=secrets.token_urlsafe(24))
    refused = broken_for(lab, "Break the settings while the token is another one")
    await_dropped(lab, "401 Bad credentials", since=refused)
    told = [one for one in lab.alerts.all(since=refused.before.time) if one.details.get("sink") == "github"]
    assert told
    assert all("not the one in the lab's Secret" in one.text for one in told)

    shop.ok("secret", "set", "flux-system/github-token", "token", stdin=token)
    mended = lab.repository.commit("Mend them")
    lab.alerts.expect(Wanted(object=SHOP, provider="github", commit=mended.sha, severity="info"), after=mended)


def test_a_signed_webhook_takes_what_is_signed_with_the_token_that_the_lab_made(shop: CommandLine, lab: Lab) -> None:
    lab.repository.write("clusters/flux-playground/signed.yaml", SIGNED)
    lab.converge(lab.repository.commit("Sign events for a webhook"))
    taken = broken_for(lab, "Break the settings and sign it")
    lab.alerts.expect(Wanted(object=SHOP, provider="generic-hmac", commit=taken.sha, severity="error"), after=taken)
    lab.converge(lab.repository.commit("Mend them"))

    token = token_in(shop, "signing")
    shop.ok("secret", "set", "flux-system/signing", "token", stdin=secrets.token_urlsafe(24))
    refused = broken_for(lab, "Break the settings and sign it with another token")
    wait_until(
        lambda: [one for one in lab.alerts.all(since=refused.before.time) if "X-Signature is not made" in one.text],
        what="the signature is refused",
        timeout_seconds=30,
    )
    lab.alerts.forbid(Wanted(provider="generic-hmac", commit=refused.sha), after=refused, for_seconds=1)
    shop.ok("secret", "set", "flux-system/signing", "token", stdin=token)
    lab.repository.delete("clusters/flux-playground/signed.yaml")
    lab.repository.commit("Mend them, and sign no more")


def test_duplicates_are_counted_until_notification_controller_is_started_anew(shop: CommandLine, lab: Lab) -> None:
    (before,) = lab.alerts.duplicates()
    event = {
        "involvedObject": {"kind": "Kustomization", "namespace": "flux-system", "name": "shop.v1"},
        "severity": "info",
        "timestamp": "2026-01-01T00:00:00Z",
        "message": secrets.token_hex(8),
        "reason": "Same",
        "reportingController": "kustomize-controller",
    }
    words = component(shop, LAB, "notification-controller").cmdline()
    address = next(word.partition("=")[2] for word in words if word.startswith("--events-addr="))
    answers = [httpx.post(f"http://{address}/", json=event, trust_env=False).status_code for _ in range(3)]
    assert answers == [202, 429, 429]
    (after,) = lab.alerts.duplicates()
    assert before.count is not None
    assert after.count is not None
    assert after.count >= before.count + 2  # the lab itself may have repeated something meanwhile
    assert f"{after.cluster}: {after.count} events were dropped" in shop.run("alerts").stderr
    assert json.loads(shop.ok("alerts", "-o", "json"))["duplicates"][0]["cluster"] == "flux-playground"

    shop.ok("restart", "notification-controller")
    anew = wait_until(
        lambda: next((one for one in lab.alerts.duplicates() if one.count is not None), None),
        what="notification-controller counts again",
        timeout_seconds=60,
    )
    assert anew.count is not None
    assert anew.count < after.count
    assert anew.since
    assert after.since
    assert anew.since > after.since


def test_a_host_of_alerts_is_nothing_else_in_a_running_lab(lab: Lab) -> None:
    for host in ("charts.shop.example", "github.com", "api.github.com"):
        with pytest.raises(UsageError, match=f"need a host of their own: {host} is served"):
            lab.control.serve_sink(SinkSpec(kind="slack", host=host))
    with pytest.raises(UsageError, match=r"end at hooks\.slack\.com"):
        lab.control.serve_charts("https://hooks.slack.com/charts")
    with pytest.raises(UsageError, match=r"end at api\.github\.com"):
        lab.control.serve_registry("api.github.com")


def test_a_snapshot_does_not_hold_what_opens_the_sinks(shop: CommandLine, lab: Lab) -> None:
    lab.converge()
    file = shop.folder / "lab.tar.zst"
    shop.ok("snapshot", "save", str(file))
    content = zstandard.ZstdDecompressor().decompressobj().decompress(file.read_bytes())
    assert b"hooks.slack.com" in content, "the scanner reads it"
    for name in ("github-token", "signing"):
        assert base64.b64encode(token_in(shop, name).encode()) not in content
        assert token_in(shop, name).encode() not in content


@pytest.mark.parametrize(
    ("place", "failures"),
    [
        ("a Secret", ("hooks.slack.com",)),
        *(
            pytest.param(place, ("status code 410", "hooks.slack.com"), marks=pytest.mark.verify)
            for place in ("a Secret", "git")
        ),
    ],
    ids=["a Secret", "a Secret, and each failure", "git, and each failure"],
)
def test_the_address_of_a_webhook_is_nowhere_in_what_the_lab_wrote(
    shop: CommandLine, lab: Lab, place: str, failures: Sequence[str]
) -> None:
    canary = f"canary{secrets.token_hex(8)}"
    address = f"https://hooks.slack.com/services/{canary}?and={canary}"
    change: JsonObject = {"spec": {"address": address}}
    if place == "a Secret":
        shop.ok("secret", "set", "flux-system/chat-address", "address", stdin=address)
        change = {"spec": {"address": None, "secretRef": {"name": "chat-address"}}}
    before = lab.repository.read(ALERTS)
    lab.repository.patch(ALERTS, change, kind="Provider", name="chat")
    lab.converge(lab.repository.commit("Change the address of the chat"))
    commit = broken_for(lab, "Break the settings for the chat")
    lab.alerts.expect(Wanted(object=SHOP, provider="slack", commit=commit.sha), after=commit)
    lab.converge(lab.repository.commit("Mend them"))
    began = commit.before.time
    for words in failures:  # who answers now is not the sink
        effect = FAILURES[words]
        lab.control.put_rule(HostRule(id="chat-fails", host="hooks.slack.com", effect=effect))
        unheard = broken_for(lab, f"Break the settings for a chat that has a {effect.kind}")
        await_dropped(lab, words, since=unheard)
        lab.control.lift_rules("chat-fails")
        lab.converge(lab.repository.commit("Mend them"))
    lab.repository.write(ALERTS, before)
    lab.converge(lab.repository.commit("Take the address of before"))

    folder, needles = shop.state / "labs" / LAB, (canary.encode(), base64.b64encode(address.encode()))
    assert holds(folder / "clusters" / "flux-playground", needles), "etcd has it: the scanner finds it"
    told = [shop.ok(*words) for words in SAID]
    assert any("hooks.slack.com" in text for text in told), "of the host it is told"
    assert [words for words, text in zip(SAID, told, strict=True) if canary in text] == []
    evidence = gather(lab, since=began).write(shop.folder / f"evidence of {canary}")
    written = [*evidence.rglob("*"), *(file for file in folder.rglob("*") if is_of_the_lab(file.relative_to(folder)))]
    assert [file for file in written if file.is_file() and any(one in file.read_bytes() for one in needles)] == []


def test_an_alert_that_quotes_a_secret_is_told_and_kept_without_it(shop: CommandLine, lab: Lab) -> None:
    canary = f"canary{secrets.token_hex(8)}"
    shop.ok("secret", "set", "flux-system/quoted", "word", stdin=canary)
    words = component(shop, LAB, "notification-controller").cmdline()
    address = next(word.partition("=")[2] for word in words if word.startswith("--events-addr="))
    event = {
        "involvedObject": {"kind": "Kustomization", "namespace": "flux-system", "name": "shop"},
        "severity": "error",
        "timestamp": "2026-01-01T00:00:00Z",
        "message": f"Job/default/once is invalid: {canary}: field is immutable",
        "reason": "ReconciliationFailed",
        "reportingController": "kustomize-controller",
    }
    moment = lab.moment()
    assert httpx.post(f"http://{address}/", json=event, trust_env=False).status_code == 202
    alert = lab.alerts.expect(Wanted(object=SHOP, provider="generic", message="field is immutable"), after=moment)
    assert alert.text == "Job/default/once is invalid: [redacted]: field is immutable"
    for said in SAID:
        assert canary not in shop.ok(*said), said
    journal = shop.state / "labs" / LAB / "timeline"
    assert [file for file in journal.rglob("*") if file.is_file() and canary.encode() in file.read_bytes()] == []


FAILURES: Mapping[str, Effect] = {
    "status code 410": Reply(status=410, text="gone"),
    "hooks.slack.com": WrongCertificate(problem=CertificateProblem.OTHER_NAME),  # then Go quotes the whole address
}
SAID = (
    ("alerts",),
    ("alerts", "-o", "json"),
    ("timeline", "-o", "json"),
    ("timeline", "--level", "debug", "--tail", "-1"),
    ("logs", "notification-controller", "--tail", "-1"),
    ("status", "-o", "json"),
)


def is_of_the_lab(file: Path) -> bool:
    """Whether fluxlab writes a file, and not git, etcd or a program of others; but for what tells it what to mask."""
    own = file.parts[0] not in {"git", "secret-values.json"} and not {"etcd", "artifacts"} & set(file.parts)
    return own and not file.name.startswith("notification-controller.log")


def holds(folder: Path, needles: tuple[bytes, ...]) -> bool:
    return any(needle in file.read_bytes() for file in folder.rglob("*") if file.is_file() for needle in needles)
