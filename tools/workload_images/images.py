"""What stands for which image: Flux's controllers for themselves, our programs for everything else."""

from pathlib import Path

from tools.image_archives import TEMPORARY, Image, Layer, Member, program

from fluxlab.toolchain import Toolchain
from fluxlab.toolchain.components import CONTROLLERS

from .components import AGENT, SHELL, STANDIN
from .rendered import Use

NOBODY = "65534:65534"
"""As Flux's own images have it: its Deployments forbid root and name nobody else."""
SHELLS = ("busybox",)
AGENTS = ("agent", "mediator")


def images(used: list[Use], *, programs: Toolchain, busybox: Path | None) -> list[Image]:
    """One image for each use; `busybox` is the shell of those that need one."""
    return [_image(use, programs=programs, busybox=busybox) for use in used]


def _image(use: Use, *, programs: Toolchain, busybox: Path | None) -> Image:
    name = use.image.rpartition("/")[2].partition(":")[0]
    if name in CONTROLLERS:
        return Image(
            names=(use.image,),
            layers=(program(programs.binary(name)),),
            entrypoint=(f"/usr/local/bin/{name}",),
            user=NOBODY,
        )
    if name in SHELLS and busybox:
        return Image(names=(tagged(use.image),), layers=(_shell(busybox, programs),), entrypoint=("/bin/sh",))
    binary = programs.binary(AGENT if name in AGENTS else STANDIN)
    commands = [Member(path=command.lstrip("/"), link=f"/usr/local/bin/{binary.name}") for command in use.commands]
    return Image(
        names=(tagged(use.image),),
        layers=(program(binary), *([Layer(members=tuple(commands))] if commands else [])),
        entrypoint=(f"/usr/local/bin/{binary.name}",),
        environment={
            "STANDIN_NAME": use.containers[0],
            "STANDIN_PORTS": ",".join(str(port) for port in use.ports),
            "GOMEMLIMIT": "12MiB",  # the limits of the smallest components are 20Mi
        },
    )


def tagged(image: str) -> str:
    """The name under which a container runtime looks for an image: `busybox` is docker.io/library/busybox:latest."""
    host, slash, _ = image.partition("/")
    full = image if slash and ("." in host or ":" in host) else f"docker.io/{image if slash else f'library/{image}'}"
    return full if ":" in full.rpartition("/")[2] else f"{full}:latest"


def _shell(busybox: Path, programs: Toolchain) -> Layer:
    """Static busybox with the commands that init containers use.

    Debian's `nc` lacks -z, so ours takes its place; and busybox's `sh` would still take its own, so that is ours too.
    """
    names = ("cat", "cp", "echo", "env", "grep", "id", "ls", "mkdir", "mv", "rm", "sed", "sleep", "test", "true")
    return Layer(
        members=(
            Member(path="bin/busybox", source=busybox),
            *(Member(path=f"bin/{name}", link="busybox") for name in names),
            Member(path="bin/nc", source=programs.binary(STANDIN)),
            Member(path="bin/sh", source=programs.binary(SHELL)),
            Member(path="tmp", mode=TEMPORARY),
        )
    )
