"""Receive the content of one file of an upload, and keep it only if it is an image."""

from io import BytesIO

from vision_node_contract.images.formats import FORMAT_NAMES, recognize
from vision_node_contract.models.reasons import DescribeError

from ...web.sentences import sentence
from ..base64_text import looks_like_image
from .refusals import FileReason, FileRefusedError, empty

SNIFF_BYTES = 1024
"""Number of bytes from which images are recognized (see images/formats.py)."""


class FileContent:
    """The bytes of a file. They are dropped as soon as it is clear that the file is refused.

    Args:
        max_bytes: Maximum size of an image in bytes.
        is_archive: Whether the file has the name of an archive, for the message.
    """

    def __init__(self, max_bytes: int, *, is_archive: bool = False) -> None:
        self.size = 0
        """Number of bytes received."""
        self._max_bytes = max_bytes
        self._is_archive = is_archive
        self._kept = BytesIO()
        self._decided = False
        self._refusal: FileRefusedError | None = None

    @property
    def kept_bytes(self) -> int:
        """Number of bytes that are in memory."""
        return 0 if self._kept.closed else self._kept.getbuffer().nbytes

    def write(self, data: bytes | memoryview) -> None:
        """Receive the next bytes."""
        self.size += len(data)
        if self._refusal is None:
            self._kept.write(data)

        if not self._decided and self.size >= SNIFF_BYTES:
            self._decide()
        if self.size > self._max_bytes:
            self._refuse(too_large(self._max_bytes))

    def close(self) -> bytes:
        """Return the image, at the end of the file.

        Raises:
            FileRefusedError: The file is not acceptable.
        """
        if not self._decided:
            self._decide()
        if self._refusal:
            raise self._refusal

        data = self._kept.getvalue()
        self._kept.close()
        return data

    def discard(self) -> None:
        """Free the memory."""
        self._kept.close()

    def _decide(self) -> None:
        """Find out from its first bytes whether the file is an image."""
        self._decided = True
        head = bytes(self._kept.getbuffer()[:SNIFF_BYTES])

        if not head:
            self._refuse(empty())
        elif not looks_like_image(head):
            self._refuse(_no_archive() if self._is_archive else _no_image(head))

    def _refuse(self, refusal: FileRefusedError) -> None:
        self._refusal = self._refusal or refusal
        self._decided = True
        self._kept.close()


def too_large(max_bytes: int) -> FileRefusedError:
    """Return the error for an image with more than `max_bytes`."""
    message = f"The image has more than {max_bytes} bytes, which is the limit. Send a smaller one."
    return FileRefusedError(FileReason.IMAGE_TOO_LARGE, message)


def _no_archive() -> FileRefusedError:
    message = "The file is an archive among images. Send its images, or the archive alone."
    return FileRefusedError(FileReason.NESTED_ARCHIVE, message)


def _no_image(head: bytes) -> FileRefusedError:
    message = f"The file is not an image. Supported formats are {FORMAT_NAMES}."
    try:
        recognize(head)  # succeeds if the file is too short, or text that begins like an image
    except DescribeError as error:
        message = sentence(error.message)

    return FileRefusedError(FileReason.UNSUPPORTED_FORMAT, message)
