"""Open an untrusted image file, and decode it once, as cheaply as its format allows."""

import struct
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from io import BytesIO
from math import ceil

# Import the plugins by name: Image.open would import forty others to find WebP and AVIF.
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,  # noqa: F401
    GifImagePlugin,  # noqa: F401
    Image,
    ImageFile,
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401
)
from vision_node_contract.images.formats import AVIF, GIF, HEIC, JPEG, PNG, TIFF, Format
from vision_node_contract.images.header import Header, damaged, read_header
from vision_node_contract.images.jpeg import read_jpeg_header
from vision_node_contract.images.tiff import count_pages
from vision_node_contract.models.reasons import DescribeError, Reason

from ..metadata.exif import Exif, read_exif
from .animation import Animation, BrokenFileError, count_frames
from .frames import find_visible_frame
from .limits import check_avif_size, check_scans, check_size, too_large
from .pixels import reduced, shrink
from .png_chunks import strip_ancillary_chunks
from .truncation import IntactPart, decode_intact_rows, ends_early, fill_missing_bytes, intact_part

_BYTES_PER_PIXEL = {
    "JPEG": 4,
    "PNG": 5,
    "GIF": 5,
    "BMP": 8,
    "AVIF": 10,
    "WebP": 17,
    "HEIC": 10,
    "TIFF": 10,
}
"""Memory for decoding in bytes per pixel, by format. The values are rounded up from measurements
with 36 to 100 megapixels (PNG: 4.3; BMP: 7.1; AVIF: 8.9; WebP: 16.3; HEIC:
7.1; TIFF: 4.3, with floating point 9.1)."""

_JPEG_REDUCED_BYTES_PER_PIXEL = 0.25
"""Memory for decoding a JPEG at an eighth of its size, in bytes per pixel: 4 for one of 64 pixels,
and for the buffers of rows."""

_ANIMATION_BYTES_PER_PIXEL = {"PNG": 10, "GIF": 14}
"""Memory for decoding an animation, in bytes per pixel. If its first frame is blank, a second frame
is drawn onto it. Measurements were 8.9 and 13.0."""

_FILE_COPIES = 2
"""Number of copies of the file in memory. The second one is a PNG without its ancillary chunks, or
a truncated file whose missing bytes are filled in."""

_DRAFT_SIDE = 64
"""Minimum width and height in pixels of a JPEG decoded at 1/2, 1/4 or 1/8 of its size."""

_TIFF_BITS = 258
"""The tag BitsPerSample (TIFF 6.0, section 8)."""


# Ignore warnings about unusual EXIF. Users can't act on them, and Python would keep each distinct
# warning in memory.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
# Use one thread per picture: a worker describes several pictures concurrently and has a CPU limit.
# By default, libavif uses as many threads as the node has cores.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1


@dataclass(frozen=True, slots=True)
class Sample:
    """A reduced copy of the frame to describe."""

    pixels: Image.Image
    """RGBA in sRGB, not rotated by the orientation, without rows that are missing from the file."""
    full_size: tuple[int, int]
    """Width and height in pixels with the missing rows."""


@dataclass(frozen=True, slots=True)
class Picture:
    """The properties of an image file, and a small copy of the frame to describe."""

    kind: Format
    width: int
    """Width in pixels, as stored; see exif.orientation."""
    height: int
    mode: str
    """Pillow's name for the pixel format."""
    bits: int
    """Bits per channel, as stored."""
    exif: Exif
    animation: Animation
    small: Image.Image
    """A copy in RGBA (sRGB), at most SMALL_SIDE pixels wide and high, not turned upright."""
    frame: int = 0
    """Index of the described frame, which is the first with visible content."""
    pages: int = 1
    """Number of pages of a TIFF file. The first page is described."""
    intact: IntactPart | None = None
    """The intact part of a truncated file; None if the file is complete."""
    sample: Sample | None = None
    """A larger copy; None if none was requested."""


@dataclass(frozen=True, slots=True)
class OpenedPicture:
    """An open, valid file. If it is an animation, the frame to describe is already decoded."""

    kind: Format
    file: ImageFile.ImageFile
    mode: str
    """Mode of the first frame before decoding; decoding may change the mode."""
    size: tuple[int, int]
    """Width and height in pixels, as stored."""
    exif: Exif
    animation: Animation
    frame: int
    intact: IntactPart | None

    def decode(self, smallest: tuple[int, int]) -> Image.Image:
        """Return the frame to describe, without rows that are missing from the file.

        Args:
            smallest: Minimum size to which a JPEG may be reduced during decoding, to save time.
        """
        if self.animation.frames > 1:
            return self.file  # the frame was decoded when it was chosen

        self.file.draft(None, smallest)
        if self.intact:
            return decode_intact_rows(self.file, self.intact)

        self.file.load()
        return self.file


