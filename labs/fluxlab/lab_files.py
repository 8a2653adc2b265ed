"""Lab files that come with fluxlab: found by name, as scenarios are."""

from pathlib import Path

from .errors import UsageError

# In a wheel they lie beside the package; in a checkout the package lies beside them.
_BESIDE = Path(__file__).parent / "labs"
_PLACE = _BESIDE if _BESIDE.is_dir() else Path(__file__).parents[1]


def lab_file_names() -> list[str]:
    """The names of all lab files that come with fluxlab."""
    return sorted(file.stem for file in _PLACE.glob("*.yaml"))


def find_lab_file(given: str) -> Path:
    """The file of a path (it has a slash or a suffix) or of a name. Raises UsageError with the names there are."""
    if Path(given).suffix or "/" in given:
        return Path(given)
    if (_PLACE / f"{given}.yaml").is_file():
        return _PLACE / f"{given}.yaml"
    names = ", ".join(lab_file_names())
    raise UsageError(
        f"no lab file {given!r} comes with fluxlab", facts=[f"there are: {names}"], hint=f"fluxlab up ./{given}"
    )
