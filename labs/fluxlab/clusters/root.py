"""Where a cluster begins to follow the lab's repository: its root GitRepository and Kustomization."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from fluxlab.errors import FluxlabError
from fluxlab.files import write_private
from fluxlab.timeline.entries import ObjectRef

from .capabilities import Capability, Footing, UnsupportedError, lack
from .resources import KUSTOMIZATION

FLUX_SYSTEM = "flux-system"
LAB_LABEL = "fluxlab.dev/lab"
ID_LABEL = "fluxlab.dev/lab-id"
_FILE = "root.json"


@dataclass(frozen=True, kw_only=True)
class Root:
    """The place of the root objects, both of one name, and what marks everything that a lab makes beside them."""

    footing: Footing = Footing.LOCAL
    namespace: str = FLUX_SYSTEM
    name: str = FLUX_SYSTEM
    url: str = ""
    """The repository's URL as the cluster's Flux reaches it; empty for its public one, which the gateway answers."""
    labels: dict[str, str] = field(default_factory=dict)
    """Of all that the lab makes in somebody else's cluster: nothing without them is ever removed."""
    simulated: bool = True
    """Whether the cluster's pods are."""

    @property
    def place(self) -> str:
        """As commands name it."""
        return f"{self.namespace}/{self.name}"

    @property
    def reference(self) -> ObjectRef:
        """The Kustomization that all others stand below."""
        return ObjectRef(kind=KUSTOMIZATION.kind, namespace=self.namespace, name=self.name)

    @property
    def lasts(self) -> bool:
        """Whether the cluster is there without the lab."""
        return self.footing in {Footing.INSTALLED, Footing.GUEST}

    def lacks(self, capability: Capability) -> str:
        """Why the cluster cannot do something; empty when it can."""
        return lack(self.footing, capability, simulated=self.simulated)

    def require(self, capability: Capability, *, cluster: str) -> None:
        """Raise UnsupportedError, which names the cluster and the capability, where that is lacking."""
        if reason := self.lacks(capability):
            raise UnsupportedError(f"cluster {cluster} ({self.footing}) has no {capability}", facts=[reason])

    def save(self, folder: Path) -> Self:
        """Write it into the cluster's folder, for those who come later, and for good: what it marks outlives a power
        cut in Docker or in somebody's cluster.
        """
        write_private(folder / _FILE, json.dumps(asdict(self), indent=1), durable=True)
        return self

    @classmethod
    def of(cls, folder: Path) -> "Root":
        """The root of the cluster in a folder; that of `flux bootstrap` where nothing else was written down.

        Raises FluxlabError when it cannot be read: then nobody can tell what is the lab's.
        """
        try:
            words = json.loads((folder / _FILE).read_text())
            return cls(**{**words, "footing": Footing(words["footing"])})
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, KeyError, TypeError) as error:
            lab = folder.parents[1].name
            what = f"{folder / _FILE} cannot be read: it tells what lab {lab} made outside its folder"
            hint = f"remove what is labelled {LAB_LABEL}={lab} by hand, then fluxlab down {lab} --forget"
            raise FluxlabError(what, facts=[repr(error)], hint=hint) from error


def lasting(lab: Path) -> frozenset[str]:
    """The names of those clusters of a lab, by its folder, that are there without it."""
    folders = (file.parent for file in lab.glob(f"clusters/*/{_FILE}"))
    return frozenset(folder.name for folder in folders if Root.of(folder).lasts)