def decoding_bytes(image: bytes, *, is_reduced: bool = False) -> int:
    """Return the maximum memory for decoding a file in bytes; 0 if its header is unreadable.

    Args:
        image: The file.
        is_reduced: Whether it is decoded only as read_picture() does without a sample: a JPEG at
            an eighth of its size, unless that is less than 64 pixels.
    """
    try:
        header = read_header(image)
    except DescribeError:
        return 0

    kind = header.kind
    per_pixel: float = _BYTES_PER_PIXEL[kind.name]
    if kind is JPEG:
        decoded = _JPEG_REDUCED_BYTES_PER_PIXEL if is_reduced else per_pixel
        per_pixel = decoded + _coefficient_bytes(image)

    if (
        kind.name in _ANIMATION_BYTES_PER_PIXEL
        and count_frames(image, kind, max_frames=2).frames > 1
    ):
        per_pixel = _ANIMATION_BYTES_PER_PIXEL[kind.name]

    return int(header.width * header.height * per_pixel) + _FILE_COPIES * len(image)


def _coefficient_bytes(image: bytes) -> float:
    """Return the memory for a JPEG's coefficients in bytes per pixel.

    If each component of the picture or each bit of a coefficient may come later in the file, the
    decoder keeps all coefficients, 16 bits each. Measured with 100 megapixels: 5.9 bytes per pixel
    without subsampling, 8.0 for CMYK.
    """
    jpeg = read_jpeg_header(image)
    return 0.0 if jpeg.is_in_one_scan else 2 * jpeg.samples_per_pixel


def is_truncated(image: bytes) -> bool:
    """Return whether an image file ends too early; False if the file is not an image."""
    try:
        return ends_early(image, read_header(image).kind)
    except (DescribeError, ValueError):
        return False


def read_picture(image: bytes, *, sample_side: int | None = None) -> Picture:
    """Read the properties of an image file, and decode it.

    Args:
        image: The file.
        sample_side: Also return a sample. Its longer side has at least this number of pixels, and
            fewer than twice as many, unless the picture is smaller.

    Raises:
        DescribeError: ImageUnreadable, ImageTooLarge or UnsupportedFormat.
    """
    with open_picture(image) as opened:
        kind, (width, height) = opened.kind, opened.size
        sample = None
        if sample_side is None or kind is JPEG:
            small = shrink(opened.decode((_DRAFT_SIDE, _DRAFT_SIDE)))
        else:
            decoded = opened.decode(opened.size)
            small, sample = shrink(decoded), _sample(opened, decoded, sample_side)

        picture = Picture(
            kind=kind,
            width=width,
            height=height,
            mode=opened.mode,
            bits=_bits(image, opened),
            exif=opened.exif,
            animation=opened.animation,
            small=small,
            frame=opened.frame,
            pages=count_pages(image) if kind is TIFF else 1,
            intact=opened.intact,
            sample=sample,
        )

    if sample_side is not None and kind is JPEG:
        # Decode the JPEG again, because `small` must not depend on whether a sample is
        # requested. Decoding it at a fraction of its size takes little time.
        return replace(picture, sample=_jpeg_sample(image, sample_side))

    return picture


def _jpeg_sample(image: bytes, side: int) -> Sample:
    with open_picture(image) as opened:
        width, height = opened.size
        scale = min(1.0, side / max(width, height))
        decoded = opened.decode((ceil(scale * width), ceil(scale * height)))
        return _sample(opened, decoded, side)


