"""One part of a form as it arrives: images are kept whole, others only as far as needed."""

from dataclasses import dataclass
from io import BytesIO

from vision_node_contract.models.reasons import Reason

from ..web.problems import Problem
from .base64_text import Base64Decoder, base64_image_start, looks_like_image
from .disposition import Disposition
from .intake import too_many_bytes
from .submit_options import Wishes

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
