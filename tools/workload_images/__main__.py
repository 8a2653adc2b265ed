"""`python -m tools.workload_images`: images under the names that the scenarios' charts and Flux's manifests render.

Node images hold them already. `list` tells the names, `build FILE` writes one archive for `kind load image-archive`,
`load CLUSTER` does both. Pods that name an image without a tag would still pull: `policy` has every new kind cluster of
fluxlab get pull-policy.yaml, beside this file.
"""

import argparse
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

from tools.image_archives import write_archive
from tools.node_image import rootfs

from fluxlab.clusters.kind import preload_folder
from fluxlab.commands import run
from fluxlab.errors import FluxlabError
from fluxlab.toolchain import KIND_COMPONENTS, Toolchain, find
from fluxlab.toolchain.building import build
from fluxlab.toolchain.lookup import cache_store

from .components import WORKLOAD_COMPONENTS
from .images import images
from .rendered import Use, template, uses

POLICY = Path(__file__).with_name("pull-policy.yaml")
SCENARIOS = Path(__file__).parents[2] / "scenarios"
CHARTS = {
    SCENARIOS / "otel-demo/charts/opentelemetry-demo": {},
    SCENARIOS / "observability-agent/charts/causely": {"global.cluster_name": "any", "gateway.token": "any"},
}
"""With the values that a chart cannot be rendered without."""
LOAD_SECONDS = 300


def used(toolchain: Toolchain) -> list[Use]:
    """What all charts and Flux itself name."""
    rendered = [template(toolchain.binary("helm"), chart, values=values) for chart, values in CHARTS.items()]
    return uses("\n---\n".join([toolchain.flux_manifests.read_text(), *rendered]))


def busybox(folder: Path, *, mirror: str) -> Path:
    """Debian's static busybox, out of the root file system that node images are made of."""
    target = folder / "busybox"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_suffix(".unfinished")
        with tarfile.open(rootfs.prepare(folder, mirror=mirror)) as archive:
            source = archive.extractfile("./usr/bin/busybox")
            if source is None:
                raise FluxlabError("the root file system has no busybox")
            unfinished.write_bytes(source.read())
        unfinished.chmod(0o755)
        unfinished.replace(target)
    return target


def write(target: Path, *, folder: Path, mirror: str) -> None:
    """Write the archive with all images."""
    programs = build(components=WORKLOAD_COMPONENTS)
    write_archive(target, images(used(find()), programs=programs, busybox=busybox(folder, mirror=mirror)))


def keep_from_pulling() -> None:
    """Put the policy that keeps pods from pulling where fluxlab looks for what a new kind cluster gets."""
    target = preload_folder()
    target.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(POLICY, target / POLICY.name)


def load(cluster: str, *, folder: Path, mirror: str) -> None:
    """Write the images and load them into all nodes of a kind cluster."""
    kind = find(components=KIND_COMPONENTS).binary("kind")
    scratch = Path(tempfile.mkdtemp(prefix="fluxlab-"))
    try:
        write(scratch / "images.tar", folder=folder, mirror=mirror)
        run(
            [kind, "load", "image-archive", scratch / "images.tar", "--name", cluster],
            timeout_seconds=LOAD_SECONDS,
            hint=f"`kind get clusters` tells the names; is DOCKER_HOST that of the daemon in which {cluster!r} runs?",
        )
    finally:
        shutil.rmtree(scratch)


def main() -> int:
    """List, write or load the images."""
    parser = argparse.ArgumentParser(prog="python -m tools.workload_images", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list", help="the names of the images")
    verbs.add_parser("build", help="write them into FILE").add_argument("file", type=Path)
    verbs.add_parser("policy", help="have every new kind cluster of fluxlab get pull-policy.yaml")
    verbs.add_parser("load", help="load them into a kind cluster").add_argument("cluster")
    parser.add_argument(
        "--folder", type=Path, default=cache_store().root.parent / "node-image", help="as of node_image"
    )
    parser.add_argument("--mirror", default=rootfs.MIRROR, help="of Debian's packages")
    chosen = parser.parse_args()
    try:
        if chosen.verb == "list":
            for use in used(find()):
                print(use.image)
        elif chosen.verb == "build":
            write(chosen.file.absolute(), folder=chosen.folder.absolute(), mirror=chosen.mirror)
        elif chosen.verb == "policy":
            keep_from_pulling()
        else:
            load(chosen.cluster, folder=chosen.folder.absolute(), mirror=chosen.mirror)
    except FluxlabError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
