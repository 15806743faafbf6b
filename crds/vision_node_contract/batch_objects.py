"""The objects of an ImageBatch in the bucket: their keys, and the lines that they consist of.

All of them are in JSON Lines, below batches/<id>/<uid of the ImageBatch>/:

- m<attempt>/<first> is a chunk of the frozen manifest: up to CHUNK_LINES lines, starting with the
  index `first`. The archiver writes chunks, and they are valid only once the ImageBatch's status
  names their folder.
- results/<first>-<uid of the shard>-<attempt> has one line for each image of a shard that has a
  result or an error. Workers write it.
- checkpoints/<index> is the line of one image, written as soon as a provider has answered, so that
  no answer is paid for twice. Workers write it.
- u/… are uploaded images, and lists of them (see batch_uploads.py). The API writes them.
- index/<n> lists results, numbered from 0. The operator writes it, and never changes it. Only those
  that the ImageBatch's status counts are valid.

Indexes and <n> have nine digits, so that keys sort in their order.
"""

from typing import Any, Literal, Self

from pydantic import Field, JsonValue

from .bucket_keys import BucketFolders
from .models.description import Options, Usage
from .models.imagejob import FailedImage, KubeModel
from .models.shard import Shard
from .ranges import Range, RangeSet, parse_ranges

CHUNK_LINES = 1000
"""Number of lines in each object of a frozen manifest, except the last one. Such an object has
about 150 kB, so a worker can keep a few of them in memory."""

MAX_CUSTOM_ID_CHARACTERS = 512
"""Maximum length of a customId. By default, it is part of the key, and keys have at most 512
characters."""

DIGITS = 9
"""Number of digits of an index in a key."""


class BatchFolder:
    """The keys of one ImageBatch's objects."""

    def __init__(self, folders: BucketFolders, uid: str) -> None:
        self.prefix = f"{folders.batches}{uid}/"
        """Prefix of the keys of all objects of the batch."""

    def manifest(self, attempt: int) -> str:
        """Return the folder of a frozen manifest. Each attempt at freezing has its own folder."""
        return f"{self.prefix}m{attempt}/"

    def results(self, first: int, shard_uid: str, attempt: int) -> str:
        """Return the key of a shard's results.

        Each attempt has its own key, so a late attempt can't overwrite another attempt's results.
        """
        return f"{self.prefix}results/{first:0{DIGITS}}-{shard_uid}-{attempt}"

    @property
    def checkpoints(self) -> str:
        """Prefix of the keys of checkpoints."""
        return f"{self.prefix}checkpoints/"

    def checkpoint(self, index: int) -> str:
        """Return the key of an image's checkpoint."""
        return f"{self.checkpoints}{index:0{DIGITS}}"

    def index(self, number: int) -> str:
        """Return the key of the index object with this number."""
        return f"{self.prefix}index/{number:0{DIGITS}}"


def chunk_key(folder: str, index: int) -> str:
    """Return the key of the chunk of a frozen manifest that has the line with this index."""
    return f"{folder}{index // CHUNK_LINES * CHUNK_LINES:0{DIGITS}}"


class LineError(KubeModel):
    """Why an image has no result."""

    reason: str
    message: str


class ZipMember(KubeModel):
    """How an image is stored in a zip file (APPNOTE.TXT, section 4.3)."""

    method: Literal[0, 8]
    """0 if it is stored as it is, 8 if it is deflated."""
    compressed_size: int
    """Number of bytes of the stored or deflated data, without the local header before it."""
    crc32: int
    """CRC-32 of the image."""


class ManifestLine(KubeModel):
    """An image in a frozen manifest.

    A line with an error names no image, and the error is the image's outcome.

    If `offset` is set, the image is a part of the object: the `length` bytes that begin there. If
    `zip` is set, too, these bytes begin with a local file header of a zip file.
    """

    index: int
    custom_id: str
    key: str | None = None
    etag: str | None = None
    """The object's ETag, with its quotes, when it was listed; None if it is unknown."""
    size: int | None = None
    """The image's size in bytes when it was listed; None if it is unknown."""
    offset: int | None = None
    length: int | None = None
    zip: ZipMember | None = None
    options: Options | None = None
    """The image's own options, which override those of the batch one by one."""
    error: LineError | None = None


class ResultLine(KubeModel):
    """The outcome of one image: exactly one of `result` and `error` is set."""

    index: int
    custom_id: str
    key: str | None = None
    size: int | None = None
    """The image's size in bytes when it was listed; None if it is unknown."""
    result: dict[str, JsonValue] | None = None
    error: LineError | None = None


class IndexEntry(KubeModel):
    """What one shard contributes to its batch: a line of an index object.

    If the only image of the shard killed or blocked its worker, there are no results, and `error`
    says why the image failed.
    """

    shard: str
    ranges: str = ""
    """Indexes of the images that are counted, as text."""
    done: int = 0
    failed: int = 0
    suspects: str = ""
    """Indexes of images that are not counted and must be tried alone, as text."""
    key: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    usage: Usage | None = None
    failures: list[FailedImage] = Field(default_factory=list)
    error: LineError | None = None

    @classmethod
    def of(cls, shard: Shard) -> Self:
        """Return what a finished shard contributes."""
        outcome, error = shard.status.images, shard.status.error
        common: dict[str, Any] = {"shard": shard.metadata.name, "ranges": str(shard.ended)}
        if outcome is None:
            if not shard.ended or error is None:
                return cls(**common, failed=len(shard.ended))

            why = LineError(reason=error.reason, message=error.message)
            return cls(**common, failed=1, error=why)

        return cls(
            **common,
            done=outcome.done,
            failed=outcome.failed,
            suspects=outcome.suspects or "",
            key=outcome.key,
            sha256=outcome.sha256,
            size_bytes=outcome.size_bytes,
            usage=outcome.usage,
            failures=outcome.failures,
        )

    @property
    def ended(self) -> RangeSet:
        """The indexes of the images that are counted."""
        return RangeSet.parse(self.ranges)

    @property
    def suspect_ranges(self) -> list[Range]:
        """The ranges of images that must be tried alone."""
        return parse_ranges(self.suspects)
