"""Which images manifests name, and what their containers expect of them: commands, ports, a name."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fluxlab.commands import run


@dataclass(frozen=True, kw_only=True)
class Use:
    """How manifests use an image: all containers that name it, taken together."""

    image: str
    containers: tuple[str, ...]
    commands: tuple[str, ...]
    """Programs that containers start by their absolute path."""
    ports: tuple[int, ...]


def template(helm: Path, chart: Path, *, values: Mapping[str, str]) -> str:
    """A chart rendered without a cluster."""
    settings = [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
    return run([helm, "template", "release", chart, *settings]).stdout


def uses(manifests: str) -> list[Use]:
    """The images in some manifests, in the order of their names."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for container in _containers(yaml.safe_load_all(manifests)):
        found.setdefault(container["image"], []).append(container)
    return [_use(image, containers) for image, containers in sorted(found.items())]


def _use(image: str, containers: list[Mapping[str, Any]]) -> Use:
    commands = {command for each in containers if (command := (each.get("command") or [""])[0]).startswith("/")}
    ports = [port["containerPort"] for each in containers for port in each.get("ports") or []]
    return Use(
        image=image,
        containers=tuple(dict.fromkeys(each["name"] for each in containers)),
        commands=tuple(sorted(commands)),
        ports=tuple(dict.fromkeys(ports)),
    )


def _containers(documents: Iterable[Any]) -> Iterator[Mapping[str, Any]]:
    for document in documents:
        match document:
            case {"spec": {"template": {"spec": dict() as pod}}} | {"kind": "Pod", "spec": dict() as pod}:
                yield from pod.get("initContainers") or []
                yield from pod.get("containers") or []
