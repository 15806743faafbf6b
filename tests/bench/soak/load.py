"""Submit all images of a soak test over a fixed number of clients."""

from collections.abc import Iterator

from bench import load
from bench.soak.client import SoakClient


async def run(client: SoakClient, *, images: int, clients: int) -> None:
    """Process the images. Each client starts its next image when its previous one has ended.

    No job id is kept after its job has ended, so the memory of this process does not grow.

    Raises:
        BenchError: There were too many problems.
    """
    numbers = iter(range(1, images + 1))
    await load.together(_process(client, numbers) for _ in range(clients))


async def _process(client: SoakClient, numbers: Iterator[int]) -> None:
    for number in numbers:
        await client.process(number)
