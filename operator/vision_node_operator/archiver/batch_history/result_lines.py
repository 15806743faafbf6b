"""Make rows of the lines of an object with results."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from vision_node_contract.batch_objects import ResultLine
from vision_node_contract.history.records import CONTENT_ERRORS, MAX_ROW_RESULT_BYTES, ImageRow
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.ranges import RangeSet

log = logging.getLogger(__name__)

MAX_LINE_BYTES = 4 << 20
"""Maximum length of a line in bytes. Workers start no more images once a shard's results have
8 MiB, and results are usually about a kilobyte."""

MAX_LOGGED = 5
"""Maximum number of unreadable lines to log per object. The total is always logged."""


class ResultLines:
    """Reads an object with results that arrives in pieces.

    Args:
        batch: The ImageBatch.
        key: The object's key, for messages.
        ended: The indexes that are counted for the object. A worker may write lines for others,
            which are unreadable: they belong to another object.
        at: The time of archiving.
    """

    def __init__(self, batch: ImageBatch, key: str, ended: RangeSet, at: datetime) -> None:
        self._batch = batch
        self._key = key
        self._ended = ended
        self._at = at
        self._rest = bytearray()
        self._is_too_long = False
        self.unreadable = 0
        """Number of lines that could not be read."""

    def feed(self, piece: bytes) -> Iterator[ImageRow]:
        """Yield the rows of the lines that end in this piece."""
        start = 0
        while (end := piece.find(b"\n", start)) >= 0:
            yield from self._end(piece[start:end])
            start = end + 1

        if not self._is_too_long:
            self._rest += piece[start:]
        if len(self._rest) > MAX_LINE_BYTES:
            self._is_too_long = True
            self._rest.clear()

    def finish(self) -> Iterator[ImageRow]:
        """Yield the row of the last line, if it has no line end; log how many are unreadable."""
        if self._rest or self._is_too_long:
            yield from self._end(b"")

        if self.unreadable:
            log.warning(
                "ImageBatch %s: %d lines of %s can't be read, so these images can't be found in "
                "the history",
                *(self._batch.metadata.name, self.unreadable, self._key),
            )

    def _end(self, part: bytes) -> Iterator[ImageRow]:
        line = bytes(self._rest) + part if self._rest else part
        is_too_long = self._is_too_long or len(line) > MAX_LINE_BYTES
        self._rest.clear()
        self._is_too_long = False
        if is_too_long:
            self._skip(f"it has more than {MAX_LINE_BYTES} bytes")
        elif line and not line.isspace():
            yield from self._row(line)

    def _row(self, line: bytes) -> Iterator[ImageRow]:
        try:
            found = ResultLine.model_validate_json(line)
        except ValueError as error:
            self._skip(str(error))
            return

        if found.index not in self._ended:
            self._skip(f"index {found.index} is not among those that the operator counted")
        elif (found.result is None) == (found.error is None):
            self._skip(f"index {found.index} must have either a result or an error")
        else:
            try:
                yield _small(ImageRow.of_line(self._batch, found, self._at))
            except CONTENT_ERRORS as error:
                self._skip(f"the content of index {found.index}: {type(error).__name__}")

    def _skip(self, why: str) -> None:
        self.unreadable += 1
        if self.unreadable <= MAX_LOGGED:
            name = self._batch.metadata.name
            log.warning(
                "ImageBatch %s: skipping a line of %s: %s", name, self._key, ascii(why)[1:513]
            )


def _small(row: ImageRow) -> ImageRow:
    """Return the row without its result if that is too large."""
    size = len(row.result or "")
    if size <= MAX_ROW_RESULT_BYTES:
        return row

    why = f"the result has {size} bytes, so it is only in the bucket"
    return replace(row, result=None, archive_error=why)
