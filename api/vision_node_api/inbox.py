"""`inbox NAME < image`: put an object under inbox/, for ImageJobs that are made with kubectl.

    kubectl exec -i deploy/vision-node-api -- inbox photo.jpg < photo.jpg

It runs where the bucket is reached already, so that whoever has kubectl needs no S3 client and no
credentials.
"""

import argparse
import asyncio
import re
import sys

from vision_node_contract.objects import INBOX_PREFIX
from vision_node_contract.store import ObjectNotFoundError, Store, StoreSettings, StoreUnavailableError

from .intake import Limits, inspect
from .problems import Problem
from .settings import Settings

NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
"""What the CRD allows in a key, on one level and without dots in a row."""


def main() -> int:
    """Read the image from standard input; print its key. Return the exit status."""
    try:
        return put()
    except (Problem, StoreUnavailableError, ObjectNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        drain()


def put() -> int:
    """Store what comes in, if it is an image.

    Raises:
        Problem: it is none, or too large; or the name won't do.
        StoreUnavailableError, ObjectNotFoundError: it could not be stored.
    """
    parser = argparse.ArgumentParser(prog="inbox", description="Put an image under inbox/.")
    parser.add_argument("name", help="what to call it, e.g. photo.jpg")
    name = parser.parse_args().name.removeprefix(INBOX_PREFIX)
    if not NAME.fullmatch(name) or ".." in name:
        raise Problem(
            422, "InvalidName", f"{name!r} won't do: letters, digits, '.', '_' and '-', e.g. photo.jpg"
        )
    settings = Settings.from_env()
    data = sys.stdin.buffer.read(settings.max_image_bytes + 1)
    if not data:
        raise Problem(
            400, "EmptyImage", "nothing came on standard input: kubectl exec -i … inbox photo.jpg < photo.jpg"
        )
    limits = Limits(settings.max_image_bytes, settings.max_image_pixels)
    image = inspect(data, None, INBOX_PREFIX + name, limits)
    asyncio.run(_put(image.key, data, image.media_type or ""))
    print(image.key)
    return 0


async def _put(key: str, data: bytes, media_type: str) -> None:
    async with Store.open(StoreSettings.from_env()) as store:
        await store.put(key, data, media_type)


def drain() -> None:
    """Read what is left of the input: kubectl exec waits for ever for somebody to take it."""
    while sys.stdin.buffer.read(1 << 20):
        pass
