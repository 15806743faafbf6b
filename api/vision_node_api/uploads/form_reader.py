"""Read a form with one image and its options."""

from vision_node_contract.models.reasons import Reason

from ..web.problems import Problem
from .disposition import Disposition
from .form_part import SNIFF_BYTES, Part, PartContent
from .multipart import MultipartReader
from .submit_options import OPTION_NAMES

MAX_PARTS = 20
"""Maximum number of parts in a form. This is enough for an image, its options and some unknown
fields."""


class FormReader(MultipartReader):
    """Keeps the parts of a form in memory.

    Args:
        boundary: The boundary in the Content-Type header.
        max_image_bytes: Maximum size of an image in bytes.

    Raises:
        Problem: While the form is arriving: 400 BadRequest for an invalid form, or TooManyParts;
            413 ImageTooLarge; 422 ImageUnreadable or OptionsInvalid.
    """

    def __init__(self, boundary: bytes, max_image_bytes: int) -> None:
        super().__init__(boundary)
        self.parts: list[Part] = []
        self._max_image_bytes = max_image_bytes

    def discard(self) -> None:
        """Free the memory of all parts."""
        for part in self.parts:
            part.content.discard()

    @property
    def kept_bytes(self) -> int:
        """Number of bytes that all parts together hold in memory."""
        return sum(part.content.kept_bytes for part in self.parts)

    def _begin_part(self, disposition: Disposition) -> None:
        if len(self.parts) == MAX_PARTS:
            detail = (
                f"The form has more than {MAX_PARTS} parts. Send only an image and its options."
            )
            raise Problem(400, "TooManyParts", detail)

        may_be_image = disposition.file_name is not None or disposition.name not in OPTION_NAMES
        content = PartContent(self._max_image_bytes, may_be_image=may_be_image)
        self.parts.append(Part(disposition, content))

    def _write_part(self, data: memoryview) -> None:
        part = self.parts[-1]
        part.content.write(data)
        if part.is_option and part.content.size > SNIFF_BYTES:
            raise option_too_long(part.name)

    def _end_part(self) -> None:
        self.parts[-1].content.close()


def option_too_long(name: str) -> Problem:
    """Return the problem for an option in a form that can't be valid."""
    detail = f"The form field {name} has more than {SNIFF_BYTES} bytes. Shorten it."
    return Problem(422, Reason.OPTIONS_INVALID, detail)
