"""Write the lines of a frozen manifest to the bucket, in objects of 1,000 lines."""

import hashlib
from types import TracebackType
from typing import Self

from vision_node_contract.background_writes import BackgroundWrites
from vision_node_contract.batch_objects import CHUNK_LINES, ManifestLine, chunk_key
from vision_node_contract.clients.bucket import Bucket, ObjectChangedError
from vision_node_contract.models.imagebatch import FrozenManifest

from .freeze_errors import AttemptLostError

MAX_WRITES = 4
"""Maximum number of simultaneous writes of one manifest. More would only wait in the bucket
and use memory: each has about 150 kB."""

MEDIA_TYPE = "application/x-ndjson"
"""Content-Type of the objects. Each is in JSON Lines."""


class ChunkWriter:
    """Collects lines, and writes each thousand of them while the next ones are read.

    No object is ever overwritten. The first object is stored before the others. If two archivers
    use the same folder, only one of them can store it.
    """

    def __init__(self, bucket: Bucket, folder: str) -> None:
        self.folder = folder
        self.images = 0
        """Number of lines so far."""
        self.owns_folder = False
        """Whether the first object has been stored, so that no other archiver uses the folder."""
        self._bucket = bucket
        self._lines: list[bytes] = []
        self._digest = hashlib.sha256()
        self._writes = BackgroundWrites()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End all writes, so that none happens after the block."""
        await self._writes.cancel()

    async def add(self, line: ManifestLine) -> None:
        """Add a line, whose index must be the number of lines before it.

        Raises:
            AttemptLostError: The folder has objects of another attempt.
            StoreUnavailableError: The bucket did not respond or refused a write.
        """
        self._lines.append(line.model_dump_json(by_alias=True, exclude_none=True).encode())
        self.images += 1
        if len(self._lines) == CHUNK_LINES:
            await self._write()

    async def finish(self, skipped: int) -> FrozenManifest:
        """Wait until all lines are stored, and return their entry for the ImageBatch's status.

        Raises:
            AttemptLostError: The folder has objects of another attempt.
            StoreUnavailableError: The bucket did not respond or refused a write.
        """
        if self._lines:
            await self._write()
        await self._writes.wait_until(0)

        return FrozenManifest(
            folder=self.folder,
            images=self.images,
            sha256=self._digest.hexdigest(),
            skipped=skipped or None,
        )

    async def _write(self) -> None:
        data = b"".join(line + b"\n" for line in self._lines)
        key = chunk_key(self.folder, self.images - 1)
        self._lines.clear()
        self._digest.update(data)

        if not self.owns_folder:
            await self._put(key, data)
            self.owns_folder = True
            return

        await self._writes.wait_until(MAX_WRITES - 1)
        self._writes.start(self._put(key, data))

    async def _put(self, key: str, data: bytes) -> None:
        digest = hashlib.sha256(data).hexdigest()
        try:
            await self._bucket.put_if(key, data, MEDIA_TYPE, digest, etag=None)
        except ObjectChangedError as error:
            raise AttemptLostError(f"{key} exists already") from error
