"""The timeline tells what the test did, who did it, and for which commit; through kills, storms and bad disks."""

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from kubernetes import client, config
from tests.integration.conftest import command_lines
from tests.integration.gitops import CLUSTER_PATH, Person, git
from tests.integration.traces import children, component, ended, supervisor

LAB = "told"
Eventually = Callable[..., object]


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    for fluxlab in command_lines(tmp_path_factory.mktemp("told")):
        fluxlab.ok("up", "--name", LAB)
        yield Person.of(fluxlab, LAB)


def told(person: Person, *filters: str) -> list[dict[str, Any]]:
    answer = person.fluxlab.ok("timeline", f"--lab={person.lab}", "-o", "json", *filters)
    entries: list[dict[str, Any]] = json.loads(answer)
    return entries


def changes_of(person: Person, name: str, *filters: str) -> list[dict[str, Any]]:
    return told(person, f"--object=configmap/{name}", "--source=object", *filters)


def recorder(person: Person) -> Any:
    """The recorder's process: Python, with this lab's folder among its words."""
    words = children(supervisor(person.fluxlab, person.lab))
    return next((child for child, line in words.items() if "fluxlab.recorder" in line), None)


def test_one_command_tells_what_changed_by_whom_and_for_which_issue(person: Person, eventually: Eventually) -> None:
    person.push("sale", "1")
    eventually(lambda: changes_of(person, "sale"), what="its creation is told")
    since = datetime.now(UTC).isoformat()
    file = person.clone / CLUSTER_PATH / "sale.yaml"
    file.write_text(file.read_text().replace('"1"', '"2"'))
    git("commit", "--quiet", "--all", "--message=Prepare the sale (#42)\n\nSee OPS-7.", cwd=person.clone)
    git("push", "--quiet", "origin", "HEAD:main", cwd=person.clone)
    commit = git("rev-parse", "HEAD", cwd=person.clone)
    eventually(lambda: person.sees("sale", "2"), what="the commit is applied")
    eventually(lambda: changes_of(person, "sale", f"--since={since}"), what="the change is told")

    [change] = changes_of(person, "sale", f"--since={since}")
    assert change["changes"] == [{"field": ".data.value", "before": '"1"', "after": '"2"'}]
    assert change["commit"] == commit
    assert change["issues"] == ["#42", "OPS-7"]
    assert change["details"]["subject"] == "Prepare the sale (#42)"
    assert change["actor"] == "kustomize-controller"
    [pushed] = told(person, "--source=push", f"--since={since}")
    assert pushed["commit"] == commit
    [brought] = told(person, "--source=commit", f"--since={since}")
    assert (brought["actor"], brought["text"]) == ("Ada <ada@example.org>", "Prepare the sale (#42)")
    text = person.fluxlab.ok("timeline", f"--lab={LAB}", f"--since={since}", "--object=sale")
    [line] = [line for line in text.splitlines() if ".data.value" in line]
    assert line.endswith(f'for {commit[:10]} "Prepare the sale (#42)" (OPS-7)')

    by_issue = {entry["source"] for entry in told(person, "--issue=42")}
    assert {"push", "commit", "object", "event"} <= by_issue
    assert {entry.get("commit") for entry in told(person, f"--commit={commit[:12]}")} == {commit}
    times = [entry["time"] for entry in told(person)]
    assert times == sorted(times)


def test_what_a_person_does_by_hand_is_told_with_their_name(person: Person, eventually: Eventually) -> None:
    kubectl = person.observer.kubectl
    kubectl("create", "configmap", "byhand", "--from-literal=a=1")
    kubectl("patch", "configmap", "byhand", "--as=eve", "--as-group=system:masters", '--patch={"data":{"a":"2"}}')
    kubectl("delete", "configmap", "byhand")
    eventually(lambda: len(changes_of(person, "byhand")) == 3, what="all three are told")
    made, changed, gone = changes_of(person, "byhand")
    assert [entry["text"] for entry in (made, gone)] == ["created", "deleted"]
    assert made["actor"].startswith("admin with kubectl")
    assert changed["actor"].startswith("admin as eve with kubectl")
    assert changed["changes"][0]["after"] == '"2"'
    assert gone["actor"] == "admin"
    assert all("commit" not in entry for entry in (made, changed, gone))


