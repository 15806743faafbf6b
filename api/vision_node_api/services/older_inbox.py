"""Find the images that older releases stored in the inbox, without the id of a release."""

import time

from vision_node_contract.clients.bucket import Bucket, ObjectNotFoundError, StoreUnavailableError
from vision_node_contract.clients.bucket_objects import StoredObject
from vision_node_contract.models.reasons import Reason

REFUSAL_SECONDS = 3600.0
"""How long to send no further requests after the bucket has refused one. A policy that allows only
the release's own folders refuses all of them, and each refusal would be a warning in the log."""


class OlderInbox:
    """Finds images of older releases by name."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._refused_until = 0.0
        """Monotonic time, in seconds."""

    async def find(self, name: str) -> StoredObject | None:
        """Return the image's metadata; None if there is no such image or it can't be read.

        Raises:
            StoreUnavailableError: the bucket did not respond, or could not answer.
        """
        key = self._bucket.folders.older_inbox_key(name)
        if key is None or time.monotonic() < self._refused_until:
            return None

        try:
            return await self._bucket.stat(key)
        except ObjectNotFoundError:
            return None
        except StoreUnavailableError as error:
            if error.reason != Reason.STORAGE_DENIED:
                raise
            self._refused_until = time.monotonic() + REFUSAL_SECONDS
            return None
