"""Read the object in the bucket that is the image of a job."""

from vision_node_contract.bucket_keys import INBOX_PREFIX, BucketFolders
from vision_node_contract.clients.bucket import (
    Bucket,
    ObjectNotFoundError,
    StoreUnavailableError,
)
from vision_node_contract.models.reasons import Reason


def keys_of(key: str, folders: BucketFolders) -> list[str]:
    """Return where the image with this key in `spec.image` may be, as workers look for it.

    Whoever may create ImageJobs can name any key. Only the release's own images are read.
    """
    if folders.is_own_image(key):
        return [key]
    if not key.startswith(INBOX_PREFIX):
        return []
    if key.startswith(folders.inbox):
        return [key]

    older = folders.older_inbox_key(key.removeprefix(INBOX_PREFIX))
    return [folders.inbox_key(key), *([older] if older else [])]


async def read_image(bucket: Bucket, key: str, max_bytes: int) -> bytes | None:
    """Return up to `max_bytes` + 1 bytes of a job's image; None if it does not exist.

    Args:
        bucket: The bucket.
        key: The key in the ImageJob's `spec.image`.
        max_bytes: Maximum size in bytes. The extra byte reveals an image that is larger.

    Raises:
        StoreUnavailableError: The bucket did not respond or refused the request.
    """
    folders = bucket.folders
    for place in keys_of(key, folders):
        try:
            return await bucket.get(place, max_bytes)
        except ObjectNotFoundError:
            continue
        except StoreUnavailableError as error:
            # A policy may allow only the release's own folders. Others have no image of it.
            is_own = place.startswith((folders.images, folders.inbox))
            if error.reason != Reason.STORAGE_DENIED or is_own:
                raise

    return None
