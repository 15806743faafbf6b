"""Read lines of frozen manifests from the bucket."""

import asyncio

from vision_node_contract.batch_objects import CHUNK_LINES, LineError, ManifestLine, chunk_key
from vision_node_contract.clients.bucket import Bucket, ObjectNotFoundError
from vision_node_contract.models.reasons import Reason

MAX_CHUNKS = 4
"""Maximum number of chunks in memory. A shard uses at most two, if it begins in one and ends in the
next; the others are for the next shards."""

MAX_CHUNK_BYTES = 16 << 20
"""Maximum size of a chunk of a manifest. A thousand lines with prompts of the maximum length in a
script with three bytes per character have 13 MB; a usual chunk has 150 kB."""

KEPT_BYTES = 8 << 20
"""Maximum total size of the chunks that are kept in memory when another one is read."""


class ManifestUnreadableError(Exception):
    """A chunk of a frozen manifest is missing or damaged."""


class ManifestReader:
    """Reads manifests line by line, and keeps recently read chunks in memory."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
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

            try:
                data = await self._bucket.get(key, MAX_CHUNK_BYTES)
            except ObjectNotFoundError as error:
                message = f"{key}, a chunk of the batch's frozen manifest, is missing in the bucket"
                raise ManifestUnreadableError(message) from error
            if len(data) > MAX_CHUNK_BYTES:
                raise ManifestUnreadableError(f"{key} has more than {MAX_CHUNK_BYTES} bytes")

            self._make_room()
            # Not splitlines(), which also splits at characters other than the line feed.
            self._chunks[key] = lines = data.removesuffix(b"\n").split(b"\n")
            self._sizes[key] = len(data)
            return lines

    def _make_room(self) -> None:
        while len(self._chunks) >= MAX_CHUNKS or sum(self._sizes.values()) > KEPT_BYTES:
            oldest = next(iter(self._chunks))
            del self._chunks[oldest], self._sizes[oldest]


def _parse(line: bytes, index: int) -> ManifestLine:
    try:
        return ManifestLine.model_validate_json(line)
    except ValueError:
        message = "the line in the batch's frozen manifest is not valid; create the batch again"
        error = LineError(reason=Reason.MANIFEST_LINE_INVALID, message=message)
        return ManifestLine(index=index, custom_id=str(index), error=error)
