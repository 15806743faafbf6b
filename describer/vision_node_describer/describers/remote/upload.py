"""Prepare the picture that is sent to a provider: upright, scaled down and without metadata."""

from dataclasses import dataclass
from io import BytesIO

from PIL import Image
from vision_node_contract.images.formats import BMP, GIF, JPEG, PNG, Format

from ..imaging.picture import decoding_bytes, open_picture
from ..imaging.pixels import reduced, turned_upright

_LOSSLESS = (PNG, GIF, BMP)
"""Formats of most screenshots and drawings. These remain sharp as PNG."""

_MAX_PNG_BYTES = 1_500_000
"""Maximum size in bytes of a picture that is sent as PNG. A larger picture is most likely a
photograph, which takes a tenth of the space as JPEG without visible loss."""

_JPEG_QUALITY = 90

_SCALING_BYTES = 12
"""Memory for scaling, in bytes per pixel. It covers RGBA before and after averaging, and a copy on
a white background."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits on the size of a picture, in pixels."""

    max_longer: int
    """Maximum length of the longer side."""
    max_shorter: int | None = None
    """Maximum length of the shorter side; None if it has no limit of its own."""
    min_side: int = 1
    """Minimum length of each side; a smaller picture gets a white border."""

    def fit(self, width: int, height: int) -> tuple[int, int]:
        """Return the largest size within the limits, never larger than the picture."""
        scale = min(1.0, self.max_longer / max(width, height))
        if self.max_shorter is not None:
            scale = min(scale, self.max_shorter / min(width, height))

        return max(1, round(width * scale)), max(1, round(height * scale))


@dataclass(frozen=True, slots=True)
class Upload:
    """A JPEG or PNG file that is sent to a provider."""

    data: bytes
    media_type: str
    width: int
    height: int


def preparation_bytes(image: bytes, bounds: Bounds) -> int:
    """Return the maximum memory that prepare_upload() takes, in bytes."""
    decoded = decoding_bytes(image)  # at least 4 bytes per pixel

    # The picture to scale has less than twice the final width and height, and never more pixels
    # than the file.
    scaled_pixels = 4 * bounds.max_longer * (bounds.max_shorter or bounds.max_longer)

    return decoded + _SCALING_BYTES * min(decoded // 4, scaled_pixels)


def prepare_upload(image: bytes, bounds: Bounds) -> Upload:
    """Return the picture in a new sRGB file without EXIF, comments, color profile or other frames.

    Raises:
        DescribeError: ImageUnreadable, ImageTooLarge or UnsupportedFormat.
    """
    with open_picture(image) as opened:
        decoded = opened.decode(bounds.fit(*opened.size))

        # Send only the intact rows of a truncated file. A model would see missing rows as black.
        width, height = opened.size
        size = bounds.fit(width, max(1, round(height * decoded.height / opened.file.height)))

        # Average whole pixels first. Scaling in one step would take ten times as much time and
        # memory.
        factor = max(1, min(decoded.width // size[0], decoded.height // size[1]))
        picture = _on_white(reduced(decoded, factor))

    # The picture can be scaled before it is turned, because the limits don't depend on which side
    # is the width.
    picture = picture.resize(size, Image.Resampling.LANCZOS)
    upright = turned_upright(picture, opened.exif.orientation)

    return _encode(_with_border(upright, bounds.min_side), opened.kind)


def _on_white(picture: Image.Image) -> Image.Image:
    """Return the picture in RGB on a white background.

    A model would see transparent areas as black and could not see dark text on them.
    """
    white = Image.new("RGB", picture.size, "white")
    white.paste(picture, mask=picture.getchannel("A"))
    return white


def _with_border(picture: Image.Image, min_side: int) -> Image.Image:
    if min(picture.size) >= min_side:
        return picture

    bordered = Image.new(
        "RGB", (max(picture.width, min_side), max(picture.height, min_side)), "white"
    )
    bordered.paste(picture)

    return bordered


def _encode(picture: Image.Image, kind: Format) -> Upload:
    if kind in _LOSSLESS:
        data = _save(picture, PNG)
        if len(data) <= _MAX_PNG_BYTES:
            return Upload(data, PNG.media_type, *picture.size)

    return Upload(_save(picture, JPEG, quality=_JPEG_QUALITY), JPEG.media_type, *picture.size)


def _save(picture: Image.Image, kind: Format, **parameters: int) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, kind.name, **parameters)
    return buffer.getvalue()
