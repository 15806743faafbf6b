"""Split a multipart/form-data body (RFC 7578) into parts while the body is arriving."""

from abc import ABC, abstractmethod

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError

from ..web.problems import Problem
from .disposition import Disposition, parse_disposition

MAX_PREAMBLE_BYTES = 4096
"""Maximum number of bytes before the first boundary. Mail libraries put text there (RFC 2046,
section 5.1.1)."""

MAX_PART_HEADERS = 8

MAX_PART_HEADER_BYTES = 4096
"""Maximum size of one header in bytes. A file name of 255 characters takes up to 3,060 bytes,
because each character has up to four bytes, each of which takes three bytes in percent-encoding."""


class MultipartReader(ABC):
    """Splits a form into parts. A subclass says what becomes of them.

    Args:
        boundary: The boundary in the Content-Type header.
        max_header_bytes: Maximum size of one header of a part in bytes.

    Raises:
        Problem: 400 BadRequest if the boundary is invalid.
    """

    def __init__(self, boundary: bytes, max_header_bytes: int = MAX_PART_HEADER_BYTES) -> None:
        self._delimiter = b"--" + boundary
        self._preamble: bytes | None = b""
        """Text before the first boundary; None after the boundary has been found."""
        self._header_name = b""
        self._header_value = b""
        self._disposition = b""
        self._in_part = False
        self._parser = self._new_parser(boundary, max_header_bytes)

    @abstractmethod
    def _begin_part(self, disposition: Disposition) -> None:
        """Begin a part."""

    @abstractmethod
    def _write_part(self, data: memoryview) -> None:
        """Receive the next bytes of the part."""

    @abstractmethod
    def _end_part(self) -> None:
        """End the part."""

    def write(self, chunk: bytes) -> None:
        """Parse the next bytes.

        Raises:
            Problem: 400 BadRequest for an invalid form, or what a subclass raises for a part.
        """
        if self._preamble is not None:
            chunk = self._without_preamble(self._preamble + chunk)

        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _broken(f"{str(error).rstrip('.')}.") from error

    def close(self) -> None:
        """Check that the form is complete.

        The closing boundary is accepted without its last two hyphens, because the last part is
        complete even if they are missing.

        Raises:
            Problem: 400 BadRequest if the body ends too early.
        """
        if self._preamble == b"":
            raise _broken("Its body is empty.")

        if self._preamble is not None:
            raise _broken("It does not contain the boundary that Content-Type names.")

        if self._in_part:
            raise _broken(
                "Its closing boundary is missing, so it may have been cut off. Send it again."
            )

    def _new_parser(self, boundary: bytes, max_header_bytes: int) -> MultipartParser:
        if not boundary:
            raise _broken("Its Content-Type has no boundary.")

        try:
            return MultipartParser(
                boundary,
                {
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_part_end": self._on_part_end,
                },
                max_header_count=MAX_PART_HEADERS,
                max_header_size=max_header_bytes,
            )
        except FormParserError as error:
            raise _broken(f"{str(error).rstrip('.')}.") from error

    def _without_preamble(self, start: bytes) -> bytes:
        """Return `start` without the text before the first boundary.

        The result is empty if the boundary has not arrived yet.
        """
        # With the additional line break, the boundary also matches at the very start.
        begin = (b"\n" + start).find(b"\n" + self._delimiter)
        if 0 <= begin <= MAX_PREAMBLE_BYTES:
            self._preamble = None
            return start[begin:]

        if len(start) > MAX_PREAMBLE_BYTES + len(self._delimiter):
            raise _broken("It does not begin with the boundary that Content-Type names.")

        self._preamble = start
        return b""

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._in_part = True
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header_name = self._header_value = b""

    def _on_headers_finished(self) -> None:
        self._begin_part(parse_disposition(self._disposition))
        self._disposition = b""
        self._in_part = True

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._write_part(memoryview(data)[start:end])

    def _on_part_end(self) -> None:
        if self._in_part:
            self._end_part()
        self._in_part = False


def _broken(why: str) -> Problem:
    return Problem(400, "BadRequest", f"The form can't be read. {why}")
