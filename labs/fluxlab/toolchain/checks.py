"""Whether a program that was built or unpacked is the wanted one, and runs here."""

import json
from collections.abc import Mapping
from pathlib import Path

from fluxlab.commands import CommandError, run

from .components import STANDARD_LIBRARY, Component
from .entries import Entry
from .errors import RETRY, ToolchainError
from .golang import Go


def check_build(go: Go, program: Path, entry: Entry) -> None:
    """Compare the build information in a program with what was asked for. Raises ToolchainError."""
    stated = json.loads(run([go.program, "version", "-m", "-json", program]).stdout)
    settings = {setting["Key"]: setting["Value"] for setting in stated["Settings"]}
    component = entry.component
    modules = {found["Path"]: _module(found) for found in stated.get("Deps") or []}
    own = component.own_program  # then upstream is what it is linked with
    modules[STANDARD_LIBRARY] = f"{STANDARD_LIBRARY} v{component.go_version}"  # not listed: a newer Go may link its own
    seen = {
        "package": component.package if own else stated["Path"],
        "module": modules.get(component.module, "none") if own else _module(stated["Main"]),
        "platform": f"{settings.get('GOOS')}/{settings.get('GOARCH')}",
        "CGO_ENABLED": settings.get("CGO_ENABLED"),
    }
    wanted = {
        "package": component.package,
        "module": f"{component.module} v{component.version}",
        "platform": str(entry.platform),
        "CGO_ENABLED": "0",
    }
    wrong = [f"{name}: {seen[name]} instead of {wanted[name]}" for name in wanted if seen[name] != wanted[name]]
    if wrong:
        raise ToolchainError(f"{entry.name}: what was built is not what was asked for", facts=wrong, hint=RETRY)


def _module(found: Mapping[str, str]) -> str:
    return f"{found['Path']} {found['Version']}"


def check_runs(folder: Path, component: Component, *, home: Path) -> None:
    """Run a component's programs and compare the version that they tell. Raises ToolchainError.

    They get a home of their own: the configuration of the user's kubectl or helm has no say here.
    """
    for name in component.programs:
        _check_runs(folder / name, component, home=home)


def _check_runs(program: Path, component: Component, *, home: Path) -> None:
    arguments = [component.expand(argument) for argument in component.version_arguments]
    wanted = component.expand(component.version_output)
    environment = {"HOME": str(home), "KUBECONFIG": "/dev/null"}
    try:
        done = run([program, *arguments], environment=environment, timeout_seconds=60)
    except (CommandError, OSError) as error:
        raise ToolchainError(
            f"{program.name} does not run here",
            facts=[str(error)],
            hint=f"check that programs may run from {program.parent} (mount option noexec?); {RETRY}",
        ) from error
    told = done.stdout + done.stderr
    if wanted not in told:
        facts = [f"wanted: {wanted}", *told.splitlines()[:5]]
        raise ToolchainError(f"{program.name} does not tell the wanted version", facts=facts, hint=RETRY)
