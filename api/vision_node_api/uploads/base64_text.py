"""Recognize and decode images that are sent as base64 text, alone or in a data: URL."""

import binascii
from codecs import getincrementaldecoder

from vision_node_contract.images.formats import is_image

_WHITESPACE = b" \t\r\n\f\v"

_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
"""Translation from the URL-safe alphabet (RFC 4648, section 5). Text may mix the two alphabets."""

_DATA_URL_HEADER_BYTES = 256
"""Number of bytes in which to search for the comma of a header such as
`data:image/png;charset=binary;base64,`."""

MIN_IMAGE_BYTES = 26
"""Minimum size of an image in bytes, which is the size of the smallest WebP and BMP files."""


class Base64Decoder:
    """Decodes base64 text piece by piece.

    The text may use the standard and the URL-safe alphabet, and may contain whitespace anywhere.
    """

    def __init__(self) -> None:
        self._rest = b""
        """Up to three characters from an incomplete group of four characters."""
        self._padded = False

    def write(self, text: bytes | memoryview) -> bytes:
        """Decode the next piece of text, and return all bytes that are complete.

        Raises:
            ValueError: the text is not base64.
        """
        data, padding, after = bytes(text).translate(_TO_STANDARD, _WHITESPACE).partition(b"=")
        if after.strip(b"=") or (data and self._padded):
            raise ValueError("text follows the padding")

        self._padded = self._padded or bool(padding)

        data = self._rest + data
        complete = len(data) // 4 * 4
        self._rest = data[complete:]
        return binascii.a2b_base64(data[:complete], strict_mode=True)

    def close(self) -> bytes:
        """Return the remaining bytes at the end of the text.

        Raises:
            ValueError: the text ends in the middle of a byte.
        """
        padding = b"=" * (-len(self._rest) % 4)
        return binascii.a2b_base64(self._rest + padding, strict_mode=True)


def base64_image_start(text: bytes) -> int | None:
    """Return the index at which the base64 text of an image starts; None if there is no such text.

    The index is 0 or, in a data: URL, the end of the URL's header. `text` may be only the beginning
    of the whole text.
    """
    start = _data_url_header_end(text)
    if start is None:
        return None

    try:
        head = Base64Decoder().write(text[start:])
    except ValueError:
        return None

    return start if looks_like_image(head) else None


def looks_like_image(head: bytes) -> bool:
    """Return whether data begins like a file in a supported format, and not like text.

    The check for text is needed because the signatures of some formats consist of letters. Without
    it, "BMW or Audi?" would be considered a bitmap.
    """
    return len(head) >= MIN_IMAGE_BYTES and is_image(head) and not _is_text(head[:MIN_IMAGE_BYTES])


def _is_text(head: bytes) -> bool:
    """Return whether the bytes are UTF-8 without control characters.

    This is never true for the header of an image.
    """
    try:
        # The decoder is incremental, because the last character may be incomplete.
        getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False

    return all(byte >= 0x20 or byte in _WHITESPACE for byte in head)


def _data_url_header_end(text: bytes) -> int | None:
    """Return the length of the header if `text` is a data: URL (RFC 2397) with base64.

    Return 0 if `text` is not a data: URL, and None if it is a data: URL without base64.
    """
    head = text[:_DATA_URL_HEADER_BYTES].lower()
    if not head.lstrip(_WHITESPACE).startswith(b"data:"):
        return 0

    comma = head.find(b",")
    is_base64 = head[: max(comma, 0)].rstrip(_WHITESPACE).endswith(b"base64")
    return comma + 1 if is_base64 else None
