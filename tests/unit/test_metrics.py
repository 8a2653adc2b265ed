"""The numbers that programs tell of themselves."""

import os

import pytest

from fluxlab.errors import UnknownError
from fluxlab.metrics import parsed, samples_of

TEXT = """\
# HELP gotk_event_http_request_duration_seconds The latency of the HTTP requests.
gotk_event_http_request_duration_seconds_count{code="202",handler="/",service=""} 9
gotk_event_http_request_duration_seconds_count{code="429",handler="/a\\"b{}",service=""} 2
go_goroutines 1.5e+02
"""


def test_each_number_has_its_name_and_labels() -> None:
    first, second, third = parsed(TEXT)
    assert (first.value, first.labels) == (9, {"code": "202", "handler": "/", "service": ""})
    assert (second.value, second.labels["code"]) == (2, "429")
    assert (third.name, third.value, third.labels) == ("go_goroutines", 150, {})
    assert third.line == "go_goroutines 1.5e+02"


def test_a_program_that_tells_none_is_named() -> None:
    for pid in (None, os.getpid()):
        with pytest.raises(UnknownError, match="some-controller serves no metrics"):
            samples_of(pid, program="some-controller")
