"""Opens a file that anybody may have made, and decodes it once, as cheaply as its format allows."""

import struct
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from io import BytesIO

# The plugins by name: Image.open would import Pillow's forty others to find WebP and AVIF.
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
from .frames import visible_frame
from .pixels import shrink
from .png_chunks import without_notes
from .truncation import Intact, completed, decode_what_is_there, ends_early, intact_part

DEFAULT_MAX_PIXELS = 100_000_000
"""The largest cameras on sale make 100 megapixels. Decoded, a pixel takes four bytes in memory, but
nine as AVIF and sixteen as WebP, whose decoders keep copies: measured, 430, 890 and 1,570 MB."""

MAX_SIDE = 100_000
"""Pixels. JPEG, WebP and GIF allow 65,535; a longer strip shows nothing once it is reduced."""

_AVIF_MAX_PIXELS, _AVIF_MAX_SIDE = 16_384 * 16_384, 32_768
"""Limits of libavif (avif.h: AVIF_DEFAULT_IMAGE_SIZE_LIMIT, AVIF_DEFAULT_IMAGE_DIMENSION_LIMIT),
which Pillow can't change. The other formats allow less, or their decoders have no such limit."""

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
"""Measured with 36 to 100 megapixels (JPEG: progressive, 3.3; PNG: 4.3; BMP: 7.1; AVIF: 8.9; WebP:
16.3; HEIC: 7.1; TIFF: 4.3, of fractions 9.1), rounded up."""

_MOVING_BYTES_PER_PIXEL = {"PNG": 10, "GIF": 14}
"""Of animations whose first frame is blank, for which a second one is laid on it: measured 8.9 and
13.0."""

_FILE_COPIES = 2
"""Of a PNG without its notes, or a file whose missing bytes are filled in."""

MAX_SCANS = 200
"""Of a progressive JPEG. Encoders write about ten; a scan of a few bytes costs a walk over the
whole picture, so a small file with many of them would hold a worker for hours."""

_DRAFT_SIDE = 64
"""A JPEG may be decoded at 1/2, 1/4 or 1/8 as long as its shorter side keeps this many pixels."""

_TIFF_BITS = 258
"""The tag BitsPerSample (TIFF 6.0, section 8)."""


def limit_pixels(most: int) -> None:
    """Refuse images of more pixels (width × height) from now on, in the whole process.

    This sets Pillow's own limit, so that there is only one. Above it Pillow warns, which the filter
    below turns into an error; above twice the limit Pillow itself refuses.
    """
    Image.MAX_IMAGE_PIXELS = most


# Pillow's settings are process-wide and catching warnings is not safe in threads: hence once, here.
limit_pixels(DEFAULT_MAX_PIXELS)
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
# Remarks about odd EXIF: of use to nobody, and each different one would be remembered for ever.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
# One core per picture: a worker describes several at a time and has a CPU limit; the default takes
# as many threads as the node has cores.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1


@dataclass(frozen=True, slots=True)
class Picture:
    """What there is to know about a file, and a small copy of the frame that stands for it."""

    kind: Format
    width: int
    """In pixels, as stored; see exif.orientation."""
    height: int
    mode: str
    """Pillow's word for the pixels' layout."""
    bits: int
    """Per channel, as stored."""
    exif: Exif
    animation: Animation
    small: Image.Image
    """RGBA in sRGB, at most SMALL_SIDE pixels wide and high, not turned by the orientation."""
    frame: int = 0
    """Index of the frame that is described: the first that shows something."""
    pages: int = 1
    """Of a TIFF file; the first is described."""
    intact: Intact | None = None
    """What is there of a file that ends early."""


@dataclass(frozen=True, slots=True)
class OpenedPicture:
    """A file that is open and sound as far as it goes, with nothing or one frame decoded yet."""

    kind: Format
    file: ImageFile.ImageFile
    mode: str
    """Of the first frame before decoding, which may change it."""
    size: tuple[int, int]
    """Width and height in pixels, as stored."""
    exif: Exif
    animation: Animation
    frame: int
    intact: Intact | None

    def decode(self, smallest: tuple[int, int]) -> Image.Image:
        """Return the frame that stands for the picture, without rows that the file lacks.

        Args:
            smallest: Pixels to which a JPEG may be reduced while it is decoded, which costs less.
        """
        if self.animation.frames > 1:
            return self.file  # decoded when its frame was chosen

        self.file.draft(None, smallest)
        if self.intact:
            return decode_what_is_there(self.file, self.intact)

        self.file.load()
        return self.file


def decoding_bytes(image: bytes) -> int:
    """Return the memory that read_picture() takes at most, in bytes; 0 for what it will refuse anyway."""
    try:
        header = read_header(image)
    except DescribeError:
        return 0

    kind = header.kind
    per_pixel = _BYTES_PER_PIXEL[kind.name]
    if kind.name in _MOVING_BYTES_PER_PIXEL and count_frames(image, kind, most=2).frames > 1:
        per_pixel = _MOVING_BYTES_PER_PIXEL[kind.name]

    return header.width * header.height * per_pixel + _FILE_COPIES * len(image)


def is_truncated(image: bytes) -> bool:
    """Return whether a file ends too early; False for what is no image."""
    try:
        return ends_early(image, read_header(image).kind)
    except (DescribeError, ValueError):
        return False


def read_picture(image: bytes) -> Picture:
    """Read everything in one go.

    Raises:
        DescribeError: ImageUnreadable, ImageTooLarge or UnsupportedFormat.
    """
    with open_picture(image) as opened:
        kind, (width, height) = opened.kind, opened.size
        small = shrink(opened.decode((_DRAFT_SIDE, _DRAFT_SIDE)))
        return Picture(
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
        )


