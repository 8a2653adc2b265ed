"""Whether a release runs with the values that its `valuesFrom` gives now.

Nothing in the status of a HelmRelease tells: it stays Ready, at its generation, while a ConfigMap that it reads says
something else, until helm-controller looks again: within its interval, or at once where the ConfigMap is labelled to be
watched. What Helm keeps of the release tells.
"""

from collections.abc import Callable, Sequence

import yaml

from fluxlab.clusters.api import ApiError, ApiUnreachableError, KubeApi
from fluxlab.clusters.objects import KubeObject, dig, items_at, text_at
from fluxlab.clusters.resources import CONFIG_MAP, SECRET
from fluxlab.commands import CommandError
from fluxlab.documents import Json, ManifestLoader, same
from fluxlab.errors import FluxlabError, UnknownError

from .helm_storage import storage_of, values_of
from .verdicts import written_since

WATCH_LABEL = "reconcile.fluxcd.io/watch"
"""With the value Enabled: helm-controller looks at once at the releases that read from it."""

Compose = Callable[[KubeObject], str]
"""The values that a HelmRelease gives now, all together, as YAML. Raises CommandError."""


class ReleaseValues:
    """Compares those of one cluster, and anew only what has changed since."""

    def __init__(self, api: KubeApi, compose: Compose) -> None:
        self._api = api
        self._compose = compose
        self._compared: dict[tuple[str, ...], bool] = {}

    def not_in_use(self, release: KubeObject) -> str:
        """What a release does not run with although its `valuesFrom` gives it; empty when there is nothing.

        Of one that keeps values of earlier releases, or that runs in another cluster, nothing can be told.
        Raises ApiUnreachableError.
        """
        keeps = dig(release.raw, "spec", "upgrade", "preserveValues") is True
        elsewhere = dig(release.raw, "spec", "kubeConfig") is not None
        references = _references(release)
        if keeps or elsewhere or not references:
            return ""
        named = " and ".join(f"{kind} {name}" for kind, name in references)
        try:
            differs = self._differs(release)
        except ApiUnreachableError:
            raise
        except (ApiError, CommandError, UnknownError, yaml.YAMLError) as error:  # who may not read Secrets, is told
            return f"whether it runs with the values of {named} is not known: {_reason(error)}"
        return f"has not been released with the values of {named}" if differs else ""

    def untried(self, release: KubeObject) -> str:
        """What a release was not tried with although its `valuesFrom` gives it, and its controller hears of it.

        Empty when there is nothing. Raises ApiUnreachableError.
        """
        try:
            read = self.read(release)
        except ApiError:
            return ""
        heard = (one for one in read if one.labels.get(WATCH_LABEL) == "Enabled" and written_since(one, release))
        named = " and ".join(map(str, heard))
        return f"has not been tried with the values of {named} as they are now" if named else ""

    def read(self, release: KubeObject) -> Sequence[KubeObject]:
        """What there is of all that a release reads values from. Raises ApiError or ApiUnreachableError."""
        kinds = {resource.kind: resource for resource in (CONFIG_MAP, SECRET)}
        references = _references(release)
        found = (self._api.find(kinds[kind], name, namespace=release.namespace) for kind, name in references)
        return [one for one in found if one]

    def _differs(self, release: KubeObject) -> bool:
        read = (f"{one} {one.resource_version}" for one in self.read(release))
        known = (str(release), release.resource_version, *read)
        if known not in self._compared:
            namespace, name = storage_of(release)
            given = values_of(release, self._api.find(SECRET, name, namespace=namespace))
            wanted: Json = next(yaml.load_all(self._compose(release), Loader=ManifestLoader), None)
            self._compared[known] = not same(wanted or {}, given or {})
        return self._compared[known]


def _references(release: KubeObject) -> Sequence[tuple[str, str]]:
    """Kind and name of all that it reads values from, in its namespace."""
    named = ((text_at(one, "kind"), text_at(one, "name")) for one in items_at(release.raw, "spec", "valuesFrom"))
    return list(dict.fromkeys(named))


def _reason(error: FluxlabError | yaml.YAMLError) -> str:
    """Of a command only what it said last: the rest is how it was called."""
    return error.facts[-1] if isinstance(error, CommandError) and error.facts else str(error)
