"""What of a lab only stands in for something: whoever reads what was seen in it has to know."""

from collections.abc import Callable, Iterable, Iterator

from .cluster import Cluster
from .clusters.capabilities import SIMULATED
from .errors import FluxlabError
from .status import ChartState


def unreal(clusters: Iterable[Cluster], charts: Callable[[], Iterable[ChartState]]) -> Iterator[str]:
    """A line for each cluster whose pods are simulated, and for each stand-in among the charts that are served.

    Where `charts` raises a FluxlabError, a line says that nobody knows which of them stand in.
    """
    for cluster in clusters:
        if cluster.root.simulated:
            yield f"{SIMULATED} in cluster {cluster.name}: they have no containers"
    try:
        served = charts()
    except FluxlabError as error:
        yield f"which charts are stand-ins for public ones is not known: {error.what}"
        return
    for chart in served:
        if chart.stand_in:
            yield f"chart {chart.name} {chart.version} at {chart.repository} is a stand-in for the public one"
