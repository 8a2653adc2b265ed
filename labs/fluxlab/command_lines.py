"""Commands of fluxlab as people type them, and as messages tell them to."""

TOOLS = ("kubectl", "flux", "helm")
"""Programs that are commands of fluxlab, too: what follows their names is for them."""


def with_options(command: str, options: str) -> str:
    """A command of fluxlab with options, which come last, but before what is for another program."""
    words = command.split(" ", 2)
    return " ".join([words[0], f"{words[1]}{options}", *words[2:]]) if words[1] in TOOLS else command + options
