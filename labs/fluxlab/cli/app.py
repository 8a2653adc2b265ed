"""The application: all commands, and how errors end the program."""

import sys
from io import TextIOWrapper
from typing import Annotated, NoReturn, cast

import typer

from fluxlab.errors import FluxlabError, UnknownError

from . import (
    alert_commands,
    chart_commands,
    drift_commands,
    fault_commands,
    lab_commands,
    rehearse_commands,
    report_only_commands,
    repository_commands,
    secret_commands,
    snapshot_commands,
    timeline_commands,
    tool_commands,
    toolchain_commands,
)
from .output import say, show_error

USAGE_EXIT_CODE = 64
INTERRUPTED_EXIT_CODE = 130

# Typer carries its own copy of click in newer versions: the class is reached through the public one below it.
UsageExit = cast("type[typer.BadParameter]", typer.BadParameter.__mro__[1])

app = typer.Typer(
    name="fluxlab",
    help="A local lab for GitOps with Flux: a real control plane and the real Flux controllers, in seconds.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(*, asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(version("fluxlab"))
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print fluxlab's version.", callback=lambda value: _version(asked=value), is_eager=True
        ),
    ] = False,
) -> None:
    """Take what comes before a command."""


for commands in (
    lab_commands,
    repository_commands,
    timeline_commands,
    drift_commands,
    fault_commands,
    rehearse_commands,
    alert_commands,
    tool_commands,
):
    commands.register(app)
app.add_typer(chart_commands.app, name="charts")
app.add_typer(report_only_commands.app, name="report-only")
app.add_typer(secret_commands.app, name="secret")
app.add_typer(snapshot_commands.app, name="snapshot")
app.add_typer(toolchain_commands.app, name="toolchain")


def main() -> NoReturn:
    """Run the command line: exit code 0 true, 1 false, 2 could not tell, 64 usage."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr is: what a terminal cannot show ends no command
    try:
        code = app(standalone_mode=False, prog_name="fluxlab")  # also as python -m fluxlab
    except UsageExit as error:
        error.show()
        sys.exit(USAGE_EXIT_CODE)
    except typer.Exit as error:
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        say("interrupted")
        sys.exit(INTERRUPTED_EXIT_CODE)
    except BrokenPipeError:
        # Whoever read our output (head, less) has had enough; Python must not complain about it at exit.
        sys.stdout = None
        sys.exit(1)
    except FluxlabError as error:
        show_error(error)
        sys.exit(error.exit_code)
    except (OSError, UnicodeError) as error:  # a path too long, a folder that may not be read, a file that is no text
        show_error(UnknownError(str(error)))
        sys.exit(UnknownError.exit_code)
    sys.exit(code if isinstance(code, int) else 0)
