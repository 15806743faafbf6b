"""Assign CPU cores. All systems use the same two, and the load driver gets the others."""

from collections.abc import Iterable
from dataclasses import dataclass

SYSTEM_CORES = 2
"""Number of cores for the systems. The targets assume this number."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Numbers of the assigned cores. On a small machine, `driver` equals `system`."""

    system: frozenset[int]
    driver: frozenset[int]

    @property
    def pinned(self) -> bool:
        """Whether the systems are restricted to cores that the driver does not use."""
        return self.system != self.driver

    @property
    def system_list(self) -> str:
        """The systems' cores as a list in the format that the kernel and `taskset` use."""
        return ",".join(map(str, sorted(self.system)))


def assign_cores(available: Iterable[int]) -> Cores:
    """Assign the first two cores to the systems and the rest to the driver.

    With only one or two cores, the systems and the driver share them.
    """
    ordered = sorted(available)
    if len(ordered) <= SYSTEM_CORES:
        return Cores(frozenset(ordered), frozenset(ordered))
    return Cores(frozenset(ordered[:SYSTEM_CORES]), frozenset(ordered[SYSTEM_CORES:]))
