"""Images sent as base64 text, alone or in a data: URL."""

import binascii
from codecs import getincrementaldecoder

from vision_node_contract.images.formats import is_image

_WHITESPACE = b" \t\r\n\f\v"

_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
"""Translation from the URL-safe alphabet (RFC 4648, section 5); a text may mix both alphabets."""

_DATA_URL_HEADER_BYTES = 256
"""How many bytes to search for the comma in `data:image/png;charset=binary;base64,`."""

MIN_IMAGE_BYTES = 26
"""Minimum size of an image: the smallest WebP and BMP files have this size."""


class Base64Decoder:
    """Decodes base64 text piece by piece; both alphabets, and whitespace anywhere, are accepted."""

    def __init__(self) -> None:
        self._rest = b""
        """Up to three characters of an incomplete group of four."""
        self._padded = False

    def write(self, text: bytes | memoryview) -> bytes:
        """Decode more text, and return the bytes that are complete.

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
        """Return the last bytes.

        Raises:
            ValueError: the text ends in the middle of a byte.
        """
        padding = b"=" * (-len(self._rest) % 4)
        return binascii.a2b_base64(self._rest + padding, strict_mode=True)


def base64_image_start(text: bytes) -> int | None:
    """Return the index at which base64 text of an image starts, or None if there is no such text.

    The index is 0, or the end of a data: URL's header. `text` may be only the start of
    the whole text.
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

    The signatures of some formats are letters: without the check for text, "BMW or Audi?" would
    count as a bitmap.
    """
    return len(head) >= MIN_IMAGE_BYTES and is_image(head) and not _is_text(head[:MIN_IMAGE_BYTES])


def _is_text(head: bytes) -> bool:
    """Return whether bytes are UTF-8 without control characters, unlike the header of any image."""
    try:
        # The decoder is incremental, because the last character may be cut off.
        getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False

    return all(byte >= 0x20 or byte in _WHITESPACE for byte in head)


def _data_url_header_end(text: bytes) -> int | None:
    """Return the length of the header if `text` is a data: URL (RFC 2397).

    Return 0 if it is not a data: URL, and None if it is a data: URL without base64.
    """
    head = text[:_DATA_URL_HEADER_BYTES].lower()
    if not head.lstrip(_WHITESPACE).startswith(b"data:"):
        return 0

    comma = head.find(b",")
    is_base64 = head[: max(comma, 0)].rstrip(_WHITESPACE).endswith(b"base64")
    return comma + 1 if is_base64 else None
