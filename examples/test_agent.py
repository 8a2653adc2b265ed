"""The observability agent: its token is never in git, and without it the agent waits instead of failing."""

import base64

import pytest

from fluxlab.flux.convergence import ConvergenceError
from fluxlab.lab import Lab


def test_the_agent_waits_for_its_token_and_then_goes_on_by_itself(lab: Lab) -> None:
    commit = lab.repository.apply("observability-agent")
    lab.converge(commit, until_asked=True)
    with pytest.raises(ConvergenceError, match="waits for Secret causely/causely-secrets with key CAUSELY_TOKEN"):
        lab.converge(commit, timeout_seconds=1)

    lab.cluster.set_secret("causely/causely-secrets", "CAUSELY_TOKEN", "a-token-for-this-test")
    lab.converge(commit)

    held = lab.cluster.kubectl("-n", "causely", "get", "secret", "causely-token", "-o", "jsonpath={.data.token}")
    assert base64.b64decode(held).decode() == "a-token-for-this-test"
    assert "a-token-for-this-test" not in lab.repository.text(commit.sha, ".")
