"""Split results that arrive in pieces into blocks of whole lines."""

from collections.abc import Iterator

from ...web.json_lines import json_line
from .result_line import head_of

BLOCK_BYTES = 64 << 10
"""Usual size of a block in bytes. Other requests are served between two blocks, and making rows of
CSV of one takes about a millisecond."""

MAX_LINE_BYTES = 4 << 20
"""Maximum length of a line in bytes. Results are usually about a kilobyte."""

UNREADABLE = "ResultUnreadable"


class LineBlocks:
    """Splits one part of the results. Each line of it ends with a newline."""

    def __init__(self) -> None:
        self._rest = b""
        """The beginning of a line whose end has not arrived."""
        self._skips = False
        """Whether the current line is too long."""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield the lines that end in this piece, in blocks.

        A line that is too long becomes a line with an error.
        """
        start = 0
        if self._skips:
            start = piece.find(b"\n") + 1
            if not start:
                return
            self._skips = False

        data = self._rest + piece if self._rest else piece
        while end := _end_of_block(data, start):
            yield data[start:end]
            start = end

        self._rest = data[start:]
        if len(self._rest) > MAX_LINE_BYTES:
            yield _too_long(self._rest)
            self._rest, self._skips = b"", True


def _end_of_block(data: bytes, start: int) -> int:
    """Return where the block ends that begins at `start`; 0 if its line has no end."""
    end = data.rfind(b"\n", start, start + BLOCK_BYTES) + 1
    return end or data.find(b"\n", start) + 1


def _too_long(line: bytes) -> bytes:
    message = (
        f"The result has more than {MAX_LINE_BYTES} bytes. It is sent only with format=jsonl and "
        "without phase."
    )
    found = head_of(line)
    known = {"index": found.index, "customId": found.custom_id} if found else {}
    return json_line({**known, "error": {"reason": UNREADABLE, "message": message}})
