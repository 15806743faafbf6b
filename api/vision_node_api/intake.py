"""What an upload is, told from its bytes alone: never from its name, declared type or declared length."""

import hashlib
import io
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError
from vision_node_contract.imagejob import Image as StoredImage
from vision_node_contract.reasons import Reason

from .problems import Problem

FORMATS = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "AVIF": "image/avif",
    "BMP": "image/bmp",
}
"""Pillow's names of what is let in, and the media types. Everything else Pillow could open is refused:
formats that reach for interpreters (EPS), other files or seldom-used decoders."""


HEADER_BYTES = 2 << 20
"""Thumbnails, colour profiles and editors' notes before the pixels seldom reach 1 MiB."""


def use_own_pixel_limit() -> None:
    """Switch off Pillow's, which knows no exact limit and would hide an image's size; once, at the start."""
    Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What is let in."""

    image_bytes: int
    image_pixels: int


def inspect(data: bytes, file_name: str | None, key: str, limits: Limits) -> StoredImage:
    """Return what the ImageJob says of the upload, read from the header without decoding pixels.

    Raises:
        Problem: 400 EmptyImage, 413 ImageTooLarge (bytes or pixels), 415 UnsupportedFormat,
            422 ImageUnreadable.
    """
    if not data:
        raise Problem(400, "EmptyImage", "the image field holds no bytes; send the image itself")
    if len(data) > limits.image_bytes:
        raise too_many_bytes(limits.image_bytes)
    # Of JPEG and PNG, whose headers can be made of millions of parts, only so much is looked at.
    header = data[:HEADER_BYTES] if data.startswith((b"\xff\xd8", b"\x89PNG")) else data
    try:
        with Image.open(io.BytesIO(header), formats=list(FORMATS)) as image:
            kind, (width, height) = image.format or "", image.size
    except UnidentifiedImageError as error:
        raise _unsupported() from error
    except Exception as error:
        # Decoders raise what they like on hostile bytes (SyntaxError, struct.error, EOFError, …).
        unreadable = f"the image's header can't be read ({type(error).__name__}); is the file whole?"
        raise Problem(422, Reason.IMAGE_UNREADABLE, unreadable) from error
    if width * height > limits.image_pixels:
        raise _too_many_pixels(width, height, limits.image_pixels)
    return StoredImage(
        key=key,
        sha256=hashlib.sha256(data).hexdigest(),
        media_type=FORMATS[kind],
        size_bytes=len(data),
        width=width,
        height=height,
        file_name=_tidy(file_name),
    )


def too_many_bytes(limit: int) -> Problem:
    """Return the refusal of an image with more than `limit` bytes."""
    detail = f"the image has more than {limit} bytes, which is the limit; make it smaller"
    return Problem(413, Reason.IMAGE_TOO_LARGE, detail, limit_bytes=limit)


def _too_many_pixels(width: int, height: int, limit: int) -> Problem:
    pixels = width * height
    detail = f"{width}x{height} are {pixels} pixels; the limit is {limit}; scale the image down"
    return Problem(413, Reason.IMAGE_TOO_LARGE, detail, limit_pixels=limit, pixels=pixels)


def _unsupported() -> Problem:
    known = ", ".join(FORMATS)
    detail = f"this is not an image in one of the formats {known}; convert it first"
    return Problem(415, Reason.UNSUPPORTED_FORMAT, detail, formats=list(FORMATS.values()))


def _tidy(file_name: str | None) -> str | None:
    """Keep a printable last path component of at most 255 characters, for people to recognise."""
    if not file_name:
        return None
    last = file_name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(c for c in last if c.isprintable())[:255] or None
