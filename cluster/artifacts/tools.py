"""Get the command-line tools: from PATH, from official builds, or by building Go modules."""

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from cluster import versions
from cluster.artifacts import download, golang, node_image, official
from cluster.artifacts.cache import fingerprint, link
from cluster.artifacts.golang import Program
from cluster.artifacts.official import Release
from cluster.context import BuildContext
from cluster.errors import ClusterError
from cluster.run import shell
from cluster.run.parallel import Parallel

Version = tuple[int, int]

# How long a tool on PATH may take to print its version.
CHECK_SECONDS = 20.0

GET_GO = "install Go (https://go.dev/dl/), which then builds the right version"


@dataclass(frozen=True)
class Tool:
    """A tool and its sources."""

    name: str
    """Its name on PATH and in `python3 -m cluster tool <name>`."""
    release: Release | None
    """Its official build; None if it is never downloaded."""
    program: Program | None
    """The Go program to build; None if it is not built with Go."""
    oldest: Version | None
    """The oldest accepted version on PATH; None if a tool on PATH is never used."""
    version_arguments: tuple[str, ...]
    """The arguments that make it print its version."""
    homepage: str
    """The page with its installation instructions."""


KIND = Tool(
    "kind",
    official.KIND,
    Program("kind", package=f"sigs.k8s.io/kind@{versions.KIND}"),
    versions.KIND_OLDEST,
    ("version",),
    "https://kind.sigs.k8s.io/docs/user/quick-start/#installation",
)
HELM = Tool(
    "helm",
    official.HELM,
    Program(
        "helm",
        package=f"helm.sh/helm/v4/cmd/helm@{versions.HELM}",
        variables=(("helm.sh/helm/v4/internal/version.version", versions.HELM),),
    ),
    versions.HELM_OLDEST,
    ("version", "--short"),
    "https://helm.sh/docs/intro/install/",
)
# The chart must work with both versions of helm. Helm 3 is never taken from PATH.
HELM_3 = Tool(
    "helm3",
    official.HELM_3,
    Program(
        "helm",
        package=f"helm.sh/helm/v3/cmd/helm@{versions.HELM_3}",
        variables=(("helm.sh/helm/v3/internal/version.version", versions.HELM_3),),
        label="helm3",
    ),
    None,
    ("version", "--short"),
    HELM.homepage,
)
KUBECONFORM = Tool(
    "kubeconform",
    None,
    Program(
        "kubeconform",
        package=f"github.com/yannh/kubeconform/cmd/kubeconform@{versions.KUBECONFORM}",
        variables=(("main.version", versions.KUBECONFORM),),
    ),
    versions.KUBECONFORM_OLDEST,
    ("-v",),
    "https://github.com/yannh/kubeconform#installation",
)
# If the node image is built from packages, its own kubectl is used instead.
KUBECTL = Tool(
    "kubectl",
    official.KUBECTL,
    None,
    versions.KUBECTL_OLDEST,
    ("version", "--client"),
    "https://kubernetes.io/docs/tasks/tools/",
)


class Source(Enum):
    """Where a tool may come from."""

    CACHE = "an earlier run"
    PATH = "the user's PATH"
    DOWNLOAD = "the official build"
    GO = "the Go module"
    PYPI = "a PyPI package"


def sources(*, ci: bool, go: bool) -> tuple[Source, ...]:
    """Return the sources of a tool, in the order in which to try them.

    `ci` says whether this run is on CI, and `go` whether Go is installed. CI tests the pinned
    versions. If Go is installed on CI, requests are sent only to the Go module proxy. For a user,
    the fastest source comes first: helm takes seconds to download and two minutes to build.
    """
    if ci:
        return (Source.GO,) if go else (Source.DOWNLOAD,)
    return (Source.CACHE, Source.PATH, Source.DOWNLOAD, *((Source.GO,) if go else ()))


# kubectl is not built with Go, because that would also build the rest of Kubernetes, which takes
# minutes.
KUBECTL_SOURCES = (Source.CACHE, Source.PATH, Source.DOWNLOAD, Source.PYPI)
KUBECTL_PACKAGE = f"{versions.KUBECTL_PACKAGE}=={versions.KUBECTL.removeprefix('v')}"


def get(ctx: BuildContext, tool: Tool) -> Path:
    """Return the path of a tool. Raises ClusterError with advice if no source has it."""
    return _from_first_source(
        ctx, tool, sources(ci=bool(os.environ.get("CI")), go=golang.available())
    )


def kubectl(ctx: BuildContext, *, from_packages: bool) -> Path:
    """Return the path of kubectl: the node image's own if that image is built from packages."""
    if from_packages:
        return _linked(ctx, "kubectl", golang.build(ctx, node_image.KUBERNETES))
    return _from_first_source(ctx, KUBECTL, KUBECTL_SOURCES)


def _from_first_source(ctx: BuildContext, tool: Tool, order: tuple[Source, ...]) -> Path:
    """Return the tool from the first source that works. Raises ClusterError if none does."""
    for source in order:
        if found := _from_source(ctx, tool, source, last=source is order[-1]):
            return found

    raise ClusterError(f"{tool.name} is missing. {_advice(tool)}")


