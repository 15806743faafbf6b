"""Which file formats are read, recognized by their first bytes: names and content types lie."""

from dataclasses import dataclass

from vision_node_contract.reasons import DescribeError, Reason


@dataclass(frozen=True, slots=True)
class Format:
    """A file format that can be described."""

    name: str
    """As Pillow and people call it."""
    media_type: str


JPEG = Format("JPEG", "image/jpeg")
PNG = Format("PNG", "image/png")
WEBP = Format("WebP", "image/webp")
GIF = Format("GIF", "image/gif")
AVIF = Format("AVIF", "image/avif")
BMP = Format("BMP", "image/bmp")

SUPPORTED = (JPEG, PNG, WEBP, GIF, AVIF, BMP)

_SIGNATURES = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"BM", BMP),
)

# Only to tell people what they sent; the list need not be complete.
_FOREIGN = (
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"8BPS", "Photoshop"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\0\0\1\0", "icon"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"PK\3\4", "ZIP"),
    (b"\x1f\x8b", "gzip"),
)

_SNIFF_BYTES = 1024
"""How far to look for `<svg` or `<html`, which may follow comments and a declaration."""


def recognize(image: bytes) -> Format:
    """Return the file's format.

    Raises:
        DescribeError: UnsupportedFormat.
    """
    for signature, known in _SIGNATURES:
        if image.startswith(signature):
            return known
    if image[:4] == b"RIFF" and image[8:12] == b"WEBP":
        return WEBP
    if _brands(image) & {b"avif", b"avis"}:
        return AVIF
    formats = ", ".join(known.name for known in SUPPORTED)
    message = f"the file {_looks_like(image)}; convert it to one of {formats} and submit it again"
    raise DescribeError(Reason.UNSUPPORTED_FORMAT, message)


def is_image(data: bytes) -> bool:
    """Return whether data begins like a file in a supported format."""
    try:
        recognize(data)
    except DescribeError:
        return False
    return True


def _brands(image: bytes) -> set[bytes]:
    """Return an ISO media file's brands (ISO/IEC 14496-12, `ftyp`), its own and compatible ones."""
    if image[4:8] != b"ftyp":
        return set()
    box = image[: min(int.from_bytes(image[:4], "big"), _SNIFF_BYTES)]
    return {box[8:12], *(box[at : at + 4] for at in range(16, len(box) - 3, 4))}


def _looks_like(image: bytes) -> str:
    for signature, name in _FOREIGN:
        if image.startswith(signature):
            return f"looks like {name}, which is not supported"
    if _brands(image) & {b"heic", b"heix", b"heif", b"mif1", b"hevc"}:
        return "looks like HEIC, which is not supported"
    start = image[:_SNIFF_BYTES].lower()
    for word, name in ((b"<svg", "SVG"), (b"<html", "HTML")):
        if word in start:
            return f"looks like {name}, which is not supported"
    return "is in no supported image format"
