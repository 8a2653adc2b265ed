"""What Flux takes from the cluster for what it builds: variables (`postBuild`), and the keys that open what lies in git
(`decryption`). Which are wanted, and from where.

The messages are those of kustomize-controller 1.9; the grammar is that of its envsubst: `${NAME}` must be set,
`${NAME:=default}` need not be, and `$${NAME}` stands for itself.
"""

import re
from base64 import b64decode
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus

from fluxlab.clusters.api import ApiError, ApiUnreachableError, KubeApi
from fluxlab.clusters.objects import KubeObject, dig, items_at, text_at
from fluxlab.clusters.resources import CONFIG_MAP, SECRET, Resource
from fluxlab.clusters.secret import trouble_with_substitution
from fluxlab.documents import Json
from fluxlab.errors import UnknownError

from .overlays import Text, built_from, kustomization_files, strings
from .ownership import KUSTOMIZE_LABEL, owner
from .pending import Pending, asking, failed, waiting
from .subjects import Subject
from .verdicts import current, written_since

_NO_SOURCE = re.compile(r"substitute from '(Secret|ConfigMap)/([^']+)' error: .*not found")
_UNSET = re.compile(r'variable not set \(strict mode\): "([^"]+)"')
_NO_YAML = re.compile(r"envsubst error: YAMLToJSON: |^post build failed for .* UnmarshalJSON: ")
_VARIABLE = re.compile(r"(?<!\$)\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NO_KEYS = re.compile(r"""(?:^|decryption Secret '.*: )(?:Secret|secrets) "([^"]+)" not found$""")
_KEYS = {
    "BEGIN AGE ENCRYPTED FILE": "age.agekey",
    "BEGIN PGP MESSAGE": "sops.asc",
    "vault_address": "sops.vault-token",
}
"""What SOPS leaves in a file, and which key of a Secret opens that."""
_IN_A_KUSTOMIZE_FILE = re.compile(r"^postBuild:", re.MULTILINE)


def substitution_problem(kustomization: KubeObject, *, api: KubeApi, text: Text) -> Pending | None:
    """What a Kustomization lacks for the variables of its manifests; None when it lacks nothing."""
    ready = current(kustomization, "Ready")
    if ready is None or ready.reason != "BuildFailed":
        return None
    message = ready.message
    if found := _NO_SOURCE.search(message):
        wanted = _unprovided(kustomization, text)
        return _lacks(kustomization, found[1], found[2], wanted, api=api, reader="substituteFrom")
    if found := _UNSET.search(message):
        sources = list(_sources(kustomization))
        if not sources:
            return failed(kustomization, f"no substitute of its postBuild sets the variable {found[1]}: {message}")
        why = " or ".join(_waits_for(kustomization, kind, name, [found[1]]) for kind, name in sources)
        return _asking(kustomization, why, sources, [found[1]])
    if _NO_YAML.search(message) and (doubtful := list(_doubtful(kustomization, api=api, text=text))):
        secret, key, _ = doubtful[0]
        why = f"cannot be built: {'; '.join(f'{key} of {secret} {trouble}' for secret, key, trouble in doubtful)}"
        return asking(kustomization, why, next_=f"fluxlab secret set {secret.namespace}/{secret.name} {key}")
    return None


def doubtful_values(kustomization: KubeObject, *, api: KubeApi, text: Text) -> Iterator[str]:
    """Which values of Secrets come into manifests as something else than they are, and why; never the value itself.

    Raises ApiError or ApiUnreachableError.
    """
    for secret, key, trouble in _doubtful(kustomization, api=api, text=text):
        yield f"{key} of {secret}, which {kustomization} reads, {trouble}"


def _trouble(encoded: Json) -> str:
    return trouble_with_substitution(b64decode(str(encoded)).decode(errors="replace"))


def _doubtful(kustomization: KubeObject, *, api: KubeApi, text: Text) -> Iterator[tuple[KubeObject, str, str]]:
    """Secret, key and trouble of each such value that a variable of the manifests has."""
    if not any(kind == SECRET.kind for kind, _ in _sources(kustomization)):
        return
    try:
        sources = variable_sources(kustomization, api=api)
    except ApiError as error:
        if error.status not in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise
        return  # not everybody may read Secrets
    said = _searched(kustomization, text)
    overridden = set(_entries(dig(kustomization.raw, "spec", "postBuild", "substitute")))
    for found in reversed(sources):
        values = _entries(dig(found.raw, "data"))
        for key, value in values.items() if found.kind == SECRET.kind else ():
            if key not in overridden and _mentions(said, key) and (trouble := _trouble(value)):
                yield found, key, trouble
        overridden |= values.keys()


def decryption_problem(kustomization: KubeObject, *, api: KubeApi, text: Text) -> Pending | None:
    """The Secret with the keys of its `decryption` that a Kustomization lacks; None when it lacks none."""
    ready = current(kustomization, "Ready")
    found = _NO_KEYS.search(ready.message) if ready and ready.reason == "BuildFailed" else None
    name = text_at(kustomization.raw, "spec", "decryption", "secretRef", "name")
    if found is None or found[1] != name:
        return None
    said = built_from(kustomization, text)
    wanted = [next((key for sign, key in _KEYS.items() if sign in said), _KEYS["BEGIN AGE ENCRYPTED FILE"])]
    return _lacks(kustomization, SECRET.kind, name, wanted, api=api, reader="decryption")


def variables_not_in_use(
    kustomization: KubeObject, *, api: KubeApi, text: Text, of: Collection[tuple[str, str]]
) -> str:
    """What a Kustomization was not built with since one `of` others has changed it; empty where there is nothing.

    Nothing in its status tells: it stays Ready, at its generation and revision, until kustomize-controller looks again,
    within its interval, or at once where the object is labelled to be watched. What was written after its own last
    status has not been read; what was written while it was built may have been, and is not told from that.
    Raises ApiError or ApiUnreachableError.
    """
    sources = variable_sources(kustomization, api=api)
    if not any(owner(one, KUSTOMIZE_LABEL) in of and written_since(one, kustomization) for one in sources):
        return ""
    said = _searched(kustomization, text)
    overridden = set(_entries(dig(kustomization.raw, "spec", "postBuild", "substitute")))
    for found in reversed(sources):
        now = _entries(dig(found.raw, "data"))
        if owner(found, KUSTOMIZE_LABEL) in of and written_since(found, kustomization):
            before = _entries_before(found, kustomization, api)
            keys = [
                key if key in now else f"{key} (gone)"
                for key in {**now, **before}
                if key not in overridden and now.get(key) != before.get(key) and _mentions(said, key)
            ]
            if keys:
                return f"has not been built with {', '.join(keys)} of {found} as it is now"
        overridden |= now.keys()
    return ""


def variable_sources(kustomization: KubeObject, *, api: KubeApi) -> Sequence[KubeObject]:
    """What there is of all that `substituteFrom` names; of a variable that several have, the last one's value counts.

    Raises ApiError or ApiUnreachableError.
    """
    named = ((_resource(kind), name) for kind, name in _sources(kustomization))
    found = (api.find(resource, name, namespace=kustomization.namespace) for resource, name in named)
    return [one for one in found if one]


def _resource(kind: str) -> Resource:
    return SECRET if kind == SECRET.kind else CONFIG_MAP


def _entries_before(source: KubeObject, reader: KubeObject, api: KubeApi) -> Mapping[str, Json]:
    """What one said when the status of its reader was written; nothing where that is not known any more.

    Git does not tell it: what is written by hand, generated or encrypted is not there, nor is what a commit had that
    came just before.
    """
    resource, version = _resource(source.kind), int(reader.resource_version)
    try:
        before = Subject(
            api=api, resource=resource, namespace=source.namespace, name=source.name, version=version
        ).before
    except ApiUnreachableError:
        raise
    except (ApiError, UnknownError):  # who may not list Secrets, still may see that there is a new one
        return {}
    return _entries(dig(before.raw, "data")) if before else {}


def _entries(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}


def _mentions(said: str, variable: str) -> bool:
    return bool(re.search(rf"(?<!\$)\$\{{{re.escape(variable)}\b", said))


def with_literal_variables(
    subject: KubeObject, pending: Pending, *, by: KubeObject | None, api: KubeApi, text: Text
) -> Pending:
    """`pending`, which may be due to `${...}` that stands in the spec of an object as it does in git.

    `by` is the Kustomization that applied it, if one that is built from the branch did. It may also be meant so
    (dashboards and collectors have variables of their own): it is only certain to be a mistake, and terminal, where the
    manifests want to substitute in a way that Flux ignores.
    """
    names = sorted({name for value in strings(subject.raw.get("spec")) for name in _VARIABLE.findall(value)})
    if not names:
        return pending
    said = f"its spec holds {', '.join(f'${{{name}}}' for name in names)} as it stands in git: nothing substitutes it"
    if by and _IN_A_KUSTOMIZE_FILE.search(git := built_from(by, text)):
        said += "; postBuild is a field of Flux's Kustomization, and ignored in a kustomization.yaml"
        return failed(subject, said + "".join(_not_found(by, git, api)))
    return replace(pending, why=f"{pending.why}; {said}")


def _not_found(kustomization: KubeObject, git: str, api: KubeApi) -> Iterator[str]:
    """What a Kustomization would not find of all that a postBuild names in git: the next mistake, once it has one."""
    for file in kustomization_files(git):
        for source in items_at(file, "postBuild", "substituteFrom"):
            kind, name = text_at(source, "kind"), text_at(source, "name")
            places = None if dig(source, "optional") is True else _places(api, kind, name)
            if places is not None and kustomization.namespace not in places:
                wanted = f"{kind} {kustomization.namespace}/{name}"
                yield f"; nor would {kustomization} find {wanted}{_elsewhere(places, 'substituteFrom')}"


def _lacks(kustomization: KubeObject, kind: str, name: str, keys: list[str], *, api: KubeApi, reader: str) -> Pending:
    """A Secret or ConfigMap that its `reader` did not find."""
    why, places = _waits_for(kustomization, kind, name, keys), _places(api, kind, name) or []
    if kustomization.namespace in places:
        return waiting(kustomization, f"{why}, which is there now: Flux will try again")
    return _asking(kustomization, why + _elsewhere(places, reader), [(kind, name)], keys)


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


def _places(api: KubeApi, kind: str, name: str) -> list[str] | None:
    """The namespaces in which there is one of that name; None where that may not be asked."""
    named = {"fieldSelector": f"metadata.name={name}"}
    try:
        return sorted(found.namespace for found in api.list(_resource(kind), query=named))
    except ApiError:  # not everybody may list Secrets
        return None


def _elsewhere(places: list[str], reader: str) -> str:
    if not places:
        return ""
    named = " and ".join(places)
    return f"; there is one in namespace {named}, but {reader} reads no namespace but the Kustomization's own"


def _searched(kustomization: KubeObject, text: Text) -> str:
    """All in which variables are looked for."""
    patches = strings(items_at(kustomization.raw, "spec", "patches"))
    return "\n".join([built_from(kustomization, text), *patches])


def _unprovided(kustomization: KubeObject, text: Text) -> list[str]:
    """The variables that the manifests want and the Kustomization itself does not set, in order."""
    given = dig(kustomization.raw, "spec", "postBuild", "substitute")
    wanted = dict.fromkeys(_VARIABLE.findall(_searched(kustomization, text)))
    return [name for name in wanted if not isinstance(given, dict) or name not in given]


def _sources(kustomization: KubeObject) -> Iterator[tuple[str, str]]:
    for source in items_at(kustomization.raw, "spec", "postBuild", "substituteFrom"):
        yield text_at(source, "kind"), text_at(source, "name")
