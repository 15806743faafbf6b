"""Split multipart/form-data into its parts while it arrives."""

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from vision_node_contract.models.reasons import Reason

from ..web.problems import Problem
from .disposition import parse_disposition
from .form_part import OPTION_NAMES, SNIFF_BYTES, Part, PartContent

MAX_PARTS = 20

MAX_PREAMBLE_BYTES = 4096
"""Maximum text before the first boundary (RFC 2046, section 5.1.1), which mail libraries write."""

MAX_PART_HEADERS = 8
MAX_PART_HEADER_BYTES = 4096
"""Of one header; a file name of 255 characters, each as four percent-encoded bytes, has 3,060."""


class FormReader:
    """Splits multipart/form-data (RFC 7578) into parts while it arrives.

    Args:
        boundary: The boundary that Content-Type names.
        limit: Maximum size of an image in bytes.

    Raises:
        Problem: 400 BadRequest: no form can have this boundary.
    """

    def __init__(self, boundary: bytes, limit: int) -> None:
        self.parts: list[Part] = []
        self._limit = limit
        self._delimiter = b"--" + boundary
        self._preamble: bytes | None = b""
        """Text before the first boundary; None once the boundary was found."""
        self._header_name = b""
        self._header_value = b""
        self._disposition = b""
        self._in_part = False
        self._parser = self._new_parser(boundary)

    def write(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            Problem: 400 BadRequest for a broken form, or TooManyParts; 413 ImageTooLarge;
                422 ImageUnreadable or OptionsInvalid.
        """
        if self._preamble is not None:
            chunk = self._without_preamble(self._preamble + chunk)
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _broken(str(error)) from error

    def close(self) -> None:
        """Take the end of the body.

        A closing boundary without its last two hyphens is accepted: the last part is complete.

        Raises:
            Problem: 400 BadRequest: the body ends too early.
        """
        if self._preamble == b"":
            raise _broken("the body is empty")
        if self._preamble is not None:
            raise _broken("the boundary that Content-Type names does not occur in it")
        if self._in_part:
            raise _broken("its closing boundary is missing; was it cut off?")

    def discard(self) -> None:
        """Free all memory."""
        for part in self.parts:
            part.content.discard()

    @property
    def kept_bytes(self) -> int:
        """Number of bytes in memory, of all parts."""
        return sum(part.content.kept_bytes for part in self.parts)

    def _new_parser(self, boundary: bytes) -> MultipartParser:
        if not boundary:
            raise _broken("Content-Type names no boundary")

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
                max_header_size=MAX_PART_HEADER_BYTES,
            )
        except FormParserError as error:
            raise _broken(str(error)) from error

    def _without_preamble(self, start: bytes) -> bytes:
        """Return `start` from the first boundary on, or nothing as long as there is no boundary."""
        # A line break in front, so that the boundary is found at the very start, too.
        begin = (b"\n" + start).find(b"\n" + self._delimiter)
        if 0 <= begin <= MAX_PREAMBLE_BYTES:
            self._preamble = None
            return start[begin:]

        if len(start) > MAX_PREAMBLE_BYTES + len(self._delimiter):
            raise _broken("the boundary that Content-Type names does not occur at its start")

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
        if len(self.parts) == MAX_PARTS:
            detail = f"the form has more than {MAX_PARTS} parts; send one image and its options"
            raise Problem(400, "TooManyParts", detail)

        disposition = parse_disposition(self._disposition)
        may_be_image = disposition.file_name is not None or disposition.name not in OPTION_NAMES
        self.parts.append(Part(disposition, PartContent(self._limit, may_be_image=may_be_image)))
        self._disposition = b""
        self._in_part = True

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        part = self.parts[-1]
        part.content.write(memoryview(data)[start:end])
        if part.is_option and part.content.size > SNIFF_BYTES:
            detail = f"form fields: {part.name}: more than {SNIFF_BYTES} bytes"
            raise Problem(422, Reason.OPTIONS_INVALID, detail)

    def _on_part_end(self) -> None:
        if self._in_part:
            self.parts[-1].content.close()
        self._in_part = False


def _broken(what: str) -> Problem:
    return Problem(400, "BadRequest", f"the form can't be read: {what}")
