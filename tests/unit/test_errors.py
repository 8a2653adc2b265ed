"""What an error tells a person, and with which exit code it ends the program."""

import pytest

from fluxlab.errors import FluxlabError, UnknownError, UsageError, WaitTimeoutError


def test_an_error_tells_what_happened_the_facts_and_what_to_type_next() -> None:
    error = FluxlabError("etcd died", facts=["exit code 1", "no space\nleft"], hint="df -h")
    assert str(error) == "etcd died\n  exit code 1\n  no space\n  left\nnext: df -h"
    assert (error.what, error.facts, error.hint) == ("etcd died", ("exit code 1", "no space\nleft"), "df -h")


def test_an_error_without_facts_and_hint_is_one_line() -> None:
    assert str(FluxlabError("etcd died")) == "etcd died"


def test_an_empty_fact_adds_no_line() -> None:
    assert str(FluxlabError("etcd died", facts=[""])) == "etcd died"


@pytest.mark.parametrize(
    ("kind", "code"), [(FluxlabError, 1), (WaitTimeoutError, 1), (UnknownError, 2), (UsageError, 64)]
)
def test_false_unknown_and_usage_end_with_different_codes(kind: type[FluxlabError], code: int) -> None:
    error = kind("x")
    assert isinstance(error, FluxlabError)
    assert error.exit_code == code
