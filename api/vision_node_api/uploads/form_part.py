"""Receive a part of a form. Images are kept in full; other parts are truncated."""

from dataclasses import dataclass
from io import BytesIO

from vision_node_contract.models.reasons import Reason

from ..web.problems import Problem
from .base64_text import Base64Decoder, base64_image_start, looks_like_image
from .disposition import Disposition
from .image_inspection import too_many_bytes
from .submit_options import OPTION_NAMES

SNIFF_BYTES = 16 * 1024
"""Number of bytes from which images are recognized. For parts that are not images, only these bytes
are kept, so this is also the maximum size of an option."""


class PartContent:
    """The bytes of a part.

    Args:
        max_image_bytes: Maximum size of an image in bytes.
        may_be_image: Whether the part may be an image. It is false for options sent as text.
    """

    def __init__(self, max_image_bytes: int, *, may_be_image: bool = True) -> None:
        self.size = 0
        """Number of bytes received, counted before base64 text is decoded."""
        self.is_image = False
        self._max_image_bytes = max_image_bytes
        self._may_be_image = may_be_image
        self._kept = BytesIO()
        self._decided = False
        self._decoder: Base64Decoder | None = None

    @property
    def kept_bytes(self) -> int:
        """Number of bytes that are held in memory."""
        return 0 if self._kept.closed else self._kept.getbuffer().nbytes

    def write(self, data: memoryview) -> None:
        """Receive the next bytes.

        Raises:
            Problem: 413 ImageTooLarge, or 422 ImageUnreadable if base64 text is invalid.
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

        image_bytes = self.kept_bytes if self._decoder else self.size
        if self._decided and image_bytes > self._max_image_bytes:
            raise too_many_bytes(self._max_image_bytes)

    def close(self) -> None:
        """Finish the part.

        Raises:
            Problem: 422 ImageUnreadable if base64 text is incomplete.
        """
        if not self._decided:
            self._decide()
        if self._decoder:
            self._kept.write(self._decode(self._decoder, None))

    def data(self) -> bytes:
        """Return the whole image, or the first bytes of other content. No bytes are copied."""
        return self._kept.getvalue()

    def discard(self) -> None:
        """Free the memory that the part holds."""
        self._kept.close()

    def _decide(self) -> None:
        self._decided = True
        head = bytes(self._kept.getbuffer()[:SNIFF_BYTES])
        text_start = base64_image_start(head) if self._may_be_image else None

        if self._may_be_image and looks_like_image(head):
            self.is_image = True
        elif text_start is not None and self._is_base64(head[text_start:]):
            self.is_image = True
            self._start_decoding(text_start)
        else:
            self._kept = BytesIO(head)

    def _start_decoding(self, text_start: int) -> None:
        """Replace the base64 text that has arrived so far with the bytes that it encodes."""
        text = self._kept.getvalue()[text_start:]
        self._decoder = Base64Decoder()
        self._kept = BytesIO()
        self._kept.write(self._decode(self._decoder, text))

    def _is_base64(self, text: bytes) -> bool:
        """Return whether text that begins like base64 is entirely base64.

        Short text is checked completely, because its beginning may look like base64 by chance. Only
        the beginning of longer text is checked.
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
            detail = f"The image's base64 text is invalid ({error}). Send the image file instead."
            raise Problem(422, Reason.IMAGE_UNREADABLE, detail) from error


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a form, or a raw body that is treated like a part."""

    disposition: Disposition
    content: PartContent

    @classmethod
    def of_file(cls, file_name: str, content: PartContent) -> "Part":
        """Return a part for a raw body."""
        return cls(Disposition(file_name=file_name), content)

    @property
    def name(self) -> str:
        """Name of the form field; empty if it has none."""
        return self.disposition.name

    @property
    def is_file(self) -> bool:
        """Whether the part was sent as a file."""
        return self.disposition.file_name is not None

    @property
    def is_image(self) -> bool:
        """Whether the part's content is an image."""
        return self.content.is_image

    @property
    def is_option(self) -> bool:
        """Whether the part is an option, even if its text was sent as a file."""
        return self.name in OPTION_NAMES and not self.is_image
