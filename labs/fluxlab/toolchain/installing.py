"""Install a bundle: everything is verified before any of it is put in place."""

from collections.abc import Sequence
from pathlib import Path

from .archives import Refusal, Stream, opened
from .checks import check_runs
from .components import COMPONENTS, Component
from .contents import LARGEST_TOTAL, LICENCES_FOLDER, Contents
from .entries import Entry, entries
from .errors import ToolchainError, storage_errors
from .handle import Toolchain, open_toolchain
from .lookup import cache_store
from .platforms import Platform
from .store import link_programs
from .unpacking import BundleRefusedError, read_contents

REFUSED_HINT = "copy the bundle again, or make a new one with `fluxlab toolchain bundle` from this version of fluxlab"


def install(
    archive: Path, *, expected_sha256: str | None = None, components: Sequence[Component] = COMPONENTS
) -> Toolchain:
    """Install a bundle into the cache; components that are there and intact stay as they are.

    Refused, with nothing left behind: a bundle for another platform or another toolchain than this fluxlab's, one
    whose files differ from its manifest in any way, and with `expected_sha256` any other file than that one. Without
    it nobody can tell a genuine manifest from one that was rewritten along with the files.

    Raises BundleRefusedError, or ToolchainError when the files cannot be written or do not run here.
    """
    wanted = entries(components, platform=Platform.native())
    store = cache_store()
    with storage_errors(f"{archive} cannot be installed", place=store.root), store.lock():
        unpacked = store.work / "install"
        contents = _unpack(archive, unpacked, wanted=wanted, expected_sha256=expected_sha256)
        for entry in wanted:
            check_runs(unpacked / entry.folder_name, entry.component, home=store.work)
        manifests = {manifest.component: manifest for manifest in contents.components}
        for entry in wanted:
            if store.condition(entry, verify=True).state != "installed":
                store.place(entry, unpacked / entry.folder_name, manifest=manifests[entry.name])
    return open_toolchain(store, wanted)


def _unpack(archive: Path, folder: Path, *, wanted: Sequence[Entry], expected_sha256: str | None) -> Contents:
    """Verify a bundle while unpacking it."""
    try:
        file = archive.open("rb")
    except OSError as error:
        raise ToolchainError(f"{archive} cannot be read: {error.strerror}", hint="name a bundle file") from error
    with file:
        stream = Stream(file)
        try:
            contents = _read(stream, folder, wanted=wanted)
            stream.finish()
        except Refusal as error:
            raise BundleRefusedError(f"{archive} was refused: {error}", hint=REFUSED_HINT) from error
    found = stream.digest.hexdigest()
    if expected_sha256 is not None and found != expected_sha256.strip().lower():
        facts = [f"sha256 {found}", f"instead of {expected_sha256}"]
        raise BundleRefusedError(f"{archive} was refused: it is not the file that was asked for", facts=facts)
    return contents


def _read(stream: Stream, folder: Path, *, wanted: Sequence[Entry]) -> Contents:
    with opened(stream) as archive:
        contents = read_contents(archive)
        _check_kind(contents, wanted=wanted)
        _check_names(contents, wanted=wanted)
        archive.extract(folder, expected=contents.files(wanted), keep=_is_no_licence)
    for entry in wanted:
        link_programs(folder / entry.folder_name, entry.component)
        (folder / entry.folder_name / entry.component.programs[0]).chmod(0o755)
    return contents


def _check_names(contents: Contents, *, wanted: Sequence[Entry]) -> None:
    """Whether a program is the same under all its names. Raises Refusal."""
    files = {manifest.component: manifest.files for manifest in contents.components}
    for entry in wanted:
        if len({files[entry.name][name] for name in entry.component.programs}) > 1:
            raise Refusal(f"{' and '.join(entry.component.programs)} are not one program")


def _is_no_licence(name: str) -> bool:
    return not name.startswith(f"{LICENCES_FOLDER}/")


def _check_kind(contents: Contents, *, wanted: Sequence[Entry]) -> None:
    """Whether it is a bundle for this machine and this fluxlab. Raises Refusal."""
    ours = str(wanted[0].platform)
    if contents.platform != ours:
        raise Refusal(f"it is for {contents.platform}, and this machine is {ours}")
    if differences := contents.differences(wanted):
        raise Refusal(f"it holds another toolchain than this fluxlab needs: {'; '.join(differences)}")
    if sum(record.size for record in contents.files(wanted).values()) > LARGEST_TOTAL:
        raise Refusal("it claims to hold more than any toolchain does")
