"""What people are told to type works as it stands."""

import pytest

from fluxlab.command_lines import with_options


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("fluxlab report-only off", "fluxlab report-only off --lab mine"),
        ("fluxlab secret set shop/token KEY", "fluxlab secret set shop/token KEY --lab mine"),
        ("fluxlab flux get all -A", "fluxlab flux --lab mine get all -A"),
        ("fluxlab kubectl get pods", "fluxlab kubectl --lab mine get pods"),
    ],
)
def test_options_come_last_but_before_what_is_for_another_program(command: str, told: str) -> None:
    assert with_options(command, " --lab mine") == told
