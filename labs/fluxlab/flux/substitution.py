"""What Flux puts into manifests after it has built them (`postBuild`): which variables are wanted, and from where.

The messages are those of kustomize-controller 1.9; the grammar is that of its envsubst: `${NAME}` must be set,
`${NAME:=default}` need not be, and `$${NAME}` stands for itself.
"""

import re
from collections.abc import Callable, Iterator
from posixpath import join, normpath

from fluxlab.clusters.api import KubeApi
from fluxlab.clusters.objects import Json, KubeObject, dig, items_at, text_at
from fluxlab.clusters.resources import CONFIG_MAP, SECRET

from .pending import Pending, asking, failed
from .verdicts import current

MOST_FOLDERS = 50
Text = Callable[[str], str]
"""All that the files below a path of the repository say, at the commit that is waited for."""

_NO_SOURCE = re.compile(r"substitute from '(Secret|ConfigMap)/([^']+)' error: .*not found")
_UNSET = re.compile(r'variable not set \(strict mode\): "([^"]+)"')
_VARIABLE = re.compile(r"(?<!\$)\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_BASE = re.compile(r"^\s*- (\.\./\S+)$", re.MULTILINE)
_IN_A_KUSTOMIZE_FILE = re.compile(r"^postBuild:", re.MULTILINE)


def substitution_problem(kustomization: KubeObject, *, api: KubeApi, text: Text) -> Pending | None:
    """What a Kustomization lacks for the variables of its manifests; None when it lacks nothing."""
    ready = current(kustomization, "Ready")
    if ready is None or ready.reason != "BuildFailed":
        return None
    message = ready.message
    if found := _NO_SOURCE.search(message):
        kind, name = found.groups()
        wanted = _unprovided(kustomization, text)
        why = _waits_for(kustomization, kind, name, wanted) + _elsewhere(api, kind, name)
        return asking(kustomization, why, next_=_next_step(kustomization, [(kind, name)], wanted))
    if found := _UNSET.search(message):
        sources = list(_sources(kustomization))
        if not sources:
            return failed(kustomization, f"no substitute of its postBuild sets the variable {found[1]}: {message}")
        why = " or ".join(_waits_for(kustomization, kind, name, [found[1]]) for kind, name in sources)
        return asking(kustomization, why, next_=_next_step(kustomization, sources, [found[1]]))
    return None


def literal_variables(subject: KubeObject, *, path: str, text: Text) -> str:
    """Why an object was applied with `${...}` in its spec; empty when it has none."""
    names = sorted({name for value in _strings(subject.raw.get("spec")) for name in _VARIABLE.findall(value)})
    if not names:
        return ""
    said = f"its spec holds {', '.join(f'${{{name}}}' for name in names)} as it stands in git: nothing substitutes it"
    if _IN_A_KUSTOMIZE_FILE.search(with_bases(path, text)):
        said += "; postBuild is a field of Flux's Kustomization, and ignored in a kustomization.yaml"
    return said


def _waits_for(kustomization: KubeObject, kind: str, name: str, keys: list[str]) -> str:
    named = f" with key {' and '.join(keys)}" if keys else ""
    return f"waits for {kind} {kustomization.namespace}/{name}{named}"


def _next_step(kustomization: KubeObject, sources: list[tuple[str, str]], keys: list[str]) -> str:
    names = [name for kind, name in sources if kind == SECRET.kind]
    return f"fluxlab secret set {kustomization.namespace}/{names[0]} {keys[0]}" if names and keys else ""


def _elsewhere(api: KubeApi, kind: str, name: str) -> str:
    resource = SECRET if kind == SECRET.kind else CONFIG_MAP
    found = api.list(resource, query={"fieldSelector": f"metadata.name={name}"})
    if not found:
        return ""
    places = " and ".join(sorted(each.namespace for each in found))
    return f"; there is one in namespace {places}, but substituteFrom reads no namespace but the Kustomization's own"


def with_bases(path: str, text: Text) -> str:
    """What a folder and the folders that its overlays build on (`- ../../base/app`) say, as far as that can be seen."""
    waiting, seen, said = [normpath(path)], set[str](), []
    while waiting and len(seen) < MOST_FOLDERS:
        folder = waiting.pop()
        if folder in seen or folder.startswith(".."):
            continue
        seen.add(folder)
        said.append(text(folder))
        waiting.extend(normpath(join(folder, base)) for base in _BASE.findall(said[-1]))
    return "\n".join(said)


def _unprovided(kustomization: KubeObject, text: Text) -> list[str]:
    """The variables that the manifests want and the Kustomization itself does not set, in order."""
    given = dig(kustomization.raw, "spec", "postBuild", "substitute")
    wanted = dict.fromkeys(_VARIABLE.findall(with_bases(text_at(kustomization.raw, "spec", "path"), text)))
    return [name for name in wanted if not isinstance(given, dict) or name not in given]


def _sources(kustomization: KubeObject) -> Iterator[tuple[str, str]]:
    for source in items_at(kustomization.raw, "spec", "postBuild", "substituteFrom"):
        yield text_at(source, "kind"), text_at(source, "name")


def _strings(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)
