"""Which cores the systems get, so that they have the same two and the load driver none of them."""

from collections.abc import Iterable
from dataclasses import dataclass

SYSTEM_CORES = 2
"""What the targets are about."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Cores of this machine, by number; `driver` equals `system` where there are no others."""

    system: frozenset[int]
    driver: frozenset[int]

    @property
    def pinned(self) -> bool:
        """Whether the systems are kept to a part of the machine."""
        return self.system != self.driver

    @property
    def system_list(self) -> str:
        """As the kernel and `taskset` write it."""
        return ",".join(map(str, sorted(self.system)))


def share_out(available: Iterable[int]) -> Cores:
    """The first two cores for the systems, the others for the driver; all for both if there are but two."""
    ordered = sorted(available)
    if len(ordered) <= SYSTEM_CORES:
        return Cores(frozenset(ordered), frozenset(ordered))
    return Cores(frozenset(ordered[:SYSTEM_CORES]), frozenset(ordered[SYSTEM_CORES:]))