def test_what_happens_is_told_while_it_happens(person: Person) -> None:
    watching = person.fluxlab.start("timeline", f"--lab={LAB}", "--follow", "--tail=1", stderr=subprocess.DEVNULL)
    output = watching.stdout
    assert output
    try:
        assert output.readline().startswith("-- ")
        person.observer.kubectl("create", "configmap", "live", "--from-literal=a=1")
        person.observer.kubectl("delete", "configmap", "live")
        lines = (line for line in iter(output.readline, "") if "ConfigMap default/live" in line)
        found = [next(lines), next(lines)]
    finally:
        watching.kill()
        watching.communicate()
    assert "created" in found[0]
    assert "deleted" in found[1]


def test_the_recorder_is_started_again_when_told_to(person: Person, eventually: Eventually) -> None:
    before = recorder(person).pid
    person.fluxlab.ok("restart", "recorder", f"--lab={LAB}")
    eventually(lambda: recorder(person) and recorder(person).pid != before, what="another one runs")
    person.observer.kubectl("create", "configmap", "again", "--from-literal=a=1")
    eventually(lambda: changes_of(person, "again"), what="it records")


def test_a_refused_request_is_told(person: Person) -> None:
    since = datetime.now(UTC).isoformat()
    refused = person.observer.kubectl("delete", "namespace", "kube-system", "--as=mallory", check=False)
    assert "forbidden" in refused
    entries = told(person, "--source=audit", "--level=warning", f"--since={since}")
    assert [entry["actor"] for entry in entries] == ["admin as mallory"]
    assert "403" in entries[0]["text"]


def test_a_forced_push_and_a_deleted_branch_are_told_as_such(person: Person, eventually: Eventually) -> None:
    git("checkout", "--quiet", "-b", "side", cwd=person.clone)
    git("commit", "--quiet", "--allow-empty", "--message=One", cwd=person.clone)
    first = git("rev-parse", "HEAD", cwd=person.clone)
    git("push", "--quiet", "origin", "side", cwd=person.clone)
    git("commit", "--quiet", "--allow-empty", "--amend", "--message=Other", cwd=person.clone)
    git("push", "--quiet", "--force", "origin", "side", cwd=person.clone)
    git("push", "--quiet", "--delete", "origin", "side", cwd=person.clone)
    git("checkout", "--quiet", "main", cwd=person.clone)

    def side() -> list[str]:
        return [entry["text"] for entry in told(person, "--source=push") if "side" in entry["text"]]

    eventually(lambda: len(side()) == 3, what="all three pushes are told")
    made, forced, gone = side()
    assert "1 commit" in made
    assert f"{first[:10]} is no longer part of it" in forced
    assert "deleted" in gone


def test_the_death_of_a_component_and_its_repair_are_told(person: Person, eventually: Eventually) -> None:
    victim = component(person.fluxlab, LAB, "helm-controller")
    victim.kill()
    name = "flux-playground/helm-controller"

    def about() -> list[str]:
        return [entry["text"] for entry in told(person, "--source=process") if entry.get("part") == name]

    eventually(lambda: any("SIGKILL" in text for text in about()), what="the death is told")
    person.fluxlab.ok("up", "--name", LAB)
    again = component(person.fluxlab, LAB, "helm-controller").pid
    assert about()[-1] == f"started (pid {again})"


def test_logs_are_filtered_by_object_commit_and_level(person: Person, eventually: Eventually) -> None:
    commit = person.push("logged", "1")
    eventually(lambda: person.sees("logged", "1"), what="the commit is applied")

    def lines(*filters: str) -> list[dict[str, Any]]:
        answer: list[dict[str, Any]] = json.loads(person.fluxlab.ok("logs", f"--lab={LAB}", "-o", "json", *filters))
        return answer

    eventually(lambda: lines(f"--commit={commit}"), what="a controller logs the commit")
    assert {line["commit"] for line in lines(f"--commit={commit}")} == {commit}
    about = lines("kustomize-controller", "--object=kustomization/flux-system/flux-system")
    assert {line["object"] for line in about} == {"Kustomization flux-system/flux-system"}
    assert all(line["level"] in {"error", "warning"} for line in lines("--level=warning"))
    raw = person.fluxlab.ok("logs", f"--lab={LAB}", "kustomize-controller", f"--commit={commit}")
    assert all(json.loads(line)["ts"] for line in raw.splitlines())
    refused = person.fluxlab.run("logs", f"--lab={LAB}", "nobody", "--level=error")
    assert refused.returncode == 64


