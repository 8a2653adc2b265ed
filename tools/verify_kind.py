"""`python -m tools.verify_kind`: the tests on real containers, on a machine that has nothing for them yet.

Installs what is missing from Debian, starts a Docker daemon of its own, makes the images for nodes and scenarios,
runs the suite, and stops the daemon, whatever happened. A second call finds the images in the folder.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from tools import debian_packages
from tools.docker_daemon import Daemon

from fluxlab.errors import FluxlabError
from fluxlab.toolchain.lookup import cache_store

ROOT = Path(__file__).parents[1]
REPORT = ROOT / "build" / "kind.xml"
PREPARATIONS = (
    ("fluxlab", "toolchain", "build", "--with", "kind"),
    ("tools.node_image",),
    ("tools.workload_images", "policy"),
)


def call(*words: str | Path) -> int:
    """Run a step whose output is for the person here."""
    return subprocess.run([sys.executable, *words], cwd=ROOT, check=False).returncode


def main() -> int:
    """Do it all; the exit code is that of the first step that failed."""
    parser = argparse.ArgumentParser(prog="python -m tools.verify_kind", description=__doc__)
    parser.add_argument("--folder", type=Path, default=cache_store().root.parent / "docker", help="the daemon's")
    parser.add_argument("arguments", nargs="*", help="for pytest; default: the whole suite")
    chosen = parser.parse_args()
    daemon = Daemon(folder=chosen.folder.absolute())
    try:
        debian_packages.install()
        daemon.start()
        os.environ["DOCKER_HOST"] = daemon.host
        try:
            for words in PREPARATIONS:
                if code := call("-m", *words):
                    return code
            REPORT.parent.mkdir(exist_ok=True)
            suite = chosen.arguments or ["tests/backends", "-k", "kind or installed"]
            return call("-m", "pytest", "-v", f"--junitxml={REPORT}", "-m", "", *suite)
        finally:
            daemon.stop()
    except FluxlabError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
