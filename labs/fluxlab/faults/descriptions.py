"""What is told of a fault to whoever chooses one: on the command line, in JSON, in docs/faults.md, in errors."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from fluxlab.clusters.capabilities import Capability, Footing, lack
from fluxlab.documents import Json, JsonObject

from .catalogue import AnyFault

_BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
    "pattern": "like",
}
_IN_LISTS: Mapping[str, str] = {Footing.GUEST: "existing (own Flux)"}
"""Names for lists, whose parts are told apart by commas."""
_NOWHERE = "nowhere"
_LINKS = "`links: true` in the lab file (in a test `@pytest.mark.fluxlab(links=True)`)"


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
    needs: Sequence[str] = ()
    """What else a lab must have."""

    @property
    def places(self) -> str:
        """Where it can be had, as one cell of a table."""
        return ", ".join(map(_short, self.backends)) or _NOWHERE

    def as_json(self) -> JsonObject:
        """As `fluxlab faults -o json` prints it."""
        return {**asdict(self), "backends": list(self.backends), "needs": list(self.needs)}

    def lines(self) -> Iterator[str]:
        """As `fluxlab faults NAME` prints it."""
        yield f"{self.name} ({self.layer}): {self.summary}"
        yield f"expect: {self.expect}"
        for name, text in self.parameters.items():
            yield f"--set {name}=...  {text}"
        if self.backends:
            yield f"backends: {self.places}"
        yield from self.limits()

    def limits(self) -> Iterator[str]:
        """What a lab must have for it, and where it cannot be had, one line for each reason."""
        for need in self.needs:
            yield f"needs {need}"
        by_reason: dict[str, list[str]] = {}
        for footing, why in self.lacks.items():
            by_reason.setdefault(why, []).append(footing)
        for why, footings in by_reason.items():
            where = _NOWHERE if len(footings) == len(Footing) else f"not on {', '.join(map(_short, footings))}"
            yield f"{where}: {why}"


def _short(footing: str) -> str:
    return _IN_LISTS.get(footing, footing)


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
        needs=[_LINKS] if Capability.LINKS in fault.needs else [],
    )


def _lack(fault: AnyFault, footing: Footing) -> str:
    if fault.impossible:
        return fault.impossible
    simulated = footing is Footing.LOCAL
    reasons = ((need, lack(footing, need, simulated=simulated)) for need in sorted(fault.needs))
    return next((f"{need}: {why}" for need, why in reasons if why), "")


def _parameters(fault: AnyFault) -> Mapping[str, str]:
    schema = fault.parameters.model_json_schema()
    fields: Mapping[str, Mapping[str, Json]] = schema.get("properties", {})
    types: Mapping[str, Mapping[str, Json]] = schema.get("$defs", {})
    return {name: _described({**types.get(_type_of(field), {}), **field}) for name, field in fields.items()}


def _type_of(field: Mapping[str, Json]) -> str:
    """The name of the type that is described by itself, as that of an enum is."""
    return str(field.get("$ref", "")).rpartition("/")[2]


def _described(field: Mapping[str, Json]) -> str:
    choices = field.get("enum")
    told = [
        f"one of {', '.join(map(str, choices))}" if isinstance(choices, list) else str(field.get("type", "")),
        *(f"{word} {field[key]}" for key, word in _BOUNDS.items() if key in field),
        f"default {'empty' if field['default'] == '' else field['default']}" if "default" in field else "required",
    ]
    text = ", ".join(filter(None, told))
    return f"{field['description']} ({text})" if "description" in field else text
