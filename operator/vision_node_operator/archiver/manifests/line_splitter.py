"""Split a file that arrives in pieces into lines, with bounded memory."""

from collections.abc import Iterator

MAX_LINE_BYTES = 16 << 10
"""Maximum length of a line without its end. It has room for a prompt of 4,000 characters of four
bytes each."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""Bytes that some programs write at the start of a file in UTF-8."""


class LineSplitter:
    """Collects the bytes of a line that has not ended yet.

    A line ends with LF or CRLF. A line that is too long is reported as None, and its bytes are
    dropped.

    Args:
        max_bytes: Maximum length of a line without its end.
    """

    def __init__(self, max_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._started = False
        self._rest = b""
        self._is_too_long = False

    def feed(self, piece: bytes) -> Iterator[bytes | None]:
        """Yield the lines that end in this piece. Blank lines are included."""
        *ended, rest = piece.split(b"\n")
        for part in ended:
            yield self._end(part)

        self._rest += rest
        if len(self._rest) > self._max_bytes + 1:  # with a CR that may precede the LF
            self._is_too_long, self._rest = True, b""

    def finish(self) -> Iterator[bytes | None]:
        """Yield the last line, if it has no line end."""
        if self._rest or self._is_too_long:
            yield self._end(b"")

    def _end(self, part: bytes) -> bytes | None:
        line, is_too_long = self._rest + part, self._is_too_long
        self._rest, self._is_too_long = b"", False
        if not self._started:
            line, self._started = line.removeprefix(_BYTE_ORDER_MARK), True

        line = line.strip()
        return None if is_too_long or len(line) > self._max_bytes else line
