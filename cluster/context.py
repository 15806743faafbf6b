"""Where things are made: the checkout, the cache and the progress that all steps share."""

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from cluster.artifacts.cache import Cache
from cluster.run.progress import Progress


@dataclass(frozen=True)
class Workshop:
    """What every step is given."""

    repository: Path
    cache: Cache
    progress: Progress

    @property
    def parts(self) -> Path:
        """The data files of this package: Go modules, what goes into the node image."""
        return Path(__file__).parent

    def terse(self) -> "Workshop":
        """The same, but its steps speak only when there is something to do."""
        return replace(self, progress=Progress(self.cache.logs, notes=False))

    def quiet(self) -> "Workshop":
        """The same, but its steps say nothing."""
        return replace(self, progress=Progress(self.cache.logs, io.StringIO()))

    def make(
        self,
        title: str,
        name: str,
        key: str,
        make: Callable[[Path], None],
        *,
        suffix: str = "",
        outcome: str = "built",
    ) -> Path:
        """The thing `name` with that key from the cache; if it is not there, `make` writes it."""
        entry = self.cache.entry(name, key, suffix)
        if entry.exists():
            self.progress.note(title, "cached")
            return entry

        with self.cache.locked(name, self.progress.say):
            # Whoever had the lock may have made it in the meantime.
            if not entry.exists():
                with self.progress.step(title, outcome=outcome):
                    self.cache.fill(entry, make)
                self.cache.prune(name)

        return entry
