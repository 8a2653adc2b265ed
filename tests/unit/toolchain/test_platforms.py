import os
from types import SimpleNamespace

import pytest

from fluxlab.errors import UsageError
from fluxlab.toolchain import Platform, ToolchainError


@pytest.mark.parametrize(
    ("system", "machine", "expected"),
    [("Linux", "x86_64", "linux/amd64"), ("Linux", "aarch64", "linux/arm64"), ("Darwin", "arm64", "darwin/arm64")],
)
def test_the_platform_of_this_machine_in_words_of_go(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str, expected: str
) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(sysname=system, machine=machine))
    assert str(Platform.native()) == expected
    assert Platform.native() == Platform.parse(expected)


@pytest.mark.parametrize(("system", "machine"), [("Linux", "riscv64"), ("FreeBSD", "amd64")])
def test_a_machine_without_a_toolchain_is_named(monkeypatch: pytest.MonkeyPatch, system: str, machine: str) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(sysname=system, machine=machine))
    with pytest.raises(ToolchainError, match=f"no toolchain for {system} on {machine}"):
        Platform.native()


@pytest.mark.parametrize("text", ["linux", "linux/", "linux/x86_64", "plan9/amd64", "linux/amd64/v2", ""])
def test_another_word_is_no_platform(text: str) -> None:
    with pytest.raises(UsageError, match="is no platform of the toolchain") as caught:
        Platform.parse(text)
    assert "linux/arm64" in caught.value.facts[0]
