"""Store a zip file of images as it arrives, and list its members by its central directory."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from vision_node_contract.batch_uploads import UploadedImage
from vision_node_contract.clients.bucket import Bucket, ObjectTooLargeError, StoreUnavailableError

from ...uploads.bulk.member_offsets import MemberOffsets
from ...uploads.bulk.refusals import Refusal
from ...uploads.bulk.zip_directory import DirectoryReader, ZipEntry
from ...uploads.bulk.zip_end import TAIL_BYTES, Directory, broken, find_directory
from ...uploads.bulk.zip_members import MemberJudge
from ...web.problems import Problem

ZIP_TYPE = "application/zip"

BLOCK_BYTES = 1 << 20
"""Number of bytes of the central directory to get at a time."""

SLICE_BYTES = 1 << 14
"""Number of bytes of the central directory to read before other tasks have a turn: up to 350
members, which take about 10 ms."""

_STARTS = (b"PK\3\4", b"PK\5\6", b"PK\6\6")
"""First bytes of a zip file: a member's local header or, if it is empty, an end record."""


@dataclass(frozen=True, slots=True)
class ZipLimits:
    """Limits of one zip file."""

    members: int
    """Maximum number of members, including those that are left out or refused."""
    image_bytes: int
    """Maximum size of an image in bytes."""


@dataclass(slots=True)
class MemberPage:
    """What some members of a zip file are, in the order of the central directory."""

    images: list[UploadedImage] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    skipped: int = 0
    """Number of hidden files, which are left out."""


async def store_zip(bucket: Bucket, chunks: AsyncIterator[bytes], key: str) -> int:
    """Store a request's body as one object, and return its size in bytes.

    At most UPLOAD_MEMORY_BYTES are in memory. If the body breaks, nothing is stored.

    Raises:
        Problem: 400 UploadBroken if the body does not begin like a zip file; 413 ZipTooLarge.
        StoreUnavailableError: The object may not have been stored.
    """
    start = b""

    async with bucket.upload(key, ZIP_TYPE) as upload:
        try:
            async for chunk in chunks:
                if upload.size < len(_STARTS[0]):
                    start += chunk[: len(_STARTS[0])]
                    require_zip(start)
                await upload.write(chunk)
            return await upload.finish()
        except ObjectTooLargeError as error:
            detail = f"The zip file has {error}. Send several smaller ones, each as a batch."
            raise Problem(413, "ZipTooLarge", detail) from error


async def list_members(
    bucket: Bucket, key: str, size: int, limits: ZipLimits
) -> AsyncIterator[MemberPage]:
    """Yield what the members of a stored zip file are. The members themselves are not read.

    The whole central directory is checked before the first page. For a million members, this takes
    about 30 MB of memory.

    Args:
        bucket: Where the zip file is stored.
        key: Its key.
        size: Its size in bytes.
        limits: The limits that apply.

    Raises:
        Problem: 400 UploadBroken; 413 DirectoryTooLarge, TooManyImages; 415 ArchiveUnsupported.
        ObjectChangedError, ObjectNotFoundError: Someone replaced or deleted the object meanwhile.
        StoreUnavailableError: The bucket did not respond or refused a request.
    """
    file = await _StoredZip.open(bucket, key, size)
    tail = await file.get(max(0, size - TAIL_BYTES), min(size, TAIL_BYTES))
    directory = find_directory(tail, size)
    _require_members(directory.entries, limits)

    offsets = MemberOffsets(directory.offset)
    members = 0
    async for entries in file.entries(directory):
        members += len(entries)
        _require_members(members, limits)
        for entry in entries:
            if entry.offset is not None:
                offsets.add(entry.offset)

    await offsets.sort()
    judge = MemberJudge(offsets, limits.image_bytes)
    async for entries in file.entries(directory):
        yield _page(judge, entries)


@dataclass(frozen=True, slots=True)
class _StoredZip:
    """A zip file in the bucket."""

    bucket: Bucket
    key: str
    etag: str

    @classmethod
    async def open(cls, bucket: Bucket, key: str, size: int) -> "_StoredZip":
        found = await bucket.stat(key)
        if found.size_bytes != size:
            raise StoreUnavailableError(
                f"storage has {found.size_bytes} of {size} bytes of {key}: check its log"
            )

        return cls(bucket, key, found.etag)

    async def get(self, first: int, size: int) -> bytes:
        if not size:
            return b""  # no range is empty

        data = await self.bucket.get_part(self.key, first, size, self.etag)
        if len(data) != size:
            raise StoreUnavailableError(
                f"storage sent {len(data)} of {size} bytes of a part of {self.key}"
            )

        return data

    async def entries(self, directory: Directory) -> AsyncIterator[list[ZipEntry]]:
        """Yield the entries of the central directory, some at a time."""
        reader = DirectoryReader(directory)
        end = directory.offset + directory.size

        for first in range(directory.offset, end, BLOCK_BYTES):
            block = await self.get(first, min(BLOCK_BYTES, end - first))
            for start in range(0, len(block), SLICE_BYTES):
                yield reader.read(block[start : start + SLICE_BYTES])
                await asyncio.sleep(0)

        reader.close()


def _page(judge: MemberJudge, entries: list[ZipEntry]) -> MemberPage:
    page, skipped_before = MemberPage(), judge.skipped

    for entry in entries:
        match judge.judge(entry):
            case UploadedImage() as image:
                page.images.append(image)
            case Refusal() as refusal:
                page.refusals.append(refusal)

    page.skipped = judge.skipped - skipped_before
    return page


def require_zip(start: bytes) -> None:
    """Refuse a body whose first bytes are not those of a zip file before all of it is stored.

    Raises:
        Problem: 400 UploadBroken.
    """
    length = len(_STARTS[0])
    if not any(it.startswith(start[:length]) for it in _STARTS):
        raise broken("The body is not a zip file.")


def _require_members(members: int, limits: ZipLimits) -> None:
    if members > limits.members:
        detail = (
            f"The zip file has {members} members or more; the limit is {limits.members}. Send "
            "several smaller ones, each as a batch."
        )
        raise Problem(413, "TooManyImages", detail)