def test_secret_values_are_nowhere_in_the_timeline(person: Person, eventually: Eventually) -> None:
    canary = "canary-9f3a7c51d2"
    kubectl = person.observer.kubectl
    kubectl("create", "secret", "generic", "hidden", f"--from-literal=token={canary}")
    # At once, so that the watch of ConfigMaps may well be ahead of that of Secrets.
    kubectl("create", "configmap", "quoting", f"--from-literal=line=before {canary} after")
    kubectl("patch", "configmap", "quoting", f'--patch={{"data":{{"line":"{canary}"}}}}')
    kubectl("create", "configmap", "marker", "--from-literal=a=b")
    eventually(lambda: changes_of(person, "marker"), what="what came later is told")
    assert len(changes_of(person, "quoting")) == 2
    assert changes_of(person, "hidden") == []  # it is no ConfigMap
    [secret] = told(person, "--object=secret/hidden", "--source=object")
    assert secret["text"] == "created"
    journals = person.fluxlab.state / "labs" / LAB / "timeline"
    written = b"".join(file.read_bytes() for file in journals.rglob("*") if file.is_file())
    assert b"quoting" in written
    assert canary.encode() not in written


def test_what_a_secret_held_is_not_told_by_the_recorder_that_comes_after_the_one_that_knew_it(
    person: Person, eventually: Eventually
) -> None:
    """It goes on where the Secret has another value already, while something else still has the old one."""
    kubectl = person.observer.kubectl
    old, new = "canary-of-before-51c2", "canary-of-after-88d0"
    kubectl("create", "secret", "generic", "rotated", f"--from-literal=token={old}")
    kubectl("create", "configmap", "stale", f"--from-literal=line={old}")
    eventually(lambda: changes_of(person, "stale"), what="its creation is told")
    kubectl("patch", "secret", "rotated", f'--patch={{"stringData":{{"token":"{new}"}}}}')
    version = int(person.observer.get("secret", "rotated")["metadata"]["resourceVersion"])
    journal = person.fluxlab.state / "labs" / LAB / "timeline" / "recorder"

    def beyond() -> bool:
        resume = json.loads((journal / "resume.json").read_text())
        return any(at >= version for resource, at in resume.items() if resource.endswith("/secrets"))

    eventually(beyond, what="the next recorder goes on after the change")
    victim = recorder(person)
    victim.kill()
    eventually(lambda: ended(victim), what="the recorder has ended")
    kubectl("patch", "configmap", "stale", '--patch={"data":{"line":"harmless"}}')
    eventually(lambda: len(changes_of(person, "stale")) == 2, what="its change is told")
    [change] = changes_of(person, "stale")[1]["changes"]
    assert change == {"field": ".data.line", "before": '"[redacted]"', "after": '"harmless"'}
    assert old.encode() not in b"".join(file.read_bytes() for file in journal.rglob("*") if file.is_file())


@pytest.mark.verify
def test_while_the_api_server_is_dead_logs_are_shown_without_what_its_secrets_held(
    person: Person, eventually: Eventually
) -> None:
    canary = "canary-of-the-dead-3e77"
    folder = person.fluxlab.state / "labs" / LAB
    person.observer.kubectl("create", "secret", "generic", "orphaned", f"--from-literal=token={canary}")
    eventually(lambda: canary in (folder / "secret-values.json").read_text(), what="the recorder has learned it")
    assert (folder / "secret-values.json").stat().st_mode & 0o777 == 0o600
    with (folder / "clusters" / "flux-playground" / "logs" / "kustomize-controller.log").open("a") as log:
        said = {"level": "error", "ts": datetime.now(UTC).isoformat(), "msg": "failed", "error": f"it is {canary}"}
        log.write(json.dumps(said) + "\n")
    component(person.fluxlab, LAB, "kube-apiserver").kill()
    try:
        for words in (
            ("logs", "kustomize-controller", "--tail=-1"),
            ("timeline", "--tail=-1"),
            ("logs", "--level=error"),
        ):
            done = person.fluxlab.run(*words, f"--lab={LAB}")
            assert done.returncode == 0
            assert "it is [redacted]" in done.stdout
            assert canary not in done.stdout
            assert "warning: the Secrets of cluster flux-playground cannot be read" in done.stderr
    finally:
        person.fluxlab.ok("up", "--name", LAB)


def storm(person: Person, prefix: str, *, objects: int, writes: int, threads: int = 16) -> None:
    """Create and change ConfigMaps with the official client."""
    # The official client has no types.
    api = client.CoreV1Api(config.new_client_from_config(str(person.observer.kubeconfig)))  # type: ignore[no-untyped-call]

    def one(number: int) -> None:
        name = f"{prefix}-{number}"
        body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name), data={"n": "0"})
        api.create_namespaced_config_map("default", body)
        for write in range(1, writes):
            api.patch_namespaced_config_map(name, "default", {"data": {"n": str(write)}})

    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(one, range(objects)):
            pass


