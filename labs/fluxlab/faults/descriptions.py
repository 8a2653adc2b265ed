"""What is told of a fault to whoever chooses one: on the command line, in JSON, in docs/faults.md, in errors."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from fluxlab.clusters.capabilities import Footing, lack
from fluxlab.documents import Json, JsonObject

from .catalogue import AnyFault

_BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
    "pattern": "like",
}


@dataclass(frozen=True, kw_only=True)
class Description:
    """One fault, in words."""

    name: str
    layer: str
    summary: str
    expect: str
    parameters: Mapping[str, str]
    """What each is, its default and its bounds."""
    lacks: Mapping[str, str]
    """Where it cannot be had, by footing, and why."""
    backends: Sequence[str]
    """Where it can be had."""

    def as_json(self) -> JsonObject:
        """As `fluxlab faults -o json` prints it."""
        return {**asdict(self), "backends": list(self.backends)}

    def lines(self) -> Iterator[str]:
        """As `fluxlab faults NAME` prints it."""
        yield f"{self.name} ({self.layer}): {self.summary}"
        yield f"expect: {self.expect}"
        for name, text in self.parameters.items():
            yield f"--set {name}=...  {text}"
        for footing, why in self.lacks.items():
            yield f"not on {footing}: {why}"


def describe(fault: AnyFault) -> Description:
    """A fault, in words."""
    lacks = {str(footing): why for footing in Footing if (why := _lack(fault, footing))}
    return Description(
        name=fault.name,
        layer=str(fault.layer),
        summary=fault.summary,
        expect=fault.expect,
        parameters=_parameters(fault),
        lacks=lacks,
        backends=[str(footing) for footing in Footing if str(footing) not in lacks],
    )


def _lack(fault: AnyFault, footing: Footing) -> str:
    if fault.impossible:
        return fault.impossible
    simulated = footing is Footing.LOCAL
    reasons = ((need, lack(footing, need, simulated=simulated)) for need in sorted(fault.needs))
    return next((f"{need}: {why}" for need, why in reasons if why), "")


def _parameters(fault: AnyFault) -> Mapping[str, str]:
    fields: Mapping[str, Mapping[str, Json]] = fault.parameters.model_json_schema().get("properties", {})
    return {name: _described(field) for name, field in fields.items()}


def _described(field: Mapping[str, Json]) -> str:
    told = [
        str(field.get("type", "")),
        f"one of {field['enum']}" if "enum" in field else "",
        *(f"{word} {field[key]}" for key, word in _BOUNDS.items() if key in field),
        f"default {field['default']}" if "default" in field else "required",
    ]
    text = ", ".join(filter(None, told))
    return f"{field['description']} ({text})" if "description" in field else text
