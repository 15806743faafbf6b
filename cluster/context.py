"""The context of every build step: the checkout, the cache and the progress output."""

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from cluster.artifacts.cache import Cache
from cluster.run.progress import Progress


@dataclass(frozen=True)
class BuildContext:
    """The checkout, the cache and the progress output that all steps share."""

    repository: Path
    cache: Cache
    progress: Progress

    @property
    def package_folder(self) -> Path:
        """The folder of this package, with the Go modules and the node image's files."""
        return Path(__file__).parent

    def terse(self) -> "BuildContext":
        """Return a copy that prints only the steps that do any work."""
        return replace(self, progress=Progress(self.cache.logs, notes=False))

    def quiet(self) -> "BuildContext":
        """Return a copy that prints nothing."""
        return replace(self, progress=Progress(self.cache.logs, io.StringIO()))

    def get_or_build(
        self,
        title: str,
        name: str,
        key: str,
        build: Callable[[Path], None],
        *,
        suffix: str = "",
        outcome: str = "built",
    ) -> Path:
        """Return the artifact `name` with this key from the cache; `build` it if it is missing."""
        entry = self.cache.entry(name, key, suffix)
        if entry.exists():
            self.progress.note(title, "cached")
            return entry

        with self.cache.locked(name, self.progress.say):
            # Another run may have built it while this one waited for the lock.
            if not entry.exists():
                with self.progress.step(title, outcome=outcome):
                    self.cache.fill(entry, build)
                self.cache.prune(name)

        return entry
