"""toolchain build, list, path, key, bundle, install: the pinned upstream programs."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .build_progress import BuildProgress
from .options import Output, OutputOption
from .output import say, table, ticker

if TYPE_CHECKING:
    from fluxlab.toolchain import Component, ComponentStatus


class Extra(StrEnum):
    """What not every lab needs."""

    KIND = "kind"


ExtraOption = Annotated[list[Extra] | None, typer.Option("--with", help="Also what not every lab needs.")]
PlatformOption = Annotated[
    str | None, typer.Option("--platform", help="Another one than this machine's: linux/arm64, darwin/arm64, ...")
]
app = typer.Typer(help="The pinned upstream programs: built once, cached, bundled.", no_args_is_help=True)


@app.command()
def build(
    *,
    keep_build_cache: Annotated[
        bool, typer.Option(help="Keep Go's build cache (about 8 GB) until something is built without this.")
    ] = False,
    jobs: Annotated[int | None, typer.Option(help="Compilers at once; default: as many as cores.", min=1)] = None,
    platform: PlatformOption = None,
    extras: ExtraOption = None,
) -> None:
    """Build what is missing: 15 to 20 minutes on two cores, once."""
    from fluxlab.toolchain import Platform
    from fluxlab.toolchain.building import build as make

    target = Platform.parse(platform) if platform else None
    progress = BuildProgress()
    with progress.ticking():
        toolchain = make(
            progress=progress,
            keep_build_cache=keep_build_cache,
            jobs=jobs,
            platform=target,
            components=_components(extras),
        )
    say(f"the toolchain is complete: {len(toolchain.programs)} programs")


@app.command("list")
def list_components(
    *,
    verify: Annotated[bool, typer.Option(help="Read every file and compare its digest.")] = False,
    extras: ExtraOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """List the components and whether they are installed. Exit code 1 when one is missing or damaged."""
    from fluxlab.toolchain import status

    components = status(verify=verify, components=_components(extras))
    if output is Output.JSON:
        print(json.dumps([{**asdict(c), "path": str(c.path)} for c in components], indent=2))
    else:
        rows = [[_title(c), c.version, str(c.state), f"{(c.size or 0) / 1e6:.0f} MB"] for c in components]
        table(["COMPONENT", "VERSION", "STATE", "SIZE"], rows)
    raise typer.Exit(0 if all(str(c.state) == "installed" for c in components) else 1)


@app.command()
def path(program: Annotated[str, typer.Argument(metavar="PROGRAM", help="A program, such as flux.")]) -> None:
    """Print where a program is."""
    from fluxlab.toolchain import KIND_COMPONENTS, find

    extra = [known for known in KIND_COMPONENTS if program in known.programs]
    print((find(components=extra) if extra else find()).binary(program))


@app.command()
def key() -> None:
    """Print the key of all that is pinned, installed or not: a bundle is of use where it is the same."""
    from fluxlab.toolchain import COMPONENTS, Platform
    from fluxlab.toolchain.entries import entries, set_key

    print(set_key(entries(COMPONENTS, platform=Platform.native())))


@app.command()
def bundle(
    destination: Annotated[
        Path,
        typer.Argument(
            metavar="DESTINATION",
            help="The file to write (.tar.zst), or a folder for one named by the toolchain's key.",
        ),
    ] = Path(),
    *,
    platform: PlatformOption = None,
) -> None:
    """Write the toolchain into one file that another machine installs in seconds; kind is never in it."""
    from fluxlab.toolchain import Platform
    from fluxlab.toolchain.bundling import bundle as write

    target = Platform.parse(platform) if platform else None
    with ticker() as tick:
        tick(f"compressing the toolchain into {destination} (half a minute)")
        written = write(destination, platform=target)
    say(f"sha256 {written.sha256}  ({written.size / 1e6:.0f} MB)")
    print(written.path)


@app.command()
def install(
    archive: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A file that `toolchain bundle` wrote.", exists=True, dir_okay=False),
    ],
    sha256: Annotated[str | None, typer.Option(help="The digest that `toolchain bundle` printed.")] = None,
) -> None:
    """Install a bundle after verifying it."""
    from fluxlab.toolchain.installing import install as take

    with ticker() as tick:
        tick(f"verifying and installing {archive}")
        toolchain = take(archive, expected_sha256=sha256)
    say(f"installed {len(toolchain.programs)} programs")


def _title(component: "ComponentStatus") -> str:
    one = component.programs == (component.name,)
    return component.name if one else f"{component.name} ({', '.join(component.programs)})"


def _components(extras: list[Extra] | None) -> Sequence["Component"]:
    from fluxlab.toolchain import COMPONENTS, KIND_COMPONENTS

    return (*COMPONENTS, *KIND_COMPONENTS) if extras else COMPONENTS
