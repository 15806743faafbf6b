"""Send the body of a request to the bucket in pieces."""

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

PIECE_BYTES = 1 << 20
"""Number of bytes to give to the connection at a time. A piece is sent before the next one follows,
so even a connection that copies what it can't send at once copies only one piece. Most images are
smaller than this."""


class BytesInPieces(Payload):
    """A body whose bytes are already in memory.

    aiohttp would give all bytes to the connection at once. Before Python 3.12.9, it joins them with
    the headers for that, and so keeps a copy of a large image for as long as the bucket takes.
    """

    _value: memoryview
    _autoclose = True  # there is nothing to close

    def __init__(self, data: bytes | memoryview) -> None:
        super().__init__(memoryview(data))
        self._size = len(data)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the bytes as text."""
        return self._value.tobytes().decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send all bytes."""
        await self.write_with_length(writer, None)

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        """Send the first `content_length` bytes, or all bytes if it is None."""
        data = self._value[:content_length]
        for start in range(0, len(data), PIECE_BYTES):
            await writer.write(data[start : start + PIECE_BYTES])
