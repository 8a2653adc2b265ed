"""A chart is added by its host alone wherever something names the repository there."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from fluxlab.cli import chart_commands
from fluxlab.cli.chart_commands import _url
from fluxlab.errors import UsageError

HOST = "charts.example.org"
IN_GIT = """\
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata: {{name: {name}}}
spec: {{interval: 1m, url: "https://charts.example.org/{name}/"}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: HelmRepository}}
data: {{url: "https://charts.example.org/nowhere"}}
"""
Known = Callable[..., None]


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Known:
    """A lab that serves charts at these URLs, and whose repository says this."""

    def lab(*served: str, git: str = "") -> None:
        charts = [SimpleNamespace(repository=url) for url in served]
        repository = SimpleNamespace(
            head=lambda: "c", text=lambda commit, path: git if (commit, path) == ("c", "") else ""
        )
        found = SimpleNamespace(status=lambda: SimpleNamespace(charts=charts), repository=repository)
        monkeypatch.setattr(chart_commands, "find_lab", lambda _: found)

    return lab


def test_what_is_served_at_the_host_counts_before_what_git_names(known: Known) -> None:
    known(f"https://{HOST}/served", git=IN_GIT.format(name="stable"))
    assert _url(None, HOST, None, new=True) == f"https://{HOST}/served"
    assert _url(None, HOST, None) == f"https://{HOST}/served"


def test_a_new_one_is_where_git_says_and_none_is_yanked_there(known: Known) -> None:
    known("https://other.example.org/served", git=IN_GIT.format(name="stable"))
    assert _url(None, HOST, None, new=True) == f"https://{HOST}/stable"
    with pytest.raises(UsageError, match="which repository"):
        _url(None, HOST, None)


def test_the_host_of_the_demo_is_known_before_anything_is_there(known: Known) -> None:
    known()
    demo = "https://open-telemetry.github.io/opentelemetry-helm-charts"
    assert _url(None, "open-telemetry.github.io", None, new=True) == demo


def test_a_prefix_wins(known: Known) -> None:
    known(f"https://{HOST}/served")
    assert _url(None, HOST, "/mine/", new=True) == f"https://{HOST}/mine"


def test_where_nothing_or_too_much_tells_the_way_is_named(known: Known) -> None:
    known("https://other.example.org/served")
    with pytest.raises(UsageError, match="which repository") as nothing:
        _url(None, HOST, None, new=True)
    assert "--prefix" in nothing.value.hint
    assert "https://other.example.org/served" in str(nothing.value.facts)
    known(git=IN_GIT.format(name="a") + "---\n" + IN_GIT.format(name="b"))
    with pytest.raises(UsageError) as several:
        _url(None, HOST, None, new=True)
    assert f"https://{HOST}/a and https://{HOST}/b" in str(several.value.facts)