def _sample(opened: OpenedPicture, decoded: Image.Image, side: int) -> Sample:
    factor = max(1, max(opened.file.size) // side)
    width, height = (ceil(length / factor) for length in opened.file.size)
    return Sample(reduced(decoded, factor), (width, height))


@contextmanager
def open_picture(image: bytes) -> Iterator[OpenedPicture]:
    """Open an image file; translate all errors, including those in the block, to DescribeErrors.

    Raises:
        DescribeError: ImageUnreadable, ImageTooLarge or UnsupportedFormat.
    """
    if not image:
        raise DescribeError(Reason.IMAGE_UNREADABLE, "the file is empty; upload it again")

    header = read_header(image)
    kind = header.kind
    check_size(header.width, header.height)
    if kind is AVIF:
        check_avif_size(header.width, header.height)

    with _translated_errors(kind), ExitStack() as stack:
        if kind is JPEG:
            check_scans(image)

        data = _repair_for_pillow(image, header)
        animation = count_frames(data, kind)

        intact = None
        if ends_early(data, kind, animation):
            intact = intact_part(data, kind, lambda filled: _open(filled, kind))
            data = fill_missing_bytes(data, kind, intact.filling)

        file = stack.enter_context(_open(data, kind))
        mode, size, exif, frame = file.mode, file.size, _exif(image, file, kind), 0
        check_size(*size)

        if animation.frames > 1:
            found = find_visible_frame(file, animation.frames)
            file = file if found is not None else stack.enter_context(_open(data, kind))
            frame = found or 0

        yield OpenedPicture(kind, file, mode, size, exif, animation, frame, intact)


def _repair_for_pillow(image: bytes, header: Header) -> bytes:
    """Return the file in a form that Pillow can read, or the file itself if it needs no changes.

    A PNG loses the ancillary chunks that its picture does not need. A GIF's screen size is replaced
    with the size in `header`.
    """
    if header.kind is PNG:
        return strip_ancillary_chunks(image)
    screen = struct.pack("<HH", header.width, header.height) if header.kind is GIF else b""
    return image[:6] + screen + image[10:] if screen != image[6 : 6 + len(screen)] else image


def _open(data: bytes, kind: Format) -> ImageFile.ImageFile:
    return Image.open(BytesIO(data), formats=[_plugin(kind)])


@cache
def _plugin(kind: Format) -> str:
    """Return Pillow's name for a format. The plugin of a rare format is imported first."""
    if kind is HEIC:
        # Use one thread per picture, as for AVIF. Thumbnails and depth maps are not needed.
        settings = {
            "decode_threads": 1,
            "thumbnails": False,
            "depth_images": False,
            "aux_images": False,
        }
        import_module("pi_heif").register_heif_opener(**settings)
        return "HEIF"

    if kind is TIFF:
        import_module("PIL.TiffImagePlugin")

    return kind.name


@contextmanager
def _translated_errors(kind: Format) -> Iterator[None]:
    """Translate Pillow's errors to DescribeErrors. A malicious file may cause any exception."""
    try:
        yield
    except (MemoryError, DescribeError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise too_large(f"the {kind.name} file declares too many pixels") from error
    except BrokenFileError as error:
        raise damaged(kind, str(error)) from error
    except Exception as error:
        raise damaged(kind, _summarize(error)) from error


def _summarize(error: Exception) -> str:
    # The message of UnidentifiedImageError contains an object's address instead of a cause.
    if isinstance(error, UnidentifiedImageError):
        return "its header is invalid"
    return " ".join(str(error).split())[:200] or type(error).__name__


def _exif(image: bytes, file: ImageFile.ImageFile, kind: Format) -> Exif:
    """Read a file's EXIF.

    A TIFF file itself has the layout of an EXIF block. Pillow already turns its picture upright, so
    the orientation is always 1.
    """
    if kind is TIFF:
        return replace(read_exif(image), orientation=1)
    return read_exif(file.info.get("exif"))


def _bits(image: bytes, opened: OpenedPicture) -> int:
    """Return the number of bits per channel in the file.

    Pillow's mode does not show this number, because Pillow silently decodes deep color to 8 bits.
    """
    kind, mode = opened.kind, opened.mode
    # A palette's colors have 8 bits, even if its indices have fewer.
    if kind is PNG and mode != "P":
        return image[24]  # IHDR (PNG third edition, 11.2.1)
    if kind is AVIF:
        return _avif_bits(image)
    if kind is HEIC:
        return int(opened.file.info.get("bit_depth", 8))
    if kind is TIFF:
        return int(getattr(opened.file, "tag_v2", {}).get(_TIFF_BITS, (1,))[0])

    return 1 if mode == "1" else 8


def _avif_bits(image: bytes) -> int:
    at = image.find(b"av1C")
    if at < 0:
        return 8
    flags = image[at + 6]  # AV1 Codec ISO Media File Format Binding, 2.3.3
    return 8 if not flags & 0x40 else 12 if flags & 0x20 else 10
