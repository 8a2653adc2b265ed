"""Which values of a lab nobody may read: the one answer for all who print or write what others said.

Known are the lab's own tokens and the hosts at which alerts end; what the recorder has seen in the clusters' Secrets
(`timeline.learned`), also what was changed or deleted since; and what the Secrets hold now. The clusters are asked for
that *after* a text was read which may quote it: then nobody can have quoted what is not known.

A cluster that does not answer is named, and what to do then is for who asks. What stays or travels waits, or is left
out: the recorder's entries, evidence, looks, drift. What is needed just then is told with what is known from before:
logs and the timeline, to a person who is told so, and alerts, which do not say from which cluster they come.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, Self

import yaml

from fluxlab.errors import FluxlabError, UnknownError
from fluxlab.files import OfFile
from fluxlab.redaction import Redactor
from fluxlab.timeline.folder import TimelineFolder

from .api import KubeApi
from .kubeconfig import read_kubeconfig
from .objects import KubeObject
from .secret_values import learn, values_of

ANSWER_SECONDS = 2.0
"""For how long a cluster is waited for, which needs 10 ms when it is well."""


class Asked(Protocol):
    """A cluster whose Secrets can be asked for."""

    @property
    def api(self) -> KubeApi:
        """Its API. Raises FluxlabError or OSError when it cannot be reached."""


@dataclass(frozen=True)
class Reached:
    """A cluster with which a connection is there."""

    api: KubeApi


class _Started:
    """A cluster that was started once, by its kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        self._opened = OfFile(kubeconfig, lambda: _open(kubeconfig))

    @property
    def api(self) -> KubeApi:
        """Its API: after a resume the one that is there now."""
        return self._opened()

    def close(self) -> None:
        """Close the connection, if there is one."""
        if api := self._opened.take():
            api.close()


def _open(kubeconfig: Path) -> KubeApi:
    try:
        access = read_kubeconfig(kubeconfig)
    except (LookupError, ValueError, yaml.YAMLError) as error:
        raise UnknownError(f"{kubeconfig} cannot be read", facts=[str(error)]) from error
    return KubeApi(access, timeout_seconds=ANSWER_SECONDS, busy_seconds=ANSWER_SECONDS)


class Masking:
    """What of one lab is secret, as far as it is known. Thread-safe; close it, or use it as a context manager."""

    def __init__(
        self,
        folder: TimelineFolder,
        clusters: Mapping[str, Asked] | None = None,
        *,
        told: Callable[[str, str], object] = lambda _cluster, _value: None,
    ) -> None:
        """Ask these clusters; default: all that were ever started, for ANSWER_SECONDS.

        `told` is given each value of a Secret, with its cluster.
        """
        self.redactor = folder.redactor()
        """Masks what is known by now; see `now`."""
        self._folder = folder
        self._clusters = clusters
        self._told = told
        self._started: dict[str, _Started] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what was opened to ask clusters."""
        for cluster in list(self._started.values()):
            cluster.close()

    def recall(self) -> None:
        """Learn what the lab's folder knows by now; costs next to nothing."""
        self._folder.teach(self.redactor)

    def see(self, cluster: str, subject: KubeObject) -> None:
        """Learn what an object holds, if it is a Secret."""
        for value in values_of(subject):
            self._know(cluster, value)

    def learn(self, cluster: str) -> None:
        """Learn what the Secrets of a cluster hold now. Raises FluxlabError or OSError when it does not say."""
        learn(partial(self._know, cluster), self._asked()[cluster].api)

    def learn_all(self) -> Mapping[str, str]:
        """Learn all that can be known now; returns why not all is known, by cluster."""
        self.recall()
        clusters = list(self._asked())
        if len(clusters) < 2:  # noqa: PLR2004  of several, none that hangs keeps the others waiting
            unread = list(map(self._unread, clusters))
        else:
            with ThreadPoolExecutor(len(clusters)) as pool:
                unread = list(pool.map(self._unread, clusters))
        return {cluster: why for cluster, why in zip(clusters, unread, strict=True) if why}

    def now(self) -> Redactor:
        """Masks all that can be known now."""
        self.learn_all()
        return self.redactor

    def _know(self, cluster: str, value: str) -> None:
        self.redactor.add(value)
        self._told(cluster, value)

    def _unread(self, cluster: str) -> str:
        try:
            self.learn(cluster)
        except FluxlabError as error:
            return error.what
        except OSError as error:  # it is going
            return str(error)
        return ""

    def _asked(self) -> Mapping[str, Asked]:
        if self._clusters is not None:
            return self._clusters
        for name in self._folder.clusters:
            kubeconfig = self._folder.lab.kubeconfig(name)
            if name not in self._started and kubeconfig.exists():  # else nothing was ever in it
                self._started.setdefault(name, _Started(kubeconfig))
        return dict(self._started)
