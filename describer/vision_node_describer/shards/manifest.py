"""Read lines of frozen manifests from the bucket."""

import asyncio

from vision_node_contract.batch_objects import CHUNK_LINES, LineError, ManifestLine, chunk_key
from vision_node_contract.clients.bucket import Bucket, ObjectNotFoundError
from vision_node_contract.models.reasons import Reason

from ..image_task import ImagePart
from ..memory import Budget

MAX_CHUNKS = 4
"""Maximum number of chunks in memory. A shard uses at most two, if it begins in one and ends in the
next; the others are for the next shards."""

MAX_CHUNK_BYTES = 20 << 20
"""Maximum size of a part of a manifest. A thousand lines of 16 KiB, which is the maximum, have up
to 17.5 MB as the archiver writes them; usual lines have 150 kB together."""

USUAL_CHUNK_BYTES = 1 << 20
"""Size up to which a part is read without reserving memory. A larger part is fetched again, with
memory for it from the budget for files, since it would exceed what is set aside for the process."""

CHUNK_COPIES = 2
"""Number of copies of a part in memory while it is read: its pieces and the whole part, and then
the whole part and its lines."""

KEPT_BYTES = 4 << 20
"""Maximum size of the parts that are kept in memory besides the one that was read last. Together
with the largest part, the results, and the process itself, they take up PROCESS_BYTES."""


class ManifestUnreadableError(Exception):
    """A chunk of a frozen manifest is missing or damaged."""


class ManifestReader:
    """Reads manifests line by line, and keeps recently read chunks in memory."""

    def __init__(self, bucket: Bucket, files: Budget) -> None:
        self._bucket = bucket
        self._files = files
        self._chunks: dict[str, list[bytes]] = {}
        self._sizes: dict[str, int] = {}
        self._reading = asyncio.Lock()
        """Held while a chunk is read, so that each chunk is read once."""

    async def line(self, folder: str, index: int) -> ManifestLine:
        """Return the line of an image.

        An invalid line becomes a line with an error.

        Raises:
            ManifestUnreadableError: The line is missing or belongs to another image.
            StoreUnavailableError: The bucket can't be reached.
        """
        key = chunk_key(folder, index)
        lines = self._chunks.get(key) or await self._read(key)

        position = index % CHUNK_LINES
        if position >= len(lines):
            raise ManifestUnreadableError(f"{key} in the bucket has no line for image {index}")

        line = _parse(lines[position], index)
        if line.index != index:
            raise ManifestUnreadableError(
                f"{key} in the bucket has image {line.index} instead of image {index}"
            )

        return line

    async def _read(self, key: str) -> list[bytes]:
        async with self._reading:
            if key in self._chunks:
                return self._chunks[key]

            usual_bytes = min(USUAL_CHUNK_BYTES, MAX_CHUNK_BYTES)
            data = await self._get(key, usual_bytes)
            if len(data) <= usual_bytes:
                return self._keep(key, data)

            del data
            wanted = min(CHUNK_COPIES * MAX_CHUNK_BYTES, self._files.total)
            async with self._files.reserve(wanted):
                return self._keep(key, await self._get(key, MAX_CHUNK_BYTES))

    async def _get(self, key: str, max_bytes: int) -> bytes:
        """Return up to `max_bytes` bytes of a part, and one more if it is longer."""
        try:
            return await self._bucket.get(key, max_bytes)
        except ObjectNotFoundError as error:
            message = (
                f"{key}, a part of the batch's manifest, is missing in the bucket; "
                "create the batch again"
            )
            raise ManifestUnreadableError(message) from error

    def _keep(self, key: str, data: bytes) -> list[bytes]:
        """Return the lines of a part, and keep them."""
        if len(data) > MAX_CHUNK_BYTES:
            raise ManifestUnreadableError(f"{key} has more than {MAX_CHUNK_BYTES} bytes")

        self._evict()
        # Not splitlines(), which also splits at other characters than the line feed.
        lines = data.split(b"\n")
        if not lines[-1]:
            lines.pop()

        self._chunks[key] = lines
        self._sizes[key] = len(data)
        return lines

    def _evict(self) -> None:
        while len(self._chunks) >= MAX_CHUNKS or sum(self._sizes.values()) > KEPT_BYTES:
            oldest = next(iter(self._chunks))
            del self._chunks[oldest], self._sizes[oldest]


def _parse(line: bytes, index: int) -> ManifestLine:
    try:
        found = ManifestLine.model_validate_json(line)
        ImagePart.of(found)  # raises ValueError if the line names an impossible part
    except ValueError:
        message = "the line in the batch's frozen manifest is not valid; create the batch again"
        error = LineError(reason=Reason.MANIFEST_LINE_INVALID, message=message)
        return ManifestLine(index=index, custom_id=str(index), error=error)

    return found
