"""env, shell, kubectl, flux, helm: other programs, pointed at the lab."""

import json
import os
import re
import shlex
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand

from fluxlab.command_lines import TOOLS

from .options import FirstClusterOption, LabOption, Output, OutputOption, find_lab
from .output import say

PASS_THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
HELP = ("-h", "--help")
_OWN = re.compile(r"(?:--lab|--cluster)(?P<value>=.*)?|-[lc](?P<attached>.+)?", re.DOTALL)
Words = Annotated[list[str] | None, typer.Argument(help="Everything else goes to the program.", metavar="ARGS...")]


class ToolCommand(TyperCommand):
    """From the first word on that is no option of fluxlab's, all is for the program: `-n=team` holds no `-c`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Say where that begins."""
        own = 0
        while own < len(args) and (found := _OWN.fullmatch(args[own])):
            own += 1 if found["value"] or found["attached"] else 2
        rest = args[own:]
        return super().parse_args(ctx, [*args[:own], *([] if rest[:1] == ["--"] else ["--"]), *rest])


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(env)
    app.command()(shell)
    for tool in TOOLS:
        settings = {**PASS_THROUGH, "allow_interspersed_args": False}
        told = f"Run the lab's {tool}; --lab and --cluster come first."
        app.command(tool, cls=ToolCommand, help=told, context_settings=settings)(_runner(tool))


def _environment(lab: str | None, cluster: str | None) -> dict[str, str]:
    from fluxlab.shells import shell_environment

    return shell_environment(find_lab(lab), cluster=cluster)


def env(lab: LabOption = None, cluster: FirstClusterOption = None, output: OutputOption = Output.TEXT) -> None:
    """Print what points kubectl, flux and helm at the lab: eval "$(fluxlab env)"."""
    variables = _environment(lab, cluster)
    if output is Output.JSON:
        print(json.dumps(variables, indent=2))
        return
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")


def shell(lab: LabOption = None, cluster: FirstClusterOption = None) -> None:
    """Open a shell in which kubectl, flux, helm and git know the lab."""
    from fluxlab.errors import UsageError

    variables = _environment(lab, cluster)
    program = os.environ.get("SHELL") or "/bin/sh"
    say(f"lab {variables['FLUXLAB_LAB']}: kubectl, flux and helm are the lab's own; `exit` leaves this shell")
    try:
        os.execvpe(program, [program], {**os.environ, **variables})  # noqa: S606 # the shell takes our place
    except OSError as error:
        what = f"{program} cannot be started: {error.strerror}"
        raise UsageError(what, hint="SHELL=/bin/sh fluxlab shell") from None


def _help(tool: str) -> NoReturn:
    """The program's own help, which needs no lab."""
    from fluxlab.toolchain import find

    say(f"fluxlab {tool} [--lab NAME] [--cluster NAME] ARGS...: {tool} itself, pointed at the lab. Its own help:\n")
    os.execv(find().binary(tool), [tool, "--help"])  # noqa: S606 # it takes our place


def _runner(tool: str) -> Callable[..., None]:
    def run_tool(words: Words = None, lab: LabOption = None, cluster: FirstClusterOption = None) -> None:
        from fluxlab.shells import tools_folder

        if words and words[0] in HELP:
            _help(tool)
        variables = {**os.environ, **_environment(lab, cluster)}
        program = tools_folder(find_lab(lab)) / tool
        os.execve(program, [tool, *(words or [])], variables)  # noqa: S606 # it takes our place

    return run_tool
