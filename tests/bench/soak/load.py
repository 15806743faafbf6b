"""Submit all images of a soak test with a fixed number of clients."""

from collections.abc import Iterable, Iterator

from bench import load
from bench.soak.client import SoakClient


async def run(client: SoakClient, numbers: Iterable[int], *, clients: int) -> None:
    """Process the images with these numbers.

    Each client starts its next image when its previous one has ended.

    Raises:
        BenchError: There were too many problems.
    """
    shared = iter(numbers)
    await load.together(_process(client, shared) for _ in range(clients))


async def _process(client: SoakClient, numbers: Iterator[int]) -> None:
    for number in numbers:
        await client.process(number)
