"""What comes with fluxlab is clean once it has converged, with no exception for any object or field.

Of two that are small test_snapshots.py sees it daily, and test_drift.py of an edit of Flux's own objects.
"""

import pytest
from tests.integration.conftest import CommandLine

from fluxlab.lab_files import lab_file_names
from fluxlab.scenarios import scenario_names

pytestmark = [pytest.mark.integration, pytest.mark.verify]

BROKEN = "observability-agent-as-published"
"""Never converges, and says why."""
CHANGE = '{"spec":{"timeout":"77s"}}'


@pytest.mark.parametrize("scenario", [name for name in scenario_names() if name != BROKEN])
def test_a_scenario_is_clean_once_it_has_converged(scenario: str, fluxlab: CommandLine) -> None:
    file = fluxlab.folder / "lab.yaml"
    file.write_text(f"name: {scenario}\nscenarios: [{scenario}]\n")
    for line in fluxlab.ok("up", scenario if scenario in lab_file_names() else str(file)).splitlines():
        if "fluxlab secret set" in line:  # as the screen says
            fluxlab.ok(*line.split("#")[0].split()[1:], stdin="not-for-everybody\n")
    fluxlab.ok("wait")
    clean = fluxlab.run("drift")
    assert (clean.returncode, clean.stdout) == (0, ""), clean.stderr
    clusters = sorted((fluxlab.state / "labs" / scenario / "clusters").iterdir())
    for cluster in clusters:
        observer = fluxlab.observer(scenario, cluster.name)
        observer.kubectl("patch", "gitrepository", "flux-system", "-n=flux-system", "--type=merge", f"-p={CHANGE}")
    edited = fluxlab.run("drift")
    assert edited.returncode == 1, edited.stderr
    assert edited.stdout.count("GitRepository flux-system/flux-system: added field .spec.timeout") == len(clusters)
