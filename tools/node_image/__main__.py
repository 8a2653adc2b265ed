"""`python -m tools.node_image`: a kind node image where no image registry can be reached.

Everything comes from Debian's packages and pinned Go modules. What is finished stays: the programs in the toolchain's
cache, the root file system beside it; interrupted and run again it goes on. The image carries a key over what decides
what it becomes, so a second call finds that it is there already.
"""

import argparse
import hashlib
import json
import shutil
import sys
from pathlib import Path

from filelock import FileLock
from tools import image_archives
from tools.image_archives import Image, Tree, write_archive
from tools.workload_images.__main__ import SCENARIOS
from tools.workload_images.__main__ import write as write_workloads
from tools.workload_images.components import WORKLOAD_COMPONENTS

from fluxlab.cli.build_progress import BuildProgress
from fluxlab.commands import CommandError, run
from fluxlab.errors import FluxlabError
from fluxlab.toolchain import Platform
from fluxlab.toolchain.building import build
from fluxlab.toolchain.entries import entries
from fluxlab.toolchain.lookup import cache_store

from . import rootfs
from .components import NODE_COMPONENTS
from .node import assemble
from .steps import Steps

LABEL = "dev.fluxlab.node-image.key"
STOP_SIGNAL = "SIGRTMIN+3"  # systemd's word for an orderly end: https://systemd.io/CONTAINER_INTERFACE
ENTRYPOINT = ("/usr/local/bin/entrypoint", "/sbin/init")
LOAD_SECONDS = 600
NO_DAEMON = "let DOCKER_HOST name a Docker daemon; `python -m tools.docker_daemon start FOLDER` starts one"


def key(*, bare: bool) -> str:
    """What decides what the image becomes: the programs, and the files that make an image of them."""
    components = NODE_COMPONENTS if bare else (*NODE_COMPONENTS, *WORKLOAD_COMPONENTS)
    keys = sorted({entry.key for entry in entries(components, platform=Platform.native())})
    digest = hashlib.sha256("\n".join(keys).encode())
    here = Path(__file__).parent
    sources = [Path(image_archives.__file__), *here.glob("*.py"), *here.glob("overlay/**/*")]
    if not bare:
        sources += [*here.with_name("workload_images").glob("*.py"), *SCENARIOS.glob("*/charts/**/*")]
    for path in sorted(source for source in sources if source.is_file()):
        digest.update(f"{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def present(name: str) -> str:
    """The key of the image of this name in the Docker daemon; empty when there is none. Raises without a daemon."""
    run(["docker", "version"], hint=NO_DAEMON)
    try:
        found = json.loads(run(["docker", "image", "inspect", name]).stdout)
    except CommandError:
        return ""
    labels: dict[str, str] = found[0]["Config"].get("Labels") or {}
    return labels.get(LABEL, "")


def make(name: str, *, folder: Path, mirror: str, save: Path | None, bare: bool) -> None:
    """Build the image and load it into the Docker daemon."""
    steps = Steps()
    progress = BuildProgress()
    with steps.step("programs"), progress.ticking():
        programs = build(components=NODE_COMPONENTS, progress=progress)
    with steps.step("root file system"):
        base = rootfs.prepare(folder, mirror=mirror)
    scratch = folder / "unfinished"
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        root = scratch / "root"
        with steps.step("node"):
            rootfs.unpack(base, root)
            archives = [] if bare else [scratch / "workloads.tar"]
            for archive in archives:
                write_workloads(archive, folder=folder, mirror=mirror)
            assemble(root, programs=programs, scratch=scratch, archives=archives)
            for archive in archives:
                archive.unlink()
        archive = save or scratch / "node.tar"
        with steps.step("image"):
            image = Image(
                names=(name,),
                layers=(Tree(root=root),),
                entrypoint=ENTRYPOINT,
                environment={"container": "docker"},
                labels={LABEL: key(bare=bare)},
                stop_signal=STOP_SIGNAL,
            )
            write_archive(archive, [image])
        with steps.step("docker load"):
            run(["docker", "load", "--input", archive], timeout_seconds=LOAD_SECONDS)
            # Earlier ones that no node runs from.
            run(["docker", "image", "prune", "--force", "--filter", f"label={LABEL}"], timeout_seconds=LOAD_SECONDS)
        steps.say(f"{name}: {archive.stat().st_size / 1e6:.0f} MB")
    finally:
        shutil.rmtree(scratch)


def main() -> int:
    """Make the image unless it is there."""
    version = next(component.version for component in NODE_COMPONENTS if component.name == "kubelet")
    parser = argparse.ArgumentParser(prog="python -m tools.node_image", description=__doc__)
    parser.add_argument("--name", default=f"fluxlab/node:v{version}")
    parser.add_argument(
        "--folder", type=Path, default=cache_store().root.parent / "node-image", help="keeps what is done"
    )
    parser.add_argument("--mirror", default=rootfs.MIRROR, help="of Debian's packages")
    parser.add_argument("--bare", action="store_true", help="without the images of Flux and of the scenarios")
    parser.add_argument("--save", type=Path, help="keep the archive that `docker load` takes under this name")
    chosen = parser.parse_args()
    try:
        if present(chosen.name) == key(bare=chosen.bare) and not chosen.save:
            print(f"{chosen.name} is there already")
            return 0
        folder = chosen.folder.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):  # one at a time
            make(chosen.name, folder=folder, mirror=chosen.mirror, save=chosen.save, bare=chosen.bare)
    except FluxlabError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last step that was finished", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
