"""Programs built from Go modules: from a module of this package, or from a published one."""

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
from cluster.context import Workshop
from cluster.errors import ClusterError
from cluster.run import shell

# A build has phases of one core (linking) and of many (compiling): two at once keep all cores busy.
_slots = threading.Semaphore(2)

# So that the machine stays usable meanwhile.
NICENESS = 10


@dataclass(frozen=True)
class Program:
    """One Go program: the published `package` (path@version), or the module in cluster/go/`module`."""

    name: str
    package: str = ""
    module: str = ""
    variables: tuple[tuple[str, str], ...] = ()
    """What the linker writes into string variables (full name, value), such as versions."""
    label: str = ""
    """What it is called in the cache, where its name alone would not tell it from another."""

    @property
    def cache_name(self) -> str:
        """The program's name in the cache."""
        return self.label or self.name

    @property
    def flags(self) -> list[str]:
        """Options of `go build`: nothing of this machine's paths, no debugging symbols."""
        stamps = [f"-X {name}={value}" for name, value in self.variables]
        return ["-trimpath", "-ldflags", " ".join(["-s -w", *stamps])]


def built(shop: Workshop, program: Program) -> Path | None:
    """Return the program if an earlier run built it with this Go; None if not, or without a suitable Go."""
    if not available():
        return None
    found = shop.cache.entry(program.cache_name, _key(shop, program)) / program.name
    return found if found.exists() else None


def build(shop: Workshop, program: Program) -> Path:
    """The program's binary in the cache, built if necessary."""
    source = _source(shop, program)

    def make(folder: Path) -> None:
        folder.mkdir()
        with _slots:
            if source:
                _go(["build", *program.flags, "-o", str(folder / program.name), "."], source)
            else:
                _go(["install", *program.flags, program.package], folder, {"GOBIN": str(folder)})

    label = program.cache_name
    folder = shop.make(f"{label} from Go", label, _key(shop, program), make)

    return folder / program.name


def _source(shop: Workshop, program: Program) -> Path | None:
    """Return the folder of the program's module, if the module is in this package."""
    return shop.parts / "go" / program.module if program.module else None


def _key(shop: Workshop, program: Program) -> str:
    source = _source(shop, program)
    return fingerprint(version(), program.package, *program.flags, *([source] if source else []))


def module_folder(shop: Workshop, program: Program, module: str) -> Path:
    """Return the folder with the source of a dependency of a module in cluster/go/; fetch it if necessary.

    Raises:
        ClusterError: Go cannot find it.
    """
    source = shop.parts / "go" / program.module
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
    """Whether a Go that can build everything is on PATH."""
    try:
        version()
    except ClusterError:
        return False
    return True


@cache
def version() -> str:
    """Go's own version, such as "go1.26.8". Raises ClusterError when it is missing or too old."""
    needed = ".".join(map(str, versions.GO_OLDEST))
    get_it = f"Go {needed} or newer is needed: https://go.dev/dl/"
    if not shutil.which("go"):
        raise ClusterError(f"There is no `go` on PATH. {get_it}")

    found = shell.output(["go", "env", "GOVERSION"]).strip()
    if parse(found) < versions.GO_OLDEST:
        raise ClusterError(f"`go` on PATH is {found}. {get_it}")

    return found


def parse(text: str) -> tuple[int, int]:
    """Major and minor number of a version such as "go1.26.8" or "v0.33.0"; (0, 0) if there is none."""
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)
