"""Supported file formats, recognized by their first bytes.

File names and content types are ignored, because they can be wrong.
"""

from dataclasses import dataclass

from ..models.reasons import DescribeError, Reason


@dataclass(frozen=True, slots=True)
class Format:
    """A supported image file format."""

    name: str
    """Human-readable name, which is also the value of `facts.format`."""
    media_type: str


JPEG = Format("JPEG", "image/jpeg")
PNG = Format("PNG", "image/png")
WEBP = Format("WebP", "image/webp")
GIF = Format("GIF", "image/gif")
AVIF = Format("AVIF", "image/avif")
BMP = Format("BMP", "image/bmp")
HEIC = Format("HEIC", "image/heic")
TIFF = Format("TIFF", "image/tiff")

SUPPORTED = (JPEG, PNG, WEBP, GIF, AVIF, BMP, HEIC, TIFF)

FORMAT_NAMES = ", ".join(known.name for known in SUPPORTED)

_SIGNATURES = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG", PNG),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"BM", BMP),
    (b"II*\0", TIFF),
    (b"MM\0*", TIFF),
    (b"II+\0", TIFF),
    (b"MM\0+", TIFF),
)

_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIC_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"heif"}
)
"""Brands of HEIF files that use the HEVC codec (ISO/IEC 23008-12, annex B), and `heif`, which older
phones wrote."""

_GENERIC_BRANDS = frozenset({b"mif1", b"msf1", b"mif2", b"miaf", b"1pic"})
"""Brands of HEIF files that may use any codec. Phones made before 2019 wrote HEVC files with no
other brand."""

# These signatures are used only in error messages, so the list need not be complete.
_UNSUPPORTED_SIGNATURES = (
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"8BPS", "Photoshop (PSD)"),
    (b"\0\0\1\0", "an icon (ICO)"),
    (b"\0\0\2\0", "a Targa picture (TGA) or a cursor (CUR)"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"II\xbc", "JPEG XR"),
    (b"FUJIFILMCCD-RAW", "a camera's raw file (RAF)"),
    (b"IIRO", "a camera's raw file (ORF)"),
    (b"IIRS", "a camera's raw file (ORF)"),
    (b"MMOR", "a camera's raw file (ORF)"),
    (b"IIU\0", "a camera's raw file (RW2)"),
    (b"gimp xcf", "GIMP (XCF)"),
    (b"qoif", "QOI"),
    (b"DDS ", "DirectDraw (DDS)"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"SIMPLE  =", "FITS"),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile (WMF)"),
    (b"\0\0\0\0\0\0\0\0 EMF", "a Windows metafile (EMF)"),
    (b"FLIF", "FLIF"),
    (b"BPG\xfb", "BPG"),
    (b"\x59\xa6\x6a\x95", "Sun raster"),
    (b"icns", "an icon (ICNS)"),
    (b"/* XPM */", "XPM"),
    (b"AT&TFORM", "DjVu"),
    (b"PK\3\4", "a ZIP archive or an Office document"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office document"),
    (b"\x1f\x8b", "gzip"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x1a\x45\xdf\xa3", "a video (Matroska or WebM)"),
    (b"ID3", "an MP3 recording"),
    (b"OggS", "Ogg"),
    (b"{\\rtf", "RTF"),
)

_UNSUPPORTED_BRANDS = (
    (b"crx ", "a camera's raw file (CR3)"),
    (b"qt  ", "a video (QuickTime)"),
    (b"M4V ", "a video (MP4)"),
    (b"isom", "a video (MP4)"),
    (b"iso2", "a video (MP4)"),
    (b"mp41", "a video (MP4)"),
    (b"mp42", "a video (MP4)"),
    (b"jxl ", "JPEG XL"),
    (b"jp2 ", "JPEG 2000"),
    (b"3gp4", "a video (3GP)"),
)

_UNSUPPORTED_WORDS = (
    (8, b"AVI ", "a video (AVI)"),
    (8, b"WAVE", "a recording (WAV)"),
    (128, b"DICM", "DICOM"),
)
"""Offsets and words that identify unsupported formats, each with the format's name."""

_UNSUPPORTED_TEXT = ((b"<svg", "SVG"), (b"<html", "HTML"), (b"<!doctype html", "HTML"))

_NETPBM_KINDS = frozenset(b"%d" % number for number in range(1, 8))

_SNIFF_BYTES = 1024
"""Number of bytes to search for `<svg` or `<html`, which comments and a declaration may precede."""


def recognize(image: bytes) -> Format:
    """Return the file's format.

    Raises:
        DescribeError: UnsupportedFormat. The message names the file's format if it is known.
    """
    for signature, known in _SIGNATURES:
        if image.startswith(signature):
            return known

    if image[:4] == b"RIFF" and image[8:12] == b"WEBP":
        return WEBP

    if found := _by_brands(brands(image)):
        return found

    unsupported = _unsupported_format(image)
    what = (
        f"looks like {unsupported}, which is not supported"
        if unsupported
        else "is not in a supported image format"
    )

    message = f"the file {what}; convert it to one of {FORMAT_NAMES} and submit it again"
    raise DescribeError(Reason.UNSUPPORTED_FORMAT, message)


def is_image(image: bytes) -> bool:
    """Return whether the data begins like a file in a supported format."""
    try:
        recognize(image)
    except DescribeError:
        return False
    return True


def brands(image: bytes) -> list[bytes]:
    """Return the brands in the `ftyp` box (ISO/IEC 14496-12), beginning with the major brand.

    The list is empty for files that do not begin with such a box.
    """
    if image[4:8] != b"ftyp":
        return []

    box = image[: min(int.from_bytes(image[:4], "big"), _SNIFF_BYTES)]
    return [bytes(box[8:12]), *(bytes(box[at : at + 4]) for at in range(16, len(box) - 3, 4))]


def _by_brands(found: list[bytes]) -> Format | None:
    if not _AVIF_BRANDS.isdisjoint(found):
        return AVIF
    if not _HEIC_BRANDS.isdisjoint(found) or (found and found[0] in _GENERIC_BRANDS):
        return HEIC
    return None


def _unsupported_format(image: bytes) -> str | None:
    """Return the name of the file's unsupported format, or None if it is not known."""
    found = brands(image)
    named = (
        *(name for signature, name in _UNSUPPORTED_SIGNATURES if image.startswith(signature)),
        *(name for brand, name in _UNSUPPORTED_BRANDS if brand in found),
        *(name for at, word, name in _UNSUPPORTED_WORDS if image[at : at + len(word)] == word),
        *(name for word, name in _UNSUPPORTED_TEXT if word in image[:_SNIFF_BYTES].lower()),
    )

    return "Netpbm (PNM)" if _is_netpbm(image) else next(iter(named), None)


def _is_netpbm(image: bytes) -> bool:
    return image[:1] == b"P" and image[1:2] in _NETPBM_KINDS and image[2:3].isspace()