def _from_source(ctx: BuildContext, tool: Tool, source: Source, *, last: bool) -> Path | None:
    """Return the tool if the source works. The last source raises ClusterError if it fails."""
    match source:
        case Source.CACHE:
            found = _from_cache(ctx, tool)
        case Source.PATH:
            return _from_path(ctx, tool)
        case Source.DOWNLOAD:
            found = _from_download(ctx, tool, last=last)
        case Source.GO:
            found = golang.build(ctx, tool.program) if tool.program else None
        case Source.PYPI:
            with _with_advice(tool):
                found = from_pypi(ctx, tool.name, KUBECTL_PACKAGE)

    return _linked(ctx, tool.name, found) if found else None


def _from_cache(ctx: BuildContext, tool: Tool) -> Path | None:
    downloaded = official.cached(ctx, tool.release) if tool.release else None
    found = downloaded or (golang.cached(ctx, tool.program) if tool.program else None)
    if found:
        ctx.progress.note(tool.name, "cached")
    return found


def _from_path(ctx: BuildContext, tool: Tool) -> Path | None:
    """Return the user's own tool if it works and is new enough."""
    found = on_path(ctx, tool.name) if tool.oldest else None
    if not found or not tool.oldest:
        return None

    try:
        said = shell.output([found, *tool.version_arguments], timeout_seconds=CHECK_SECONDS)
    except ClusterError as error:
        ctx.progress.note(f"{tool.name} on PATH", f"not used: {error}")
        return None

    if golang.parse(said) < tool.oldest:
        ctx.progress.note(
            f"{tool.name} on PATH", f"not used: older than {_version_text(tool.oldest)}"
        )
        return None

    return found


def _from_download(ctx: BuildContext, tool: Tool, *, last: bool) -> Path | None:
    """Return the official build; None if its site can't be reached and there is another source."""
    release = tool.release
    if not release or not release.here:
        return None

    # If there is another source, a single short request shows whether the site can be reached. The
    # last source uses all attempts.
    check_first = not last and not official.cached(ctx, release)
    if check_first and (problem := download.connection_problem(release.url)):
        ctx.progress.say(
            f"  {tool.name} is not downloaded: {release.site}: {problem}. Trying another source"
        )
        return None

    with _with_advice(tool):
        return official.ensure(ctx, release)


@contextlib.contextmanager
def _with_advice(tool: Tool) -> Iterator[None]:
    """Add advice on how to get the tool to an error in the block."""
    try:
        yield
    except ClusterError as error:
        raise ClusterError(f"{error}\n\n{tool.name} is missing. {_advice(tool)}") from None


def _advice(tool: Tool) -> str:
    """Return advice on how to get the tool."""
    steps = (
        [f"get {tool.name} {_version_text(tool.oldest)} or newer from {tool.homepage}"]
        if tool.oldest
        else []
    )
    if tool.program:
        steps.append(GET_GO)

    if tool.release and tool.release.here:
        steps.append(
            f"set {official.MIRROR} to the address of a server that has {tool.release.file}"
        )

    advice = ", or ".join(steps)
    no_file = tool.release and not tool.release.here
    why = f"There is no official build for {official.this_platform()}. " if no_file else ""
    return f"{why}{advice[:1].upper()}{advice[1:]}"


def _version_text(version: Version) -> str:
    return ".".join(map(str, version))


def uv(ctx: BuildContext) -> Path:
    """Return the path of the pinned uv. Other versions may read the lock file differently."""
    found = on_path(ctx, "uv")
    if found and shell.output([found, "--version"]).split()[1] == versions.UV:
        return found
    return _linked(ctx, "uv", from_pypi(ctx, "uv", f"uv=={versions.UV}"))


def from_pypi(ctx: BuildContext, name: str, package: str) -> Path:
    """Return the program `name` of a PyPI package, installed in its own virtual environment."""
    key = fingerprint(package, sys.version)

    def make(folder: Path) -> None:
        shell.run([sys.executable, "-m", "venv", folder])
        shell.run([folder / "bin/python", "-m", "pip", "install", "--quiet", package])

    return ctx.get_or_build(f"{name} from PyPI", name, key, make) / "bin" / name


def on_path(ctx: BuildContext, name: str) -> Path | None:
    """Return the user's program with this name, ignoring the links in the cache."""
    folders = os.environ.get("PATH", "").split(os.pathsep)
    others = [folder for folder in folders if folder != str(ctx.cache.bin)]
    found = shutil.which(name, path=os.pathsep.join(others))
    return Path(found) if found else None


def _linked(ctx: BuildContext, name: str, target: Path) -> Path:
    """Add a tool to the folder that `env` puts on PATH, and return its path there."""
    link(target, ctx.cache.bin / name)
    return ctx.cache.bin / name


@dataclass(frozen=True)
class Tools:
    """The paths of the tools that every run needs."""

    kind: Path
    helm: Path
    kubectl: Path


def ensure_all(ctx: BuildContext, *, from_packages: bool) -> Tools:
    """Get the tools in parallel."""
    with Parallel() as parallel:
        # kubectl is started first, because building it with the node image takes the longest.
        client = parallel.start(lambda: kubectl(ctx, from_packages=from_packages))
        kind = parallel.start(lambda: get(ctx, KIND))
        helm = parallel.start(lambda: get(ctx, HELM))
    return Tools(kind.get(), helm.get(), client.get())
