"""Assign cores: the systems share the same two, and the load driver gets the others."""

from collections.abc import Iterable
from dataclasses import dataclass

SYSTEM_CORES = 2
"""Number of cores for the systems. The targets apply to this number."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Cores of this machine by number. `driver` equals `system` if there are no others."""

    system: frozenset[int]
    driver: frozenset[int]

    @property
    def pinned(self) -> bool:
        """Whether the systems are restricted to some of the cores."""
        return self.system != self.driver

    @property
    def system_list(self) -> str:
        """The cores in the format of the kernel and `taskset`."""
        return ",".join(map(str, sorted(self.system)))


def share_out(available: Iterable[int]) -> Cores:
    """Return the first two cores for the systems and the rest for the driver, or all for both."""
    ordered = sorted(available)
    if len(ordered) <= SYSTEM_CORES:
        return Cores(frozenset(ordered), frozenset(ordered))
    return Cores(frozenset(ordered[:SYSTEM_CORES]), frozenset(ordered[SYSTEM_CORES:]))
