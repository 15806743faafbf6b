"""What an upload is, told from its bytes alone: never from its name, declared type or declared length."""

import hashlib
from dataclasses import dataclass

from vision_node_contract.images.formats import SUPPORTED
from vision_node_contract.images.header import Header, read_header
from vision_node_contract.models.imagejob import ImageRef as StoredImage
from vision_node_contract.models.reasons import DescribeError, Reason

from ..web.problems import Problem


@dataclass(frozen=True, slots=True)
class Limits:
    """How large an image may be."""

    image_bytes: int
    image_pixels: int
    """Width times height."""


def inspect(data: bytes, file_name: str | None, key: str, limits: Limits) -> StoredImage:
    """Return what the ImageJob says of the upload, read from its header without decoding pixels.

    A file that is cut off behind its header passes: the describer tells how much of the picture is
    there.

    Raises:
        Problem: 400 EmptyImage, 413 ImageTooLarge (bytes or pixels), 415 UnsupportedFormat,
            422 ImageUnreadable.
    """
    if not data:
        raise Problem(400, "EmptyImage", "the image field holds no bytes; send the image itself")
    if len(data) > limits.image_bytes:
        raise too_many_bytes(limits.image_bytes)

    header = _header(data)
    if header.width * header.height > limits.image_pixels:
        raise _too_many_pixels(header.width, header.height, limits.image_pixels)

    return StoredImage(
        key=key,
        sha256=hashlib.sha256(data).hexdigest(),
        media_type=header.kind.media_type,
        size_bytes=len(data),
        width=header.width,
        height=header.height,
        file_name=_tidy(file_name),
    )


def too_many_bytes(limit: int) -> Problem:
    """Return the refusal of an image with more than `limit` bytes."""
    detail = f"the image has more than {limit} bytes, which is the limit; make it smaller"
    return Problem(413, Reason.IMAGE_TOO_LARGE, detail, limit_bytes=limit)


def _header(data: bytes) -> Header:
    try:
        return read_header(data)
    except DescribeError as error:
        if error.reason is Reason.UNSUPPORTED_FORMAT:
            formats = [known.media_type for known in SUPPORTED]
            raise Problem(415, error.reason, error.message, formats=formats) from error
        raise Problem(422, error.reason, error.message) from error


def _too_many_pixels(width: int, height: int, limit: int) -> Problem:
    pixels = width * height
    detail = f"{width}x{height} are {pixels} pixels; the limit is {limit}; scale the image down"
    return Problem(413, Reason.IMAGE_TOO_LARGE, detail, limit_pixels=limit, pixels=pixels)


def _tidy(file_name: str | None) -> str | None:
    """Keep a printable last path component of at most 255 characters, for people to recognize."""
    if not file_name:
        return None
    last = file_name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(c for c in last if c.isprintable())[:255] or None
