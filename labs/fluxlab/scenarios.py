"""Scenarios: what a lab can hold. A folder with manifests for the repository and the charts that they need."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .errors import UsageError
from .model_files import read_model
from .spec import SinkSpec, check_free_hosts, host_of, is_folder

# In a wheel the scenarios lie beside the package; in a checkout two folders further up.
_PLACES = (Path(__file__).parent / "scenarios", Path(__file__).parents[2] / "scenarios")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class ScenarioChart(_Model):
    """A chart of the scenario and the public repository that serves it."""

    path: str
    """Its folder, below the scenario's."""
    repository: str
    """The public URL of the chart repository, https or oci."""
    stand_in: bool = Field(default=False, alias="stand-in")

    @property
    def host(self) -> str:
        """The public host of its repository."""
        return host_of(self.repository)


class ScenarioFile(_Model):
    """The content of scenario.yaml."""

    description: str
    charts: list[ScenarioChart] = Field(default_factory=list)
    alerts: list[SinkSpec] = Field(default_factory=list)
    """The public hosts at which its alerts end."""

    @model_validator(mode="after")
    def _alerts_at_free_hosts(self) -> "ScenarioFile":
        check_free_hosts(self.alerts, {chart.host: "charts" for chart in self.charts})
        return self


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One scenario on disk."""

    name: str
    folder: Path
    content: ScenarioFile

    def files(self) -> Mapping[str, bytes]:
        """What goes into the repository, by path."""
        root = self.folder / "repository"
        return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}

    def served(self, allowed: Collection[str]) -> Sequence[ScenarioChart]:
        """The charts that a lab serves: a stand-in gives way to the public chart at a host that is `allowed`."""
        return [chart for chart in self.content.charts if not (chart.stand_in and chart.host in allowed)]


def scenario_names() -> list[str]:
    """The names of all scenarios that come with fluxlab."""
    return sorted({file.parent.name for place in _PLACES for file in place.glob("*/scenario.yaml")})


def load_scenario(name: str, *, base: Path = Path()) -> Scenario:
    """A scenario by name, or by its folder, meant from `base` on, with a slash.

    Raises UsageError that names those there are.
    """
    candidates = [base / name] if is_folder(name) else [place / name for place in _PLACES]
    folder = next((folder for folder in candidates if (folder / "scenario.yaml").is_file()), None)
    if folder is None:
        facts = [f"there are: {', '.join(scenario_names())}"]
        meant = not is_folder(name) and (Path(name) / "scenario.yaml").is_file()
        hint = f"./{name} is the folder here" if meant else "docs/scenarios.md: how to write one"
        raise UsageError(f"there is no scenario {name!r}", facts=facts, hint=hint)
    content = read_model(folder / "scenario.yaml", ScenarioFile, what="a scenario")
    return Scenario(name=folder.name, folder=folder, content=content)
