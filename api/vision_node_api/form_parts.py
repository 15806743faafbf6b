"""The parts of a form as they arrive: images are kept whole, other parts only as far as needed."""

from dataclasses import dataclass
from io import BytesIO

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from vision_node_contract.reasons import Reason

from .base64_text import Base64Decoder, base64_image_start, looks_like_image
from .disposition import Disposition, parse_disposition
from .intake import too_many_bytes
from .problems import Problem
from .wishes import Wishes

MAX_PARTS = 20

MAX_PREAMBLE_BYTES = 4096
"""Maximum text before the first boundary (RFC 2046, section 5.1.1), which mail libraries write."""

MAX_PART_HEADERS = 8
MAX_PART_HEADER_BYTES = 4096
"""Of one header; a file name of 255 characters, each as four percent-encoded bytes, has 3,060."""

SNIFF_BYTES = 16 * 1024
"""How much of a part tells what it is. Only images are kept beyond that, so it bounds options, too."""

OPTION_NAMES = frozenset(
    {*Wishes.model_fields, *(field.alias for field in Wishes.model_fields.values() if field.alias)}
)
"""Names of the fields that say how to describe the image."""


class PartContent:
    """The bytes of one part.

    Args:
        limit: Maximum size of an image in bytes.
        may_be_image: Whether to look for an image. An option that is sent as text never is one.
    """

    def __init__(self, limit: int, *, may_be_image: bool = True) -> None:
        self.size = 0
        """Number of bytes as they were sent, in base64 for example."""
        self.is_image = False
        self._limit = limit
        self._may_be_image = may_be_image
        self._kept = BytesIO()
        self._decided = False
        self._decoder: Base64Decoder | None = None

    @property
    def kept_bytes(self) -> int:
        """Number of bytes in memory."""
        return 0 if self._kept.closed else self._kept.getbuffer().nbytes

    def write(self, data: memoryview) -> None:
        """Take the next bytes.

        Raises:
            Problem: 413 ImageTooLarge, or 422 ImageUnreadable: base64 text that is broken.
        """
        self.size += len(data)
        if not self._decided:
            self._kept.write(data)
            if self.size >= SNIFF_BYTES:
                self._decide()
        elif self._decoder:
            self._kept.write(self._decode(self._decoder, data))
        elif self.is_image:
            self._kept.write(data)

        if self._decided and (self.kept_bytes if self._decoder else self.size) > self._limit:
            raise too_many_bytes(self._limit)

    def close(self) -> None:
        """Take the end of the part.

        Raises:
            Problem: 422 ImageUnreadable: base64 text that is cut.
        """
        if not self._decided:
            self._decide()
        if self._decoder:
            self._kept.write(self._decode(self._decoder, None))

    def data(self) -> bytes:
        """Return the whole image, or the first bytes of anything else; nothing is copied."""
        return self._kept.getvalue()

    def discard(self) -> None:
        """Free the memory."""
        self._kept.close()

    def _decide(self) -> None:
        self._decided = True
        head = bytes(self._kept.getbuffer()[:SNIFF_BYTES])
        text_start = base64_image_start(head) if self._may_be_image else None

        if self._may_be_image and looks_like_image(head):
            self.is_image = True
        elif text_start is not None and self._is_sound(head[text_start:]):
            self.is_image = True
            self._decoder = Base64Decoder()
            text = self._kept.getvalue()[text_start:]
            self._kept = BytesIO()
            self._kept.write(self._decode(self._decoder, text))
        else:
            self._kept = BytesIO(head)

    def _is_sound(self, text: bytes) -> bool:
        """Return whether text is base64 to its end; a long text whose start is one counts as sound.

        The start of a short text may look like base64 by chance.
        """
        if self.size >= SNIFF_BYTES:
            return True
        decoder = Base64Decoder()
        try:
            decoder.write(text)
            decoder.close()
        except ValueError:
            return False
        return True

    def _decode(self, decoder: Base64Decoder, text: bytes | memoryview | None) -> bytes:
        try:
            return decoder.close() if text is None else decoder.write(text)
        except ValueError as error:
            detail = f"the base64 text of the image is broken ({error}); send the file as it is"
            raise Problem(422, Reason.IMAGE_UNREADABLE, detail) from error


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a form, or a raw body."""

    disposition: Disposition
    content: PartContent

    @classmethod
    def of_file(cls, file_name: str, content: PartContent) -> "Part":
        """Return a file that no form holds."""
        return cls(Disposition(file_name=file_name), content)

    @property
    def name(self) -> str:
        """The form field."""
        return self.disposition.name

    @property
    def is_file(self) -> bool:
        """Whether it was sent as a file."""
        return self.disposition.file_name is not None

    @property
    def is_image(self) -> bool:
        """Whether its content is an image."""
        return self.content.is_image

    @property
    def is_option(self) -> bool:
        """Whether it says how to describe the image; its text may have been sent as a file."""
        return self.name in OPTION_NAMES and not self.is_image


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
