"""Build Go programs from a module of this package or from a published module."""

import json
import os
import re
import shutil
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cluster import versions
from cluster.artifacts.cache import fingerprint
from cluster.context import BuildContext
from cluster.errors import ClusterError
from cluster.run import shell

# Limit on concurrent builds. Compiling uses all cores, but linking uses only one, so two builds
# keep the cores busy.
_slots = threading.Semaphore(2)

# Niceness of the builds. Their priority is lower, so that the machine stays usable.
NICENESS = 10


@dataclass(frozen=True)
class Program:
    """A Go program: a published `package` (path@version) or the module in cluster/go/`module`."""

    name: str
    package: str = ""
    module: str = ""
    variables: tuple[tuple[str, str], ...] = ()
    """String variables that the linker sets, such as versions. Each has a full name and a value."""
    label: str = ""
    """The program's name in the cache. If it is empty, `name` is used and must be unique."""

    @property
    def cache_name(self) -> str:
        """The program's name in the cache."""
        return self.label or self.name

    @property
    def flags(self) -> list[str]:
        """Options of `go build` that keep local paths and debugging symbols out of the binary."""
        stamps = [f"-X {name}={value}" for name, value in self.variables]
        return ["-trimpath", "-ldflags", " ".join(["-s -w", *stamps])]


def cached(ctx: BuildContext, program: Program) -> Path | None:
    """Return the program if an earlier run built it with the installed Go; None otherwise."""
    if not available():
        return None
    found = ctx.cache.entry(program.cache_name, _key(ctx, program)) / program.name
    return found if found.exists() else None


def build(ctx: BuildContext, program: Program) -> Path:
    """Return the program's binary in the cache; build it if necessary."""
    source = _source(ctx, program)

    def make(folder: Path) -> None:
        folder.mkdir()
        with _slots:
            if source:
                _go(["build", *program.flags, "-o", str(folder / program.name), "."], source)
            else:
                _go(["install", *program.flags, program.package], folder, {"GOBIN": str(folder)})

    label = program.cache_name
    folder = ctx.get_or_build(f"{label} from Go", label, _key(ctx, program), make)

    return folder / program.name


def _source(ctx: BuildContext, program: Program) -> Path | None:
    """Return the folder of the program's module, if the module is in this package."""
    return ctx.package_folder / "go" / program.module if program.module else None


def _key(ctx: BuildContext, program: Program) -> str:
    source = _source(ctx, program)
    return fingerprint(version(), program.package, *program.flags, *([source] if source else []))


def module_folder(ctx: BuildContext, program: Program, module: str) -> Path:
    """Return the folder with the source of a dependency of a module in cluster/go/.

    The dependency is downloaded if necessary.

    Raises:
        ClusterError: Go cannot find the dependency.
    """
    source = ctx.package_folder / "go" / program.module

    answer = shell.output(
        ["go", "mod", "download", "-C", source, "-json", module], env=_environment()
    )
    return Path(json.loads(answer)["Dir"])


def _go(arguments: Sequence[str], cwd: Path, more: Mapping[str, str] | None = None) -> None:
    command = ["nice", "-n", str(NICENESS), "go", *arguments]
    shell.run(command, cwd=cwd, env=_environment() | dict(more or {}))


def _environment() -> dict[str, str]:
    return os.environ | {"CGO_ENABLED": "0", "GOWORK": "off"}


def available() -> bool:
    """Return whether Go is on PATH and new enough to build everything."""
    try:
        version()
    except ClusterError:
        return False
    return True


@cache
def version() -> str:
    """Return Go's version, such as "go1.26.8". Raises ClusterError if it is missing or too old."""
    needed = ".".join(map(str, versions.GO_OLDEST))
    get_it = f"Go {needed} or newer is needed: https://go.dev/dl/"
    if not shutil.which("go"):
        raise ClusterError(f"`go` is not on PATH. {get_it}")

    found = shell.output(["go", "env", "GOVERSION"]).strip()
    if parse(found) < versions.GO_OLDEST:
        raise ClusterError(f"`go` on PATH is {found}. {get_it}")

    return found


def parse(text: str) -> tuple[int, int]:
    """Return the major and minor version in a text such as "go1.26.8"; (0, 0) if it has none."""
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)
