"""What Flux puts into manifests after it has built them (`postBuild`): which variables are wanted, and from where.

The messages are those of kustomize-controller 1.9; the grammar is that of its envsubst: `${NAME}` must be set,
`${NAME:=default}` need not be, and `$${NAME}` stands for itself.
"""

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from posixpath import join, normpath

from fluxlab.clusters.api import KubeApi
from fluxlab.clusters.objects import KubeObject, dig, items_at, text_at
from fluxlab.clusters.resources import CONFIG_MAP, SECRET
from fluxlab.documents import Json

from .ownership import KUSTOMIZE_LABEL, owner
from .pending import Pending, asking, failed, waiting
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
        why, places = _waits_for(kustomization, kind, name, wanted), _places(api, kind, name)
        if kustomization.namespace in places:
            return waiting(kustomization, f"{why}, which is there now: Flux will try again")
        return _asking(kustomization, why + _elsewhere(places), [(kind, name)], wanted)
    if found := _UNSET.search(message):
        sources = list(_sources(kustomization))
        if not sources:
            return failed(kustomization, f"no substitute of its postBuild sets the variable {found[1]}: {message}")
        why = " or ".join(_waits_for(kustomization, kind, name, [found[1]]) for kind, name in sources)
        return _asking(kustomization, why, sources, [found[1]])
    return None


def variables_not_in_use(
    kustomization: KubeObject, *, api: KubeApi, text: Text, of: Collection[tuple[str, str]]
) -> str:
    """What a Kustomization was not built with since one `of` others has changed it; empty where there is nothing.

    Nothing in its status tells: it stays Ready, at its generation and revision, until kustomize-controller looks again,
    within its interval, or at once where the object is labelled to be watched. What was written after its own last
    status has not been read; what was written while it was built may have been, and is not told from that.
    """
    said = with_bases(text_at(kustomization.raw, "spec", "path"), text)
    for kind, name in _sources(kustomization):
        found = api.find(SECRET if kind == SECRET.kind else CONFIG_MAP, name, namespace=kustomization.namespace)
        if found is None or owner(found, KUSTOMIZE_LABEL) not in of or not _newer(found, kustomization):
            continue
        data = dig(found.raw, "data")
        keys = [key for key in data if _mentions(said, key)] if isinstance(data, dict) else []
        if keys:
            return f"has not been built with {', '.join(keys)} of {found} as it is now"
    return ""


def _newer(one: KubeObject, other: KubeObject) -> bool:
    """Whether an object was written after another one, as the cluster counts its changes."""
    versions = [one.resource_version, other.resource_version]
    return all(version.isdigit() for version in versions) and int(versions[0]) > int(versions[1])


def _mentions(said: str, variable: str) -> bool:
    return bool(re.search(rf"(?<!\$)\$\{{{re.escape(variable)}\b", said))


def with_literal_variables(subject: KubeObject, pending: Pending, *, path: str, text: Text) -> Pending:
    """`pending`, which may be due to `${...}` that stands in the spec of an object as it does in git.

    It may also be meant so (dashboards and collectors have variables of their own): it is only certain to be a mistake,
    and terminal, where the manifests want to substitute in a way that Flux ignores.
    """
    names = sorted({name for value in _strings(subject.raw.get("spec")) for name in _VARIABLE.findall(value)})
    if not names:
        return pending
    said = f"its spec holds {', '.join(f'${{{name}}}' for name in names)} as it stands in git: nothing substitutes it"
    if _IN_A_KUSTOMIZE_FILE.search(with_bases(path, text)):
        return failed(
            subject, f"{said}; postBuild is a field of Flux's Kustomization, and ignored in a kustomization.yaml"
        )
    return replace(pending, why=f"{pending.why}; {said}")


def _waits_for(kustomization: KubeObject, kind: str, name: str, keys: list[str]) -> str:
    named = f" with key {' and '.join(keys)}" if keys else ""
    return f"waits for {kind} {kustomization.namespace}/{name}{named}"


def _asking(kustomization: KubeObject, why: str, sources: list[tuple[str, str]], keys: list[str]) -> Pending:
    """A Secret is for a person to give; a ConfigMap comes from git, and by itself."""
    names = [name for kind, name in sources if kind == SECRET.kind]
    if not names:
        return waiting(kustomization, why)
    step = f"fluxlab secret set {kustomization.namespace}/{names[0]} {keys[0]}" if keys else ""
    return asking(kustomization, why, next_=step)


def _places(api: KubeApi, kind: str, name: str) -> list[str]:
    resource = SECRET if kind == SECRET.kind else CONFIG_MAP
    return sorted(found.namespace for found in api.list(resource, query={"fieldSelector": f"metadata.name={name}"}))


def _elsewhere(places: list[str]) -> str:
    if not places:
        return ""
    named = " and ".join(places)
    return f"; there is one in namespace {named}, but substituteFrom reads no namespace but the Kustomization's own"


def with_bases(path: str, text: Text) -> str:
    """What a folder and the folders that its overlays build on (`- ../../base/app`) say, as far as that can be seen."""
    waiting, seen, said = [normpath(path.lstrip("/"))], set[str](), []
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
