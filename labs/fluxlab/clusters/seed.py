"""Seeds: etcd's data with Flux installed but nothing of any lab in it, so that a start need not install Flux again.

A seed is taken before the first Secret exists and holds no key: each lab makes its own.
"""

import base64
import json
import logging
import os
import shutil
import ssl
from pathlib import Path

import platformdirs
import psutil
import urllib3
from urllib3.exceptions import HTTPError

from fluxlab.commands import CommandError, run
from fluxlab.files import make_private

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
        peer = f"https://127.0.0.1:{ports.etcd_peer}"
        try:
            run(
                [
                    self._etcdutl,
                    *("snapshot", "restore", self._file, f"--data-dir={data}", "--name=lab"),
                    *(f"--initial-cluster=lab={peer}", f"--initial-advertise-peer-urls={peer}"),
                ]
            )
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
        except (HTTPError, OSError, ValueError, KeyError) as error:
            log.warning("no seed was made: %s", error)

    def _take(self, files: ControlPlaneFiles, ports: ControlPlanePorts) -> None:
        context = ssl.create_default_context(cafile=str(files.authority))
        context.load_cert_chain(files.etcd.certificate, files.etcd.key)
        make_private(self._file.parent)
        self._sweep()
        temporary = self._file.with_suffix(f".{os.getpid()}")
        try:
            with (
                temporary.open("wb") as target,
                urllib3.HTTPSConnectionPool("127.0.0.1", ports.etcd, ssl_context=context, retries=False) as etcd,
            ):
                answer = etcd.request("POST", "/v3/maintenance/snapshot", body=b"{}", preload_content=False)
                for line in answer:
                    target.write(base64.b64decode(json.loads(line)["result"].get("blob", "")))
            temporary.replace(self._file)
        finally:
            temporary.unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove what was left by those who were killed while they made a seed."""
        for rest in self._file.parent.glob("*.[0-9]*"):
            if not psutil.pid_exists(int(rest.suffix[1:])):
                rest.unlink(missing_ok=True)
