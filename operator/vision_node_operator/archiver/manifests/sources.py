"""Read the images of an ImageBatch from the bucket, page by page."""

from collections.abc import AsyncIterator
from typing import Protocol

from vision_node_contract.batch_objects import MAX_CUSTOM_ID_CHARACTERS, LineError, ManifestLine
from vision_node_contract.clients.bucket import Bucket, ObjectNotFoundError
from vision_node_contract.clients.bucket_objects import StoredObject
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.models.reasons import BatchReason, Reason

from .freeze_errors import SourceRefusedError
from .line_splitter import MAX_LINE_BYTES
from .manifest_source import ManifestSource
from .upload_source import UploadSource

MAX_LIST_BYTES = 4 << 30
"""Maximum size of a list of images. A million lines may have 4 KiB each on average; more bytes are
no sensible list, and would take minutes to read."""


class Source(Protocol):
    """Where the images of an ImageBatch are."""

    place: str
    """The source, for messages."""
    skipped: int
    """Number of objects that were left out so far."""

    def pages(self) -> AsyncIterator[list[ManifestLine]]:
        """Yield all lines in the order of their indexes, some at a time."""
        ...


class PrefixSource:
    """The objects whose keys begin with a prefix.

    Only the release's own folder is read. Objects that a release without an id stored are not
    found, because their folder is that of all releases.
    """

    def __init__(self, bucket: Bucket, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = bucket.folders.inbox_key(prefix)
        self._folder = self._prefix[: self._prefix.rindex("/") + 1]
        """The prefix up to its last slash, after which the beginning of a name may follow."""
        self.place = self._prefix
        self.skipped = 0

    async def pages(self) -> AsyncIterator[list[ManifestLine]]:
        """Yield an image for each object that is neither hidden nor a folder."""
        index = 0
        try:
            async for objects in self._bucket.list_all(self._prefix):
                wanted = [it for it in objects if not self._is_skipped(it.key)]
                self.skipped += len(objects) - len(wanted)
                yield [self._line(index + place, it) for place, it in enumerate(wanted)]
                index += len(wanted)
        except ObjectNotFoundError:
            return  # the bucket refuses the prefix, so no key can begin with it

    def _is_skipped(self, key: str) -> bool:
        """Return whether the object is a folder or hidden.

        The prefix itself may name a hidden folder, because the user chose it.
        """
        rest = key.removeprefix(self._prefix)
        is_hidden = "/." in rest or (self._prefix.endswith("/") and rest.startswith("."))
        return key.endswith("/") or is_hidden

    def _line(self, index: int, found: StoredObject) -> ManifestLine:
        custom_id = found.key.removeprefix(self._folder)
        if len(custom_id) > MAX_CUSTOM_ID_CHARACTERS:
            return _too_long_name(index)

        return ManifestLine(
            index=index,
            custom_id=custom_id,
            key=found.key,
            etag=found.etag or None,
            size=found.size_bytes,
        )


def source_of(bucket: Bucket, batch: ImageBatch, max_images: int) -> Source:
    """Return the source of an ImageBatch, whose upload is complete if it has one.

    Raises:
        SourceRefusedError: The ImageBatch has no source. Its CRD refuses that.
    """
    spec = batch.spec
    if spec.prefix is not None:
        return PrefixSource(bucket, spec.prefix)
    if spec.manifest is not None:
        max_bytes = min(max_images * (MAX_LINE_BYTES + 1), MAX_LIST_BYTES)
        return ManifestSource(bucket, spec.manifest, max_bytes)
    if spec.upload is not None:
        return UploadSource(bucket, batch.metadata.uid, spec.upload)

    raise SourceRefusedError(
        BatchReason.NO_IMAGES,
        "none of spec.prefix, spec.manifest and spec.upload is set: create another batch",
    )


def _too_long_name(index: int) -> ManifestLine:
    error = LineError(
        reason=Reason.MANIFEST_LINE_INVALID,
        message=f"the object's name has more than {MAX_CUSTOM_ID_CHARACTERS} characters: use a "
        "list of images (spec.manifest) that gives it a customId",
    )
    # No object's customId ends with a slash, because keys that do are folders.
    return ManifestLine(index=index, custom_id=f"object-{index}/", error=error)
