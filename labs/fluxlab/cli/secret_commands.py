"""secret set: values that must not enter git, nor any command line."""

import os
import sys
from typing import Annotated

import typer

from .options import ClusterOption, LabOption, find_lab
from .output import say

app = typer.Typer(help="Secrets of a cluster.", no_args_is_help=True)

SURPLUS = {"allow_extra_args": True, "ignore_unknown_options": True}
"""What does not belong there may be the value: we refuse it ourselves, since typer would repeat it in a log."""
WAYS = "leave the value out: it comes from a prompt, standard input, or --from-env VARIABLE"


@app.command("set", context_settings=SURPLUS)
def set_secret(
    context: typer.Context,
    place: Annotated[str, typer.Argument(metavar="NAMESPACE/NAME", help="The Secret.")],
    key: Annotated[str, typer.Argument(metavar="KEY", help="The key to set; the others stay.")],
    lab: LabOption = None,
    cluster: ClusterOption = None,
    *,
    from_env: Annotated[
        str | None, typer.Option("--from-env", metavar="VARIABLE", help="Take the value from there.")
    ] = None,
    create_namespace: Annotated[bool, typer.Option(help="Create the namespace if it is not there.")] = False,
) -> None:
    """Set one key of a Secret. The value comes from a prompt, standard input or a variable, never from an argument.

    Example: fluxlab secret set causely/causely-secrets CAUSELY_TOKEN --from-env CAUSELY_TOKEN
    """
    from fluxlab.clusters.secret import trouble_with_substitution
    from fluxlab.errors import UsageError
    from fluxlab.places import check_key, parse_place

    if context.args or "=" in key:
        raise UsageError("`secret set` takes NAMESPACE/NAME and KEY: no value, and no other option", hint=WAYS)
    chosen = find_lab(lab)
    parse_place(place, kind="Secret")
    check_key(key)
    chosen.spec.cluster(cluster)  # before anybody types a value for one that is not there
    value = _value(place, key, from_env)
    chosen.clusters[chosen.spec.cluster(cluster).name].set_secret(place, key, value, create_namespace=create_namespace)
    say(f"Secret {place} has {key}")
    if trouble := trouble_with_substitution(value):
        say(f"warning: the value {trouble}")


def _value(place: str, key: str, variable: str | None) -> str:
    from fluxlab.errors import UsageError

    if variable is not None:
        if variable not in os.environ:
            raise UsageError("there is no variable of the name that --from-env gives", hint=WAYS)
        return _text(os.environb[variable.encode()], f"variable {variable}")
    if sys.stdin is None:  # closed
        raise UsageError("there is no standard input to read the value from", hint=WAYS)
    if sys.stdin.isatty():
        return str(typer.prompt(f"{key} of Secret {place}", hide_input=True, err=True))
    return _text(sys.stdin.buffer.read(), "standard input").removesuffix("\n").removesuffix("\r")


def _text(content: bytes, where: str) -> str:
    from fluxlab.errors import UsageError

    try:
        return content.decode()
    except UnicodeDecodeError:
        raise UsageError(f"{where} holds no text (UTF-8)") from None
