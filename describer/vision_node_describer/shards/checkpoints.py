"""Store each provider's answer in the bucket immediately, so that none is paid for twice."""

from vision_node_contract.batch_objects import BatchFolder, ManifestLine, ResultLine
from vision_node_contract.clients.bucket import Bucket, ObjectNotFoundError
from vision_node_contract.clients.bucket_objects import MAX_KEYS
from vision_node_contract.ranges import Range

MAX_LINE_BYTES = 4 << 20
"""Maximum size of a checkpoint that is used. Results have a few kilobytes."""

MEDIA_TYPE = "application/json"


class Checkpoints:
    """The checkpoints of a shard's images."""

    def __init__(self, bucket: Bucket, folder: BatchFolder) -> None:
        self._bucket = bucket
        self._folder = folder
        self._keys: set[str] = set()
        """Keys of the checkpoints that earlier workers stored."""

    async def find(self, indexes: Range) -> None:
        """List the checkpoints of the images.

        Raises:
            StoreUnavailableError: The bucket can't be reached.
        """
        last = self._folder.checkpoint(indexes.last)
        after = self._folder.checkpoint(indexes.first - 1) if indexes.first else ""

        while True:
            page = await self._bucket.list_page(self._folder.checkpoints, after, MAX_KEYS)
            keys = [it.key for it in page.objects]
            self._keys.update(key for key in keys if key <= last)
            if page.is_last or not keys or not after < keys[-1] < last:
                return
            after = keys[-1]

    async def load(self, line: ManifestLine) -> tuple[bytes, ResultLine] | None:
        """Return an image's checkpoint; None if there is none or if it is not valid.

        Raises:
            StoreUnavailableError: The bucket can't be reached.
        """
        key = self._folder.checkpoint(line.index)
        if key not in self._keys:
            return None

        try:
            data = await self._bucket.get(key, MAX_LINE_BYTES)
            found = ResultLine.model_validate_json(data)
        except (ObjectNotFoundError, ValueError):
            return None

        same_image = (found.index, found.custom_id) == (line.index, line.custom_id)
        has_outcome = (found.result is None) != (found.error is None)
        return (data, found) if same_image and has_outcome and b"\n" not in data else None

    async def save(self, index: int, data: bytes) -> None:
        """Store the line of an image.

        Raises:
            StoreUnavailableError: The line may not have been stored.
        """
        await self._bucket.put(self._folder.checkpoint(index), data, MEDIA_TYPE)
