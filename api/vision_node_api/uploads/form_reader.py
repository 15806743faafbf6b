"""Split a multipart/form-data body into its parts while the body is arriving."""

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from vision_node_contract.models.reasons import Reason

from ..web.problems import Problem
from .disposition import parse_disposition
from .form_part import SNIFF_BYTES, Part, PartContent
from .submit_options import OPTION_NAMES

MAX_PARTS = 20
"""Maximum number of parts in a form. This is enough for an image, its options and some unknown
fields."""

MAX_PREAMBLE_BYTES = 4096
"""Maximum number of bytes before the first boundary. Mail libraries put text there (RFC 2046,
section 5.1.1)."""

MAX_PART_HEADERS = 8

MAX_PART_HEADER_BYTES = 4096
"""Maximum size of one header in bytes. A file name of 255 characters takes up to 3,060 bytes,
because each character has up to four bytes, each of which takes three bytes in percent-encoding."""


class FormReader:
    """Splits a multipart/form-data body (RFC 7578) into parts while the body is arriving.

    Args:
        boundary: The boundary in the Content-Type header.
        max_image_bytes: Maximum size of an image in bytes.

    Raises:
        Problem: 400 BadRequest if the boundary is invalid.
    """

    def __init__(self, boundary: bytes, max_image_bytes: int) -> None:
        self.parts: list[Part] = []
        self._max_image_bytes = max_image_bytes
        self._delimiter = b"--" + boundary
        self._preamble: bytes | None = b""
        """Text before the first boundary; None after the boundary has been found."""
        self._header_name = b""
        self._header_value = b""
        self._disposition = b""
        self._in_part = False
        self._parser = self._new_parser(boundary)

    def write(self, chunk: bytes) -> None:
        """Parse the next bytes.

        Raises:
            Problem: 400 BadRequest for an invalid form, or TooManyParts; 413 ImageTooLarge;
                422 ImageUnreadable or OptionsInvalid.
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

    def discard(self) -> None:
        """Free the memory of all parts."""
        for part in self.parts:
            part.content.discard()

    @property
    def kept_bytes(self) -> int:
        """Number of bytes that all parts together hold in memory."""
        return sum(part.content.kept_bytes for part in self.parts)

    def _new_parser(self, boundary: bytes) -> MultipartParser:
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
                max_header_size=MAX_PART_HEADER_BYTES,
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
        if len(self.parts) == MAX_PARTS:
            detail = (
                f"The form has more than {MAX_PARTS} parts. Send only an image and its options."
            )
            raise Problem(400, "TooManyParts", detail)

        disposition = parse_disposition(self._disposition)
        may_be_image = disposition.file_name is not None or disposition.name not in OPTION_NAMES
        content = PartContent(self._max_image_bytes, may_be_image=may_be_image)
        self.parts.append(Part(disposition, content))

        self._disposition = b""
        self._in_part = True

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        part = self.parts[-1]
        part.content.write(memoryview(data)[start:end])
        if part.is_option and part.content.size > SNIFF_BYTES:
            detail = f"The form field {part.name} has more than {SNIFF_BYTES} bytes. Shorten it."
            raise Problem(422, Reason.OPTIONS_INVALID, detail)

    def _on_part_end(self) -> None:
        if self._in_part:
            self.parts[-1].content.close()
        self._in_part = False


def _broken(why: str) -> Problem:
    return Problem(400, "BadRequest", f"The form can't be read. {why}")
