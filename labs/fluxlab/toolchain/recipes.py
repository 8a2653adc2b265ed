"""How one component is made from its go.mod: with `go build`, and a detour for the flux command line."""

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fluxlab.commands import CommandError, run

from . import flux_cli, licences
from .checks import check_build, check_runs
from .components import FLUX_MANIFESTS, Component
from .entries import LICENCES, Entry
from .errors import RETRY, ToolchainError
from .golang import Go, run_step
from .manifests import FileRecord, Manifest
from .platforms import Platform
from .store import link_programs

DOWNLOAD_TIMEOUT_SECONDS = 1800


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """What a recipe may use: Go, a scratch folder, the other components, and the tools built from them."""

    go: Go
    work: Path
    entry: Entry
    components: Mapping[str, Component]
    tools: Mapping[str, Path]
    """Folders of finished entries for the platform that fluxlab runs on."""
    jobs: int | None = None

    @property
    def output(self) -> Path:
        """What becomes the entry's folder."""
        return self.work / "output"

    @property
    def program(self) -> Path:
        """The program to be built, under the first of its names."""
        return self.output / self.entry.component.programs[0]

    @property
    def environment(self) -> dict[str, str]:
        """For every call of Go."""
        return self.go.environment(platform=self.entry.platform, temporary=self.work / "temporary")

    def sources(self, component: Component) -> Path:
        """A copy of a component's files: the installed ones may be write-protected."""
        folder = self.work / "sources" / component.name
        if not folder.exists():
            folder.mkdir(parents=True)
            for name in component.files:
                shutil.copyfile(component.folder / name, folder / name)
        return folder

    def _call(self, component: Component, *arguments: str) -> list[str | Path]:
        return [self.go.program, "-C", self.sources(component), *arguments]

    def step(self, component: Component, *arguments: str, doing: str) -> None:
        """One long call of Go in a component's folder."""
        argv = self._call(component, *arguments)
        log = self.work / "go.log"
        run_step(argv, component=self.entry.name, doing=doing, environment=self.environment, log=log)

    def ask(self, component: Component, *arguments: str) -> str:
        """The answer of one short call of Go in a component's folder."""
        argv = self._call(component, *arguments)
        return run(argv, environment=self.environment, timeout_seconds=DOWNLOAD_TIMEOUT_SECONDS).stdout


def make(workshop: Workshop) -> Manifest:
    """Build, check and describe one component in `workshop.output`. Raises ToolchainError."""
    began = time.monotonic()
    workshop.output.mkdir(parents=True)
    (workshop.work / "temporary").mkdir()
    try:
        _build_and_check(workshop)
    except CommandError as error:
        raise ToolchainError(f"{workshop.entry.name}: {error.what}", facts=error.facts, hint=RETRY) from error
    return _describe(workshop, seconds=time.monotonic() - began)


def _build_and_check(workshop: Workshop) -> None:
    if workshop.entry.component.recipe == "flux":
        _prepare_flux(workshop)
        compile_program(workshop, "-mod=vendor")
    else:
        compile_program(workshop)
    check_build(workshop.go, workshop.program, workshop.entry)
    link_programs(workshop.output, workshop.entry.component)
    if workshop.entry.platform == Platform.native():
        check_runs(workshop.output, workshop.entry.component, home=workshop.work)
    if FLUX_MANIFESTS in workshop.entry.files:
        _write_flux_manifests(workshop)
    _write_licences(workshop)


def compile_program(workshop: Workshop, *flags: str) -> None:
    """Run `go build`: this also fetches the modules and compares them with go.sum."""
    component = workshop.entry.component
    variables = [f"-X {component.expand(variable)}" for variable in component.variables]
    jobs = [f"-p={workshop.jobs}"] if workshop.jobs else []
    linker = " ".join(["-s", "-w", *variables])
    arguments = ["build", *flags, *jobs, "-ldflags", linker, "-o", str(workshop.program), component.target]
    workshop.step(component, *arguments, doing="go build")


def _prepare_flux(workshop: Workshop) -> None:
    """Vendor the modules of the flux command line and add the manifests that its source embeds but does not hold."""
    flux = workshop.entry.component
    workshop.step(flux, "mod", "vendor", "-e", doing="go mod vendor")
    controllers = {name: workshop.components[name] for name in flux.inputs if name != "kubectl"}
    sources = {name: _module_folder(workshop, component) for name, component in controllers.items()}
    versions = {name: component.version for name, component in controllers.items()}
    flux_cli.write_manifests(
        module=_module_folder(workshop, flux),
        controllers=sources,
        versions=versions,
        kubectl=workshop.tools["kubectl"] / "kubectl",
        scratch=workshop.work / "manifests",
        destination=workshop.sources(flux) / "vendor/github.com/fluxcd/flux2/v2/cmd/flux/manifests",
    )


def _module_folder(workshop: Workshop, component: Component) -> Path:
    """Where Go keeps the source of a component's module, fetched and compared with go.sum if need be."""
    workshop.step(component, "mod", "download", component.module, doing="go mod download")
    return Path(workshop.ask(component, "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", component.module).strip())


def _write_flux_manifests(workshop: Workshop) -> None:
    """Store what `flux install --export` prints; it is the same for every platform."""
    native = workshop.entry.platform == Platform.native()
    target = workshop.output / FLUX_MANIFESTS
    if native:
        target.write_text(flux_cli.export(workshop.program, home=workshop.work))
    else:
        shutil.copyfile(workshop.tools["flux"] / FLUX_MANIFESTS, target)


def _write_licences(workshop: Workshop) -> None:
    """Capture the licences while the modules are at hand, so that a bundle can be made without Go."""
    component = workshop.entry.component
    # -e: what flux embeds is missing in its module, which does not matter for the list.
    arguments = ("list", "-mod=readonly", "-e", "-deps", "-f", licences.TEMPLATE, component.target)
    listing = workshop.ask(component, *arguments)
    go_root = Path(workshop.ask(component, "env", "GOROOT").strip())
    found = licences.collect(listing, go_root=go_root, go_version=workshop.go.version)
    found.write(workshop.output / LICENCES)


def _describe(workshop: Workshop, *, seconds: float) -> Manifest:
    now = datetime.now(tz=UTC).replace(microsecond=0)
    entry = workshop.entry
    return Manifest(
        component=entry.name,
        version=entry.component.version,
        key=entry.key,
        platform=str(entry.platform),
        go=workshop.go.version,
        built_at=now.isoformat(),
        build_seconds=round(seconds, 1),
        modified=int(now.timestamp()),
        files={name: FileRecord.of(workshop.output / name) for name in entry.files},
    )