@contextmanager
def open_picture(image: bytes) -> Iterator[OpenedPicture]:
    """Open a file whose header is sound; what goes wrong inside is translated, too.

    Raises:
        DescribeError: ImageUnreadable, ImageTooLarge or UnsupportedFormat.
    """
    if not image:
        raise DescribeError(Reason.IMAGE_UNREADABLE, "the file is empty; upload it again")

    header = read_header(image)
    kind = header.kind
    _check_size(header.width, header.height)
    if kind is AVIF:
        _check_avif(header.width, header.height)

    with _errors_of(kind), ExitStack() as stack:
        if kind is JPEG:
            _check_scans(image)
        data = _readable(image, header)
        animation = count_frames(data, kind)
        intact = None
        if ends_early(data, kind, animation):
            intact = intact_part(data, kind, lambda filled: _open(filled, kind))
            data = completed(data, kind, intact.filling)

        file = stack.enter_context(_open(data, kind))
        mode, size, exif, frame = file.mode, file.size, _exif(image, file, kind), 0
        _check_size(*size)
        if animation.frames > 1:
            found = visible_frame(file, animation.frames)
            file = file if found is not None else stack.enter_context(_open(data, kind))
            frame = found or 0

        yield OpenedPicture(kind, file, mode, size, exif, animation, frame, intact)


def _readable(image: bytes, header: Header) -> bytes:
    """Return the file as Pillow can read it: a PNG without notes, a GIF whose first frame fits its screen."""
    if header.kind is PNG:
        return without_notes(image)
    screen = struct.pack("<HH", header.width, header.height) if header.kind is GIF else b""
    return image[:6] + screen + image[10:] if screen != image[6 : 6 + len(screen)] else image


def _open(data: bytes, kind: Format) -> ImageFile.ImageFile:
    return Image.open(BytesIO(data), formats=[_plugin(kind)])


@cache
def _plugin(kind: Format) -> str:
    """Return Pillow's name of a format; load what reads the rarer ones, which no start has to wait for."""
    if kind is HEIC:
        # One core per picture, as for AVIF. Thumbnails and depth maps are not looked at.
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
def _errors_of(kind: Format) -> Iterator[None]:
    """Translate what Pillow raises, which for a hostile file may be any exception there is."""
    try:
        yield
    except (MemoryError, DescribeError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(f"the {kind.name} file declares too many pixels") from error
    except BrokenFileError as error:
        raise damaged(kind, str(error)) from error
    except Exception as error:
        raise damaged(kind, _first_words(error)) from error


def _first_words(error: Exception) -> str:
    # UnidentifiedImageError names an object's address instead of a cause.
    if isinstance(error, UnidentifiedImageError):
        return "its header makes no sense"
    return " ".join(str(error).split())[:200] or type(error).__name__


def _too_large(what: str) -> DescribeError:
    limit = f"at most {_in_words(_max_pixels())} are read"
    return DescribeError(Reason.IMAGE_TOO_LARGE, f"{what}; {limit}: submit a smaller version")


def _max_pixels() -> int:
    return Image.MAX_IMAGE_PIXELS or DEFAULT_MAX_PIXELS


def _in_words(pixels: int) -> str:
    """Return a number of pixels in megapixels if that is exact, otherwise in pixels."""
    return (
        f"{pixels:,} pixels"
        if pixels < 1_000_000 or pixels % 100_000
        else f"{pixels / 1e6:g} megapixels"
    )


def _check_size(width: int, height: int) -> None:
    if not width * height:
        raise BrokenFileError("its width or height is zero")
    if width * height > _max_pixels():
        raise _too_large(f"the image has {width}x{height} pixels")
    if max(width, height) > MAX_SIDE:
        what = f"the image has {width}x{height} pixels, and a side may have {MAX_SIDE}"
        raise DescribeError(Reason.IMAGE_TOO_LARGE, f"{what}: submit a part of it")


def _check_avif(width: int, height: int) -> None:
    if width * height <= _AVIF_MAX_PIXELS and max(width, height) <= _AVIF_MAX_SIDE:
        return
    most = f"{_AVIF_MAX_PIXELS:,} pixels, and {_AVIF_MAX_SIDE:,} on a side"
    what = f"the image has {width}x{height} pixels; the limit for AVIF is {most}"
    advice = "save it in another format, or submit a smaller version"
    raise DescribeError(Reason.IMAGE_TOO_LARGE, f"{what}; {advice}")


def _check_scans(image: bytes) -> None:
    # In entropy-coded data only 00 or a restart marker follows FF: this counts little else. Behind
    # the picture's end there may be a video.
    start = read_jpeg_header(image).scan_at or 0
    end = image.find(b"\xff\xd9", start)
    scans = image.count(b"\xff\xda", start, end if end >= 0 else len(image))

    if scans > MAX_SCANS:
        what = f"the JPEG file has {scans} scans, more than {MAX_SCANS}"
        raise DescribeError(
            Reason.IMAGE_TOO_LARGE, f"{what}; save it again with fewer and submit that"
        )


def _exif(image: bytes, file: ImageFile.ImageFile, kind: Format) -> Exif:
    """Read EXIF; a TIFF file is laid out like an EXIF block, and Pillow turns its picture by itself."""
    if kind is TIFF:
        return replace(read_exif(image), orientation=1)
    return read_exif(file.info.get("exif"))


def _bits(image: bytes, opened: OpenedPicture) -> int:
    """Return bits per channel as stored; Pillow decodes deep color to 8 bits and doesn't tell."""
    kind, mode = opened.kind, opened.mode
    if kind is PNG and mode != "P":  # a palette's colors have 8 bits whatever its indices have
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
