"""Store the same photographs in the bucket and on the disk of the Celery system."""

import asyncio
import hashlib
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vision_node_contract.clients.bucket import Bucket

from bench.load import together
from bench.measure.pictures_1080p import Picture

JPEG, JSON_LINES = "image/jpeg", "application/jsonl"

UPLOADS = 8
"""Number of simultaneous uploads."""


@dataclass(frozen=True, slots=True)
class Photographs:
    """Photographs that both systems can read."""

    prefix: str
    """Prefix of the keys. No other objects have it."""
    keys: Sequence[str]
    """Keys of the objects in the bucket."""
    files: Sequence[str]
    """Paths of the files on the Celery system's disk, in the same order."""


async def prepare(
    bucket: Bucket, prefix: str, folder: Path, pictures: Sequence[Picture], images: int
) -> Photographs:
    """Store the pictures, repeatedly, as the given number of objects and files."""
    prefix = f"{prefix}{images}/"
    keys = await store(bucket, prefix, pictures, images)
    files = await asyncio.to_thread(write, folder / str(images), pictures, images)
    return Photographs(prefix, keys, files)


async def store(bucket: Bucket, prefix: str, pictures: Sequence[Picture], images: int) -> list[str]:
    """Store the pictures in the bucket below the prefix, and return the keys.

    Objects that an earlier run has stored are kept.
    """
    sizes = {it.key: it.size_bytes async for page in bucket.list_all(prefix) for it in page}
    planned = _planned(prefix, pictures, images)
    waiting = iter([it for it in planned if sizes.get(it[0]) != len(it[1].data)])
    digests = {id(picture): hashlib.sha256(picture.data).hexdigest() for picture in pictures}

    async def upload(mine: Iterator[tuple[str, Picture]]) -> None:
        for key, picture in mine:
            await bucket.put(key, picture.data, JPEG, digests[id(picture)])

    await together(upload(waiting) for _ in range(UPLOADS))
    return [key for key, _ in planned]


def write(folder: Path, pictures: Sequence[Picture], images: int) -> list[str]:
    """Write the pictures to a folder, and return the paths."""
    folder.mkdir(parents=True)
    planned = _planned(f"{folder}/", pictures, images)
    for path, picture in planned:
        Path(path).write_bytes(picture.data)

    return [path for path, _ in planned]


def manifest(keys: Sequence[str], images: int) -> bytes:
    """Return a manifest in JSON Lines whose images use the keys in turn, each with its own id."""
    lines = (
        json.dumps({"customId": custom_id(number), "key": key}, separators=(",", ":"))
        for number, key in zip(range(images), itertools.cycle(keys), strict=False)
    )
    return "\n".join([*lines, ""]).encode()


def custom_id(number: int) -> str:
    """Return the customId of an image in a manifest."""
    return f"image-{number:07}"


def number_of(name: str) -> int:
    """Return the number of the image with this customId."""
    return int(name.removeprefix("image-"))


def _planned(prefix: str, pictures: Sequence[Picture], images: int) -> list[tuple[str, Picture]]:
    """Return the name of each image, below the prefix, and its picture."""
    return [
        (f"{prefix}{number:05}.jpg", picture)
        for number, picture in zip(range(images), itertools.cycle(pictures), strict=False)
    ]
