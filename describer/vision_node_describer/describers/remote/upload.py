"""Makes of a file the picture that may leave the worker: upright, small, nothing but pixels."""

from dataclasses import dataclass
from io import BytesIO

from PIL import Image
from vision_node_contract.images.formats import BMP, GIF, JPEG, PNG, Format

from ..imaging.picture import decoding_bytes, open_picture
from ..imaging.pixels import reduced, turned_upright

_LOSSLESS = (PNG, GIF, BMP)
"""Screenshots and drawings mostly: they stay sharp as PNG."""

_PNG_BYTES = 1_500_000
"""A larger PNG is a photograph, which as JPEG takes a tenth of that and loses nothing that anybody
sees."""

_JPEG_QUALITY = 90

_SCALING_BYTES = 12
"""Per pixel that is scaled: RGBA before and after averaging, and while it is laid on white."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How large a picture may be, in pixels as shown."""

    longest: int
    shortest: int | None = None
    """Of the shorter side; None: no bound of its own."""
    least: int = 1
    """Of either side; a smaller picture is given a white border."""

    def fit(self, width: int, height: int) -> tuple[int, int]:
        """Return the largest size in these bounds; never a larger one than the picture has."""
        scale = min(1.0, self.longest / max(width, height))
        if self.shortest is not None:
            scale = min(scale, self.shortest / min(width, height))
        return max(1, round(width * scale)), max(1, round(height * scale))


@dataclass(frozen=True, slots=True)
class Upload:
    """What leaves: a JPEG or PNG file."""

    data: bytes
    media_type: str
    width: int
    height: int


def upload_bytes(image: bytes, bounds: Bounds) -> int:
    """Return the memory that prepare() takes at most, in bytes."""
    decoded = decoding_bytes(image)  # at least 4 bytes a pixel
    # What is scaled has less than twice the final width and height, and never more pixels than the
    # file.
    scaled = 4 * bounds.longest * (bounds.shortest or bounds.longest)
    return decoded + _SCALING_BYTES * min(decoded // 4, scaled)


def prepare(image: bytes, bounds: Bounds) -> Upload:
    """Return the picture in a new file, in sRGB: without EXIF, comments, color profile, further frames.

    Raises:
        DescribeError: ImageUnreadable, ImageTooLarge or UnsupportedFormat.
    """
    with open_picture(image) as opened:
        decoded = opened.decode(bounds.fit(*opened.size))
        # Of a file that ends early only what is there is sent: a model would take missing rows for
        # black.
        width, height = opened.size
        size = bounds.fit(width, max(1, round(height * decoded.height / opened.file.height)))
        # Averaging whole pixels first costs a tenth of the time and memory of scaling at once.
        factor = max(1, min(decoded.width // size[0], decoded.height // size[1]))
        picture = _on_white(reduced(decoded, factor))

    picture = picture.resize(
        size, Image.Resampling.LANCZOS
    )  # turning swaps the sides, the bounds stay
    upright = turned_upright(picture, opened.exif.orientation)

    return _encode(_bordered(upright, bounds.least), opened.kind)


def _on_white(picture: Image.Image) -> Image.Image:
    """Return RGB: a model would see black where nothing is, and dark text on it not at all."""
    white = Image.new("RGB", picture.size, "white")
    white.paste(picture, mask=picture.getchannel("A"))
    return white


def _bordered(picture: Image.Image, least: int) -> Image.Image:
    if min(picture.size) >= least:
        return picture
    large = Image.new("RGB", (max(picture.width, least), max(picture.height, least)), "white")
    large.paste(picture)
    return large


def _encode(picture: Image.Image, kind: Format) -> Upload:
    if kind in _LOSSLESS:
        data = _saved(picture, PNG)
        if len(data) <= _PNG_BYTES:
            return Upload(data, PNG.media_type, *picture.size)
    return Upload(_saved(picture, JPEG, quality=_JPEG_QUALITY), JPEG.media_type, *picture.size)


def _saved(picture: Image.Image, kind: Format, **how: int) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, kind.name, **how)
    return buffer.getvalue()
