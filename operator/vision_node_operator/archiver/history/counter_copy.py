"""Keep a copy of the history's row counter in the bucket.

If the database is restored from a backup, its counter is lower than the copy.
"""

import json
from dataclasses import asdict, dataclass

from vision_node_contract.clients.bucket import Bucket, ObjectNotFoundError

MAX_BYTES = 1024
"""Maximum size of the object in bytes. It has about a hundred."""


@dataclass(frozen=True, slots=True)
class CounterCopy:
    """The content of the object owners/<id>.history."""

    written: int = 0
    """Number of rows that were ever written to the database."""
    is_database_restored: bool = False
    """Whether the database was once found with fewer rows, and no person has confirmed that yet.
    The counter alone would not tell: archiving goes on, so it would grow beyond the copy."""
    lost_version: int = 0
    """The resourceVersion that the cluster once had, if it was found with a lower one, and no
    person has confirmed that yet; otherwise 0."""


async def read_copy(bucket: Bucket) -> CounterCopy:
    """Return the copy. An object that can't be parsed counts as a restored database.

    Raises:
        StoreUnavailableError: The bucket did not respond or refused the request.
    """
    try:
        data = await bucket.get(key_of(bucket), MAX_BYTES)
    except ObjectNotFoundError:
        return CounterCopy()

    try:
        match json.loads(data):
            case {"written": int(written), **others}:
                lost = others.get("lost_version", 0)
                is_restored = others.get("is_database_restored") is True
                return CounterCopy(written, is_restored, lost if isinstance(lost, int) else 0)
    except ValueError:
        return CounterCopy(is_database_restored=True)

    return CounterCopy(is_database_restored=True)


async def exists(bucket: Bucket) -> bool:
    """Return whether there is a copy. If so, the release has a database, or had one.

    Raises:
        StoreUnavailableError: The bucket did not respond or refused the request.
    """
    if bucket.folders.marker is None:
        return False

    try:
        await bucket.get(key_of(bucket), MAX_BYTES)
    except ObjectNotFoundError:
        return False

    return True


async def write_copy(bucket: Bucket, copy: CounterCopy) -> None:
    """Store the copy.

    Raises:
        StoreUnavailableError: The copy may not have been stored.
    """
    await bucket.put(key_of(bucket), json.dumps(asdict(copy)).encode(), "application/json")


def key_of(bucket: Bucket) -> str:
    """Return the key of the copy."""
    if bucket.folders.marker is None:
        raise ValueError("a release without an id has no history")

    return f"{bucket.folders.marker}.history"
