"""What a lab's folder tells of alerts."""

from pathlib import Path

import pytest

from fluxlab.errors import FluxlabError
from fluxlab.files import write_private
from fluxlab.spec import SinkSpec
from fluxlab.state import LabFolder
from fluxlab.timeline.folder import TimelineFolder

SLACK = SinkSpec(kind="slack", host="hooks.slack.com")


@pytest.fixture
def folder(tmp_path: Path) -> TimelineFolder:
    return TimelineFolder(LabFolder(tmp_path))


def test_a_lab_without_alerts_has_no_sinks(folder: TimelineFolder) -> None:
    assert folder.sinks() == []


def test_the_sinks_of_a_lab_are_those_that_were_written_whole(folder: TimelineFolder) -> None:
    github = SinkSpec(kind="github", host="ghe.example.org")
    for sink in (SLACK, github):
        write_private(folder.lab.sinks / sink.host, sink.model_dump_json())
    (folder.lab.sinks / ".other.example.org.17.18").touch()
    assert folder.sinks() == [github, SLACK]


def test_a_sink_that_cannot_be_read_is_named_with_what_to_do(folder: TimelineFolder) -> None:
    file = write_private(folder.lab.sinks / SLACK.host, "")
    with pytest.raises(FluxlabError, match=f"what is at {SLACK.host}") as caught:
        folder.sinks()
    assert caught.value.hint == f"rm {file}"


def test_below_the_host_of_a_sink_all_is_masked(folder: TimelineFolder) -> None:
    write_private(folder.lab.sinks / SLACK.host, SLACK.model_dump_json())
    (folder.lab.sinks / ".other.example.org.17.18").touch()
    redactor = folder.redactor()
    assert redactor.hides_below(SLACK.host)
    assert not redactor.hides_below(".other.example.org.17.18")
