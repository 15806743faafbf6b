"""Keep the maximum memory of each component while something runs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bench.measure.meter import Meter


@dataclass
class PeakMemory:
    """The maximum memory of each component in all readings."""

    by_component: dict[str, int] = field(default_factory=dict)
    """Memory in bytes by component."""

    def add(self, now: Mapping[str, int]) -> None:
        """Keep the maximum of each component."""
        for name, value in now.items():
            self.by_component[name] = max(value, self.by_component.get(name, 0))

    @asynccontextmanager
    async def watching(self, meter: Meter, seconds: float) -> AsyncIterator[None]:
        """Read the memory at regular intervals while the block runs.

        Args:
            meter: Reads the memory.
            seconds: Seconds between two readings.
        """

        async def look() -> None:
            while True:
                self.add(await meter.memory())
                await asyncio.sleep(seconds)

        looking = asyncio.create_task(look())
        try:
            yield
        finally:
            looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await looking
