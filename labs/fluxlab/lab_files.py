"""Lab files that come with fluxlab: found by name, as scenarios are."""

from pathlib import Path

from .errors import UsageError

# In a wheel they lie beside the package; in a checkout the package lies beside them.
_PLACES = (Path(__file__).parent / "labs", Path(__file__).parents[1])


def lab_file_names() -> list[str]:
    """The names of all lab files that come with fluxlab."""
    return sorted({file.stem for place in _PLACES for file in place.glob("*.yaml")})


def find_lab_file(given: str) -> Path:
    """The file of a path (it has a slash or a suffix) or of a name. Raises UsageError with the names there are."""
    if Path(given).suffix or "/" in given:
        return Path(given)
    for place in _PLACES:
        if (place / f"{given}.yaml").is_file():
            return place / f"{given}.yaml"
    names = ", ".join(lab_file_names())
    raise UsageError(
        f"no lab file {given!r} comes with fluxlab", facts=[f"there are: {names}"], hint=f"fluxlab up ./{given}"
    )
