"""`inbox NAME < image`: put an object under inbox/, for ImageJobs that are made with kubectl.

    kubectl exec -i deploy/vision-node-api -- inbox photo.jpg < photo.jpg

It runs where the bucket is reached already, so that whoever has kubectl needs no S3 client and no
credentials.
"""

import argparse
import asyncio
import sys

from vision_node_contract.objects import INBOX_PREFIX
from vision_node_contract.store import Store, StoreSettings, StoreUnavailableError

from .intake import Limits, inspect
from .problems import Problem
from .settings import Settings


def main() -> int:
    """Read the image from standard input; print its key. Return the exit status."""
    parser = argparse.ArgumentParser(prog="inbox", description="Put an image under inbox/.")
    parser.add_argument("name", help="what to call it, e.g. photo.jpg")
    key = INBOX_PREFIX + parser.parse_args().name
    settings = Settings.from_env()
    data = sys.stdin.buffer.read(settings.max_image_bytes + 1)
    try:
        limits = Limits(settings.max_image_bytes, settings.max_image_pixels)
        image = inspect(data, None, key, limits)
        asyncio.run(Store(StoreSettings.from_env()).put(key, data, image.media_type or ""))
    except (Problem, StoreUnavailableError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(key)
    return 0
