"""Make a chart archive from its source folder, the same bytes every time, without Helm."""

import fnmatch
import gzip
import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

import yaml

from fluxlab.errors import UsageError

from .chart_archives import AT_DEPTH_ONE, read_metadata
from .chart_metadata import ChartMetadata, archive_name

# As Helm does (pkg/ignore, AddDefaults).
ALWAYS_IGNORED = ("templates/.?*",)


def package_chart(source_folder: Path, destination: Path) -> Path:
    """Make `<name>-<version>.tgz` in the folder `destination` from a chart's source folder, without Helm.

    The same source gives the same bytes: sorted, without times, owners or modes. `.helmignore` is followed, except
    for `!` and `**`, which are refused, as are symbolic links and dependencies that are not in `charts/`.
    """
    metadata_file = source_folder / "Chart.yaml"
    if not metadata_file.is_file():
        raise UsageError(f"{source_folder} is no chart: it has no Chart.yaml")
    metadata = ChartMetadata.parse(metadata_file.read_bytes(), where=str(source_folder))
    _check_dependencies(metadata, source_folder)
    files = _files(source_folder)
    contents = ((f"{metadata.name}/{path.relative_to(source_folder).as_posix()}", path.read_bytes()) for path in files)
    return _write(destination / metadata.file_name, contents)


def with_version(archive: Path, version: str, destination: Path) -> Path:
    """Make `<name>-<version>.tgz` in the folder `destination` from an archive that holds all of it but this version.

    Raises ChartError for what is no chart archive.
    """
    metadata = read_metadata(archive)
    with tarfile.open(archive) as packed:
        contents = [(one.name, _content(packed, one)) for one in packed if one.isreg()]
    changed = ((name, _at(content, version) if AT_DEPTH_ONE.fullmatch(name) else content) for name, content in contents)
    return _write(destination / archive_name(metadata.name, version), changed)


def _content(packed: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = packed.extractfile(member)
    return file.read() if file else b""


def _at(metadata: bytes, version: str) -> bytes:
    return yaml.safe_dump({**yaml.safe_load(metadata), "version": version}, sort_keys=False).encode()


def _write(target: Path, contents: Iterable[tuple[str, bytes]]) -> Path:
    """An archive of files by name; it is there once it is whole."""
    temporary = target.with_name(f".{target.name}.part")
    try:
        with (
            temporary.open("wb") as raw,
            gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
        ):
            for name, content in contents:
                member = tarfile.TarInfo(name)
                member.size, member.mode, member.mtime = len(content), 0o644, 0
                archive.addfile(member, io.BytesIO(content))
        return temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _check_dependencies(metadata: ChartMetadata, source_folder: Path) -> None:
    charts = source_folder / "charts"
    for name in metadata.dependencies:
        if not (charts / name / "Chart.yaml").is_file() and not list(charts.glob(f"{name}-*.tgz")):
            raise UsageError(
                f"chart {metadata.name}: dependency {name} is not in {charts}", hint="helm dependency build"
            )


def _files(source_folder: Path) -> list[Path]:
    rules = _ignore_rules(source_folder / ".helmignore")
    found = []
    for path in sorted(source_folder.rglob("*"), key=lambda path: path.relative_to(source_folder).as_posix()):
        relative = path.relative_to(source_folder)
        if any(_ignored(rules, parent, folder=True) for parent in list(relative.parents)[:-1]):
            continue
        if _ignored(rules, relative, folder=path.is_dir()):
            continue
        if path.is_symlink():
            raise UsageError(f"{path}: a symbolic link in a chart is not packaged")
        if path.is_file():
            found.append(path)
    return found


def _ignore_rules(file: Path) -> list[str]:
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    except UnicodeDecodeError:
        raise UsageError(f"{file} holds no text (UTF-8)") from None
    rules = [*ALWAYS_IGNORED, *(line for line in lines if line and not line.startswith("#"))]
    for rule in rules:
        if rule.startswith("!") or "**" in rule:
            raise UsageError(f"{file}: the rule {rule!r} is not supported", hint="helm package, then add the archive")
    return rules


def _ignored(rules: list[str], relative: Path, *, folder: bool) -> bool:
    return any(_rule_matches(rule, relative, folder=folder) for rule in rules)


def _rule_matches(rule: str, relative: Path, *, folder: bool) -> bool:
    if rule.endswith("/") and not folder:
        return False
    pattern = rule.strip("/")
    if "/" not in rule.rstrip("/"):
        return fnmatch.fnmatchcase(relative.name, pattern)
    # As in Go's filepath.Match, a `*` does not reach over a slash.
    parts = pattern.split("/")
    return len(parts) == len(relative.parts) and all(map(fnmatch.fnmatchcase, relative.parts, parts))
