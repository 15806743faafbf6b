"""`inbox NAME < image`: put an object under inbox/, for ImageJobs that are made with kubectl.

    kubectl exec -i deploy/vision-node-api -- inbox photo.jpg < photo.jpg
    tar c *.jpg | kubectl exec -i deploy/vision-node-api -- inbox --tar holiday

It runs where the bucket is reached already, so that whoever has kubectl needs no S3 client and no
credentials.
"""

import argparse
import asyncio
import re
import sys
import tarfile
from collections.abc import Iterator
from typing import IO

from vision_node_contract.objects import INBOX_PREFIX
from vision_node_contract.store import ObjectNotFoundError, Store, StoreSettings, StoreUnavailableError

from .intake import Limits, inspect
from .problems import Problem
from .settings import Settings

NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
"""What the CRD allows in a key, on one level and without dots in a row."""

Upload = tuple[str, IO[bytes]]
"""The name under inbox/, and what is to be stored there."""


def main() -> int:
    """Store what comes on standard input, print the keys, and return 1 if anything was refused, else 0."""
    try:
        return asyncio.run(put(_uploads()))
    except (StoreUnavailableError, ObjectNotFoundError, tarfile.TarError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        drain()


def _uploads() -> Iterator[Upload]:
    """Return what the command line says is on standard input."""
    parser = argparse.ArgumentParser(prog="inbox", description="Put images under inbox/.")
    parser.add_argument("name", help="what to call the image, e.g. photo.jpg; with --tar, the folder")
    parser.add_argument("--tar", action="store_true", help="standard input is a tar archive of images")
    arguments = parser.parse_args()
    return _members(arguments.name) if arguments.tar else iter([(arguments.name, sys.stdin.buffer)])


async def put(uploads: Iterator[Upload]) -> int:
    """Store each upload that is an image, and print its key; print why the others are refused.

    Returns:
        1 if one was refused, else 0.

    Raises:
        StoreUnavailableError, ObjectNotFoundError: one could not be stored; the ones before are.
    """
    settings, refused = Settings.from_env(), False
    limits = Limits(settings.max_image_bytes, settings.max_image_pixels)
    async with Store.open(StoreSettings.from_env()) as store:
        for name, file in uploads:
            try:
                print(await _put(store, name, file, limits), flush=True)
            except Problem as problem:
                print(f"error: {name}: {problem}", file=sys.stderr, flush=True)
                refused = True
    return int(refused)


async def _put(store: Store, name: str, file: IO[bytes], limits: Limits) -> str:
    """Store one image; return its key.

    Raises:
        Problem: it is none, or too large; or the name can't be used.
    """
    key = INBOX_PREFIX + _checked(name)
    data = file.read(limits.image_bytes + 1)
    if not data:
        detail = "no bytes came on standard input: kubectl exec -i … inbox photo.jpg < photo.jpg"
        raise Problem(400, "EmptyImage", detail)
    image = inspect(data, None, key, limits)
    await store.put(key, data, image.media_type or "", image.sha256)
    return key


def _checked(name: str) -> str:
    """Return the name without `inbox/` before it.

    Raises:
        Problem: 422 InvalidName.
    """
    path = name.removeprefix(INBOX_PREFIX)
    if all(NAME.fullmatch(part) and ".." not in part for part in path.split("/")):
        return path
    detail = f"{name!r} can't be used: letters, digits, '.', '_' and '-', e.g. photo.jpg or holiday/photo.jpg"
    raise Problem(422, "InvalidName", detail)


def _members(folder: str) -> Iterator[Upload]:
    """Yield the regular files of the tar archive on standard input, without writing any to a disk."""
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if content:
                yield f"{folder.rstrip('/')}/{member.name.removeprefix('./')}", content
            archive.members = []  # type: ignore[attr-defined] # it would remember every one


def drain() -> None:
    """Read what is left of the input: kubectl exec waits for ever for it to be taken."""
    while sys.stdin.buffer.read(1 << 20):
        pass
