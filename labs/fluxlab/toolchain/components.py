"""The upstream programs that fluxlab runs: each pinned by the go.mod and go.sum of a folder."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from .errors import ToolchainError

SOURCES = Path(__file__).parent / "components"
FLUX_MANIFESTS = "gotk-components.yaml"
STANDARD_LIBRARY = "std"
"""The module of an own program that is linked with nothing else: its version is that of its go.mod's `go` line."""


@dataclass(frozen=True, kw_only=True)
class Component:
    """What is built as one: which Go package it is, how it is linked, and how it tells its version.

    Texts may hold `{version}`, the version without the leading v.
    """

    name: str
    package: str
    module: str
    variables: tuple[str, ...] = ()
    """What the linker sets, as `package.name=value`: upstream's release scripts do the same."""
    version_arguments: tuple[str, ...] = ("--version",)
    version_output: str = "{version}"
    """What the program must print when it is asked with `version_arguments`."""
    names: tuple[str, ...] = ()
    """Of a program that is several and does what its name says; else it is called as the component."""
    recipe: Literal["go", "flux"] = "go"
    generated: tuple[str, ...] = ()
    """Files that stand beside the program."""
    inputs: tuple[str, ...] = ()
    """Other components whose pinned versions go into this one."""
    sources: Path = SOURCES

    @property
    def programs(self) -> tuple[str, ...]:
        """What its programs are called."""
        return self.names or (self.name,)

    @property
    def folder(self) -> Path:
        """Where its go.mod and go.sum are."""
        return self.sources / self.name

    @property
    def own_program(self) -> Path | None:
        """A main.go of fluxlab's in the folder: then the upstream package is a library of it."""
        file = self.folder / "main.go"
        return file if file.exists() else None

    @property
    def files(self) -> tuple[str, ...]:
        """What of its folder decides what is built."""
        return ("go.mod", "go.sum", *sorted(path.name for path in self.folder.glob("*.go")))

    @property
    def target(self) -> str:
        """What `go build` is told to build."""
        return "." if self.own_program else self.package

    @cached_property
    def version(self) -> str:
        """The version that its go.mod requires, without the leading v."""
        if self.module == STANDARD_LIBRARY:
            return self.go_version
        return required_version(self.folder / "go.mod", module=self.module)

    @cached_property
    def go_version(self) -> str:
        """The oldest Go that can build it, from the `go` line of its go.mod."""
        found = re.search(r"^go (\S+)$", (self.folder / "go.mod").read_text(), re.MULTILINE)
        if not found:
            raise ToolchainError(f"{self.folder / 'go.mod'}: no `go` line")
        return found[1]

    def expand(self, text: str) -> str:
        """`text` with the version put in."""
        return text.format(version=self.version)


def required_version(go_mod: Path, *, module: str) -> str:
    """The version of `module` in a go.mod's `require` lines, without the leading v."""
    pattern = rf"^(?:require\s+|\s+){re.escape(module)} v(\S+)"
    found = re.search(pattern, go_mod.read_text(), re.MULTILINE)
    if not found:
        raise ToolchainError(f"{go_mod}: requires no {module}")
    return found[1]


def kubernetes(
    name: str,
    *,
    names: tuple[str, ...] = (),
    version_arguments: tuple[str, ...] = ("--version",),
    sources: Path = SOURCES,
) -> Component:
    """Programs of kubernetes/kubernetes, which without these variables would call themselves v0.0.0-master."""
    minor = required_version(sources / name / "go.mod", module="k8s.io/kubernetes").split(".")[1]
    settings = ("gitVersion=v{version}", "gitMajor=1", f"gitMinor={minor}", "gitTreeState=clean")
    return Component(
        name=name,
        package="k8s.io/kubernetes/cmd" if names else f"k8s.io/kubernetes/cmd/{name}",
        names=names,
        module="k8s.io/kubernetes",
        variables=tuple(
            f"{package}.{setting}"
            for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
            for setting in settings
        ),
        version_arguments=version_arguments,
        version_output="v{version}",
        sources=sources,
    )


def _flux_controller(name: str) -> Component:
    """A controller of Flux: it tells no version, so the check reads it from the build information only."""
    module = f"github.com/fluxcd/{name}"
    return Component(
        name=name,
        package=module,
        module=module,
        version_arguments=("--help",),
        version_output="Usage of ",
    )


CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
CONTROLLERS = ("source-controller", "kustomize-controller", "helm-controller", "notification-controller")

COMPONENTS: tuple[Component, ...] = (
    Component(name="etcd", package="go.etcd.io/etcd/server/v3", module="go.etcd.io/etcd/server/v3"),
    Component(
        name="etcdutl",
        package="go.etcd.io/etcd/etcdutl/v3",
        module="go.etcd.io/etcd/etcdutl/v3",
        version_arguments=("version",),
    ),
    kubernetes("kubernetes", names=CONTROL_PLANE),
    kubernetes("kubectl", version_arguments=("version", "--client")),
    Component(
        name="kwok",
        package="sigs.k8s.io/kwok/cmd/kwok",
        module="sigs.k8s.io/kwok",
        variables=("sigs.k8s.io/kwok/pkg/consts.Version={version}",),
    ),
    *(_flux_controller(name) for name in CONTROLLERS),
    Component(
        name="helm",
        package="helm.sh/helm/v4/cmd/helm",
        module="helm.sh/helm/v4",
        variables=("helm.sh/helm/v4/internal/version.version=v{version}",),
        version_arguments=("version", "--short"),
        version_output="v{version}",
    ),
    Component(
        name="registry",
        package="github.com/distribution/distribution/v3/cmd/registry",
        module="github.com/distribution/distribution/v3",
        variables=("github.com/distribution/distribution/v3/version.version=v{version}",),
        version_output="v{version}",
    ),
    Component(
        name="toxiproxy",
        package="github.com/Shopify/toxiproxy/v2",
        module="github.com/Shopify/toxiproxy/v2",
        variables=("github.com/Shopify/toxiproxy/v2.Version={version}",),
        version_arguments=("-version",),
    ),
    Component(
        name="flux",
        package="github.com/fluxcd/flux2/v2/cmd/flux",
        module="github.com/fluxcd/flux2/v2",
        variables=("main.VERSION={version}",),
        recipe="flux",
        generated=(FLUX_MANIFESTS,),
        inputs=("kubectl", *CONTROLLERS),
    ),
)

KIND_COMPONENTS: tuple[Component, ...] = (
    Component(
        name="kind",
        package="sigs.k8s.io/kind",
        module="sigs.k8s.io/kind",
        version_arguments=("version",),
        version_output="kind v{version}",
    ),
)
"""A set of its own: who never makes a kind cluster need not build it, and the key of COMPONENTS stays as it is."""
