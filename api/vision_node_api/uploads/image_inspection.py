"""Check whether an upload is an acceptable image.

Only the bytes of the upload are checked. Its name, declared type and declared length are ignored.
"""

import hashlib
from dataclasses import dataclass

from vision_node_contract.images.formats import SUPPORTED
from vision_node_contract.images.header import Header, read_header
from vision_node_contract.models.imagejob import ImageRef
from vision_node_contract.models.reasons import DescribeError, Reason

from ..web.problems import Problem
from ..web.sentences import sentence

MAX_FILE_NAME_CHARACTERS = 255
"""Maximum length of a file name. Further characters are removed."""


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """Maximum size of an image in bytes and in pixels."""

    image_bytes: int
    image_pixels: int
    """Maximum number of pixels (width times height)."""


def inspect_image(data: bytes, file_name: str | None, key: str, limits: ImageLimits) -> ImageRef:
    """Return an ImageJob's `spec.image` for an upload.

    The image's header is read, but no pixels are decoded. A file that is cut off after its header
    is accepted, because the describer reports how much of the picture the file contains.

    Raises:
        Problem: 400 EmptyImage, 413 ImageTooLarge (bytes or pixels), 415 UnsupportedFormat,
            422 ImageUnreadable.
    """
    if not data:
        detail = "The image is empty: it has no bytes. Send the image itself."
        raise Problem(400, "EmptyImage", detail)

    if len(data) > limits.image_bytes:
        raise too_many_bytes(limits.image_bytes)

    header = _read_header(data)
    if header.width * header.height > limits.image_pixels:
        raise _too_many_pixels(header.width, header.height, limits.image_pixels)

    return ImageRef(
        key=key,
        sha256=hashlib.sha256(data).hexdigest(),
        media_type=header.kind.media_type,
        size_bytes=len(data),
        width=header.width,
        height=header.height,
        file_name=_clean_file_name(file_name),
    )


def too_many_bytes(limit: int) -> Problem:
    """Return the problem for an image with more than `limit` bytes."""
    detail = f"The image exceeds the limit of {limit} bytes. Send a smaller one."
    return Problem(413, Reason.IMAGE_TOO_LARGE, detail, limit_bytes=limit)


def _read_header(data: bytes) -> Header:
    try:
        return read_header(data)
    except DescribeError as error:
        detail = sentence(error.message)
        if error.reason is Reason.UNSUPPORTED_FORMAT:
            formats = [known.media_type for known in SUPPORTED]
            raise Problem(415, error.reason, detail, formats=formats) from error
        raise Problem(422, error.reason, detail) from error


def _too_many_pixels(width: int, height: int, limit: int) -> Problem:
    pixels = width * height
    detail = (
        f"The image has {width}x{height} = {pixels} pixels and exceeds the limit of {limit}. "
        "Scale it down."
    )
    return Problem(413, Reason.IMAGE_TOO_LARGE, detail, limit_pixels=limit, pixels=pixels)


def _clean_file_name(file_name: str | None) -> str | None:
    """Return the last component of a path, truncated and without unprintable characters.

    The result helps people to recognize the file. It is None if nothing remains.
    """
    if not file_name:
        return None

    last = file_name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(c for c in last if c.isprintable())[:MAX_FILE_NAME_CHARACTERS] or None
