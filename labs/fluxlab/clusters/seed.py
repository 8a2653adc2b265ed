"""Seeds: etcd's data with Flux installed but nothing of any lab in it, so that a start need not install Flux again.

A seed is taken before the first Secret exists and holds no key: each lab makes its own.
"""

import logging
import os
import shutil
from pathlib import Path

import platformdirs
import psutil

from fluxlab.commands import CommandError
from fluxlab.errors import FluxlabError
from fluxlab.files import make_private

from . import etcd_data
from .control_plane import ControlPlaneFiles, ControlPlanePorts

log = logging.getLogger(__name__)


def seeds_folder() -> Path:
    """Where seeds are kept: below FLUXLAB_CACHE_DIR, else the platform's cache folder."""
    chosen = os.environ.get("FLUXLAB_CACHE_DIR")
    return (Path(chosen).absolute() if chosen else platformdirs.user_cache_path("fluxlab")) / "seeds"


class Seed:
    """The seed for one content of the toolchain; it may not exist yet."""

    def __init__(self, *, key: str, etcdutl: Path) -> None:
        self._file = seeds_folder() / f"{key}.db"
        self._etcdutl = etcdutl

    def plant(self, data: Path, ports: ControlPlanePorts) -> bool:
        """Make `data` an etcd data folder from the seed; False when there is none that can be used."""
        if not self._file.exists():
            return False
        peer_url = f"https://127.0.0.1:{ports.etcd_peer}"
        try:
            etcd_data.plant(self._file, data, peer_url=peer_url, etcdutl=self._etcdutl)
        except CommandError as error:
            # A damaged seed (etcdutl verifies its checksum) is replaced at the end of a start without one. It is not
            # removed: it is as good as ever when the reason is another, such as a full disk.
            log.warning("the seed is not used: %s", error)
            shutil.rmtree(data, ignore_errors=True)
            return False
        return True

    def take(self, files: ControlPlaneFiles, ports: ControlPlanePorts) -> None:
        """Save what a running etcd holds now as the seed, if that is possible: a lab does without it as well."""
        try:
            self._take(files, ports)
        except (FluxlabError, OSError) as error:
            log.warning("no seed was made: %s", error)

    def _take(self, files: ControlPlaneFiles, ports: ControlPlanePorts) -> None:
        make_private(self._file.parent)
        self._sweep()
        temporary = self._file.with_suffix(f".{os.getpid()}")
        try:
            etcd_data.api_of(files, ports).save(temporary)
            temporary.replace(self._file)
        finally:
            temporary.unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove what was left by those who were killed while they made a seed."""
        for rest in self._file.parent.glob("*.[0-9]*"):
            if not psutil.pid_exists(int(rest.suffix[1:])):
                rest.unlink(missing_ok=True)
