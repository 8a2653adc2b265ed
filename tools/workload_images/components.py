"""The programs that stand for the workloads of the scenarios, and Flux's own."""

from pathlib import Path

from fluxlab.toolchain import COMPONENTS, Component
from fluxlab.toolchain.components import CONTROLLERS, STANDARD_LIBRARY

SOURCES = Path(__file__).parent / "components"
STANDIN = "standin"
AGENT = "agent"
SHELL = "sh"


def _own(name: str, *, package: str = "net/http", module: str = STANDARD_LIBRARY) -> Component:
    return Component(
        name=name,
        package=package,
        module=module,
        variables=("main.version={version}",),
        version_arguments=("-version",),
        sources=SOURCES,
    )


WORKLOAD_COMPONENTS: tuple[Component, ...] = (
    *(component for component in COMPONENTS if component.name in CONTROLLERS),
    _own(STANDIN),
    _own(AGENT),
    _own(SHELL, package="mvdan.cc/sh/v3/interp", module="mvdan.cc/sh/v3"),
)
