"""The process that makes thumbnails, apart from the API.

Images are hostile: a decoder may crash, hang, or want more memory than there is. This process has
a limit on its memory and no credentials in its environment, and the API kills it if it hangs.

Each request is the length of an image (4 bytes, big-endian) and the image. Each response is a byte
that says what happened (OK or FAILED), the length of the rest (4 bytes) and the rest: a WebP file,
or why there is none, in UTF-8.
"""

import resource
import struct
import sys
from importlib import import_module
from io import BytesIO
from typing import BinaryIO

from PIL import Image, ImageFile, ImageOps
from vision_node_contract.images.formats import HEIC, recognize
from vision_node_contract.models.reasons import DescribeError

MAX_SIDE = 512
"""Maximum width and height of a thumbnail in pixels. It is sharp on a screen with two device pixels
per CSS pixel, in a gallery with columns of 256."""

MEMORY_BYTES = 320 << 20
"""Maximum size of this process's address space in bytes. Python and the decoders take about 100 MB
of it. The rest is enough for a picture of 50 megapixels; JPEGs may be larger, because they are
reduced while they are decoded. Together with the API's 300 MiB, what is really used of it fits into
the container's 512 MiB."""

QUALITY = 80
"""Quality of the WebP file. A thumbnail has some 25 kB."""

MAX_PROFILE_BYTES = 4096
"""Maximum size of a thumbnail's color profile in bytes. Those of phones have 500."""

HEADER = struct.Struct(">I")
OK, FAILED = b"\0", b"\1"


def main() -> None:
    """Answer requests until the end of the input."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # A file that is cut off still has something to show.
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    # The process has a limit on its memory instead.
    Image.MAX_IMAGE_PIXELS = None

    requests, responses = sys.stdin.buffer, sys.stdout.buffer
    while image := _read(requests):
        outcome, data = _answer(image)
        responses.write(outcome + HEADER.pack(len(data)) + data)
        responses.flush()


def _read(requests: BinaryIO) -> bytes:
    head = requests.read(HEADER.size)
    return requests.read(HEADER.unpack(head)[0]) if len(head) == HEADER.size else b""


def _answer(image: bytes) -> tuple[bytes, bytes]:
    try:
        return OK, thumbnail(image)
    except MemoryError:
        return FAILED, b"decoding it takes too much memory"
    except DescribeError as error:
        return FAILED, error.message.encode()
    except Exception as error:  # noqa: BLE001 (a decoder may raise anything)
        return FAILED, f"it can't be decoded ({type(error).__name__})".encode()


def thumbnail(image: bytes) -> bytes:
    """Return a WebP file with the image upright, at most MAX_SIDE pixels wide and high.

    It has no metadata: no place, no camera, no time. Of an animation, it shows the first frame.

    Raises:
        DescribeError: UnsupportedFormat.
        Exception: The image is damaged. Pillow's decoders raise errors of many kinds.
    """
    kind = recognize(image)
    if kind is HEIC:
        import_module("pi_heif").register_heif_opener(decode_threads=1, thumbnails=False)

    with Image.open(BytesIO(image), formats=["HEIF" if kind is HEIC else kind.name]) as file:
        # JPEGs are decoded at a fraction of their size that is still large enough.
        file.draft("RGB", (MAX_SIDE, MAX_SIDE))
        file.thumbnail((MAX_SIDE, MAX_SIDE), reducing_gap=2.0)
        small = ImageOps.exif_transpose(file)
        profile = file.info.get("icc_profile")

    if small.mode not in ("RGB", "RGBA"):
        small = small.convert("RGBA" if small.has_transparency_data else "RGB")

    out = BytesIO()
    small.save(out, "WEBP", quality=QUALITY, exif=b"", xmp=b"", icc_profile=_small(profile))
    return out.getvalue()


def _small(profile: object) -> bytes:
    """Return a color profile if it is small enough for a thumbnail; otherwise nothing."""
    return profile if isinstance(profile, bytes) and len(profile) <= MAX_PROFILE_BYTES else b""


if __name__ == "__main__":
    main()