def storm_told(person: Person, prefix: str) -> Counter[tuple[str, str]]:
    """(name, value) of each change that is told of a storm, read from the files themselves."""
    found: Counter[tuple[str, str]] = Counter()
    folder = person.fluxlab.state / "labs" / LAB / "timeline" / "recorder"
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_text().splitlines(keepends=True):
            entry = json.loads(line) if line.endswith("\n") else {}  # else it is being written just now
            if entry.get("object", "").startswith(f"ConfigMap default/{prefix}-"):
                value = entry["changes"][0]["after"] if entry.get("changes") else '"0"'
                found[entry["object"].rpartition("/")[2], value] += 1
    return found


@pytest.mark.parametrize(
    ("objects", "kill"),
    [(200, True), *(pytest.param(1000, kill, marks=pytest.mark.verify) for kill in (False, True))],
    ids=["recorder killed", "undisturbed", "recorder killed in a long one"],
)
def test_a_storm_is_told_change_by_change(person: Person, eventually: Eventually, objects: int, kill: bool) -> None:
    prefix, writes = f"{'killed' if kill else 'calm'}-{objects}", 5
    eventually(lambda: recorder(person), what="the recorder runs")
    victim = recorder(person)
    with ThreadPoolExecutor(1) as pool:
        raging = pool.submit(storm, person, prefix, objects=objects, writes=writes)
        if kill:
            eventually(lambda: len(storm_told(person, prefix)) > objects / 2, what="some of the storm is told")
            victim.kill()
        raging.result()
    expected = {(f"{prefix}-{number}", f'"{write}"') for number in range(objects) for write in range(writes)}
    eventually(lambda: set(storm_told(person, prefix)) == expected, within=60, what="all changes are told")
    assert set(storm_told(person, prefix).values()) == {1}
    if kill:
        assert ended(victim)
        texts = [entry["text"] for entry in told(person, "--source=recorder")]
        assert any("recording goes on" in text for text in texts)


@pytest.mark.verify
def test_after_the_supervisor_was_killed_the_sum_of_what_was_missed_is_told(
    person: Person, eventually: Eventually
) -> None:
    kubectl = person.observer.kubectl
    kubectl("create", "configmap", "through", "--from-literal=a=1")
    eventually(lambda: changes_of(person, "through"), what="its creation is told")
    recorder(person).suspend()  # it hears nothing more, and dies with the supervisor
    kubectl("patch", "configmap", "through", '--patch={"data":{"a":"2"}}')
    kubectl("patch", "configmap", "through", '--patch={"data":{"a":"3"}}')
    kubectl("create", "configmap", "meanwhile", "--from-literal=a=1")
    owner = supervisor(person.fluxlab, LAB)
    owner.kill()
    eventually(lambda: ended(owner), what="the supervisor has ended")
    person.fluxlab.ok("up", "--name", LAB)
    eventually(lambda: changes_of(person, "meanwhile"), what="what was missed is told")
    made, changed = changes_of(person, "through")
    assert made["text"] == "created"
    assert changed["changes"] == [{"field": ".data.a", "before": '"1"', "after": '"3"'}]
    assert changed["details"]["gap"] == "yes"
    gaps = [entry for entry in told(person, "--source=recorder") if "configmaps" in entry["text"]]
    assert gaps
    assert gaps[-1]["level"] == "warning"
    kubectl("create", "configmap", "afterwards", "--from-literal=a=1")
    eventually(lambda: changes_of(person, "afterwards"), what="it goes on")


@pytest.mark.verify
def test_a_timeline_that_cannot_be_written_is_named_and_catches_up(person: Person, eventually: Eventually) -> None:
    folder = person.fluxlab.state / "labs" / LAB / "timeline"
    command = ["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a read-only file system cannot be mounted here: not root, or not allowed to")
    try:
        person.observer.kubectl("create", "configmap", "unwritten", "--from-literal=a=1")

        def named() -> bool:
            done = person.fluxlab.run("status", f"--lab={LAB}")
            return done.returncode == 1 and "recorder is dead" in done.stdout and "read-only" in done.stdout.lower()

        eventually(named, what="status names it")
        person.push("unpushed", "1")
        eventually(lambda: person.sees("unpushed", "1"), what="Flux goes on")
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
    eventually(lambda: changes_of(person, "unwritten"), what="what was missed is told", within=90)
    eventually(
        lambda: any("Set unpushed" in entry["text"] for entry in told(person, "--source=commit")),
        what="the push is told",
    )
    eventually(lambda: person.fluxlab.run("status", f"--lab={LAB}").returncode == 0, what="all is well")
