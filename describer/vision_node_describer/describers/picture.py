"""Opens a file that anybody may have made, and decodes it once, as cheaply as its format allows."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

# All six plugins by name: Image.open would import Pillow's forty others to find WebP and AVIF.
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,  # noqa: F401
    GifImagePlugin,  # noqa: F401
    Image,
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401
)
from vision_node_contract.images.formats import AVIF, JPEG, PNG, Format, recognize
from vision_node_contract.reasons import DescribeError, Reason

from .animation import Animation, BrokenFileError, count_frames
from .exif import Exif, read_exif

MAX_PIXELS = 100_000_000
"""The largest cameras on sale make 100 megapixels. Decoded, a pixel takes four bytes in memory, but
nine as AVIF and sixteen as WebP, whose decoders keep copies: measured, 430, 890 and 1,570 MB."""

_BYTES_PER_PIXEL = {"JPEG": 4, "PNG": 5, "GIF": 5, "BMP": 8, "AVIF": 10, "WEBP": 16}
"""Measured at MAX_PIXELS (JPEG: progressive, 3.3; PNG: 4.3; BMP: 7.1; AVIF: 8.9; WebP: 15.7), rounded up."""

MAX_SCANS = 200
"""Of a progressive JPEG. Encoders write about ten; a scan of a few bytes costs a walk over the
whole picture, so a small file with many of them would hold a worker for hours."""

SMALL_SIDE = 128
"""Pixels on the longer side that are enough to tell colours and kind; the rest is time."""

_MAX_16_BITS = 65535.0

_STRIP_PIXELS = 1_000_000
"""Converted at a time: a second copy of a picture of MAX_PIXELS would double the memory."""

_DRAFT_SIDE = 64
"""A JPEG may be decoded at 1/2, 1/4 or 1/8 as long as its shorter side keeps this many pixels."""

# Pillow's settings are process-wide and catching warnings is not safe in threads: hence once, here.
# It warns above the limit (an error by the filter) and refuses by itself above twice the limit.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
# Remarks about odd EXIF: of use to nobody, and each different one would be remembered for ever.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
# One core per picture: a worker describes several at a time and has a CPU limit; the default takes
# as many threads as the node has cores.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1


@dataclass(frozen=True, slots=True)
class Picture:
    """What there is to know about a file, and a small copy of its first frame."""

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
    """RGBA, at most SMALL_SIDE pixels wide and high, not turned by the orientation."""


def decoding_bytes(image: bytes) -> int:
    """Return the memory that read_picture() takes at most, in bytes; 0 for what it will refuse anyway."""
    try:
        kind = recognize(image)
        with _errors_of(kind), Image.open(BytesIO(image), formats=[kind.name]) as opened:
            return opened.width * opened.height * _BYTES_PER_PIXEL[kind.name.upper()]
    except DescribeError:
        return 0


def read_picture(image: bytes) -> Picture:
    """Read everything in one go.

    Raises:
        DescribeError: ImageUnreadable, ImageTooLarge or UnsupportedFormat.
    """
    with open_picture(image) as (kind, opened):
        width, height = opened.size
        mode = opened.mode  # this and the size: before decoding, which may change both
        exif = read_exif(opened.info.get("exif"))
        small = shrink(opened)
        bits = _bits(image, kind, mode)
        return Picture(kind, width, height, mode, bits, exif, count_frames(image, kind), small)


@contextmanager
def open_picture(image: bytes) -> Iterator[tuple[Format, Image.Image]]:
    """Open a file whose header and end have been found sound; what goes wrong inside is translated, too.

    Raises:
        DescribeError: ImageUnreadable, ImageTooLarge or UnsupportedFormat.
    """
    if not image:
        raise DescribeError(Reason.IMAGE_UNREADABLE, "the file is empty; upload it again")
    kind = recognize(image)
    with _errors_of(kind), Image.open(BytesIO(image), formats=[kind.name]) as opened:
        _check_size(*opened.size)
        if kind is JPEG:
            _check_scans(image)
            _check_end(image, opened.fp.tell() if opened.fp else 0)
        yield kind, opened


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
        raise _unreadable(kind, str(error)) from error
    except Exception as error:
        raise _unreadable(kind, _first_words(error)) from error


def _first_words(error: Exception) -> str:
    # UnidentifiedImageError names an object's address instead of a cause.
    if isinstance(error, UnidentifiedImageError):
        return "its header makes no sense"
    return " ".join(str(error).split())[:200] or type(error).__name__


def _unreadable(kind: Format, why: str) -> DescribeError:
    message = f"the {kind.name} file is truncated or damaged ({why}); upload an intact copy"
    return DescribeError(Reason.IMAGE_UNREADABLE, message)


def _too_large(what: str) -> DescribeError:
    limit = f"at most {MAX_PIXELS // 1_000_000} megapixels are read"
    return DescribeError(Reason.IMAGE_TOO_LARGE, f"{what}; {limit}: submit a smaller version")


def _check_size(width: int, height: int) -> None:
    if not width * height:
        raise BrokenFileError("its width or height is zero")
    if width * height > MAX_PIXELS:
        raise _too_large(f"the image has {width}x{height} pixels")


def _check_scans(image: bytes) -> None:
    # In entropy-coded data only 00 or a restart marker follows FF: this counts little else.
    scans = image.count(b"\xff\xda")
    if scans > MAX_SCANS:
        what = f"the JPEG file has {scans} scans, more than {MAX_SCANS}"
        raise DescribeError(Reason.IMAGE_TOO_LARGE, f"{what}; save it anew and submit that")


def _check_end(image: bytes, pixels_at: int) -> None:
    # Whether libjpeg misses the end mark depends on Pillow's buffer, and zeros look like pixels to it
    # (an interrupted upload into a file of full size). An embedded preview has an end mark, too.
    if image.rfind(b"\xff\xd9") < pixels_at:
        raise BrokenFileError("it lacks its end")


def _bits(image: bytes, kind: Format, mode: str) -> int:
    """Return bits per channel as stored; Pillow decodes deep colour to 8 bits and doesn't tell."""
    if kind is PNG and mode != "P":  # a palette's colours have 8 bits whatever its indices have
        return image[24]  # IHDR (PNG third edition, 11.2.1)
    if kind is AVIF and (at := image.find(b"av1C")) >= 0:
        flags = image[at + 6]  # AV1 Codec ISO Media File Format Binding, 2.3.3
        return 8 if not flags & 0x40 else 12 if flags & 0x20 else 10
    return 1 if mode == "1" else 8


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""By EXIF orientation, what makes the stored picture upright (CIPA DC-008, 4.6.4)."""


def turned_upright(picture: Image.Image, orientation: int) -> Image.Image:
    """Return the picture as it is meant to be seen."""
    turn = _TURNS.get(orientation)
    return picture if turn is None else picture.transpose(turn)  # the first one's value is 0


def shrink(picture: Image.Image) -> Image.Image:
    """Return a small RGBA copy, averaging over what each of its pixels covers."""
    picture.draft(None, (_DRAFT_SIDE, _DRAFT_SIDE))
    picture.load()
    return reduced(picture, -(-max(picture.size) // SMALL_SIDE))


def reduced(picture: Image.Image, factor: int) -> Image.Image:
    """Return a decoded picture as RGBA, averaged over squares of `factor` pixels."""
    if picture.mode in ("I", "F"):
        picture = _stretched(picture)
    width, height = picture.size
    if factor == 1:
        return _as_seen(picture).convert("RGBA")
    small = Image.new("RGBA", (-(-width // factor), -(-height // factor)))
    rows = factor * max(1, _STRIP_PIXELS // (factor * width))
    for top in range(0, height, rows):
        strip = _as_seen(picture.crop((0, top, width, min(top + rows, height))))
        # Averages weighted by alpha: what is invisible colours nothing.
        small.paste(strip.reduce(factor).convert("RGBA"), (0, top // factor))
    return small


def _as_seen(picture: Image.Image) -> Image.Image:
    """Return the picture in a mode of 8 bits that can be averaged."""
    if picture.mode.startswith("I;16"):
        return picture.point(lambda value: value / 257).convert("L")
    if picture.has_transparency_data and picture.mode not in ("LA", "RGBA"):
        return picture.convert("RGBA")
    if picture.mode in ("L", "LA", "RGB", "RGBA", "CMYK", "YCbCr"):
        return picture
    return picture.convert("L" if picture.mode == "1" else "RGB")


def _stretched(picture: Image.Image) -> Image.Image:
    """Return a 32-bit picture as grey: 16-bit values stay as bright, others fill the range."""
    low, high = (float(value) for value in picture.getextrema())  # type: ignore[arg-type]
    if picture.mode == "I" and low >= 0 and high <= _MAX_16_BITS:
        low, high = 0.0, _MAX_16_BITS
    scale = 255 / (high - low) if high > low else 1.0
    return picture.point(lambda value: value * scale - low * scale).convert("L")
