"""Show a decoded picture as a viewer would: opaque, complete and upright."""

from PIL import Image

from .picture import Picture
from .pixels import turned_upright


def as_displayed(
    decoded: Image.Image, picture: Picture, *, size: tuple[int, int], background: str | None
) -> Image.Image:
    """Return a decoded picture as RGB.

    Args:
        decoded: The decoded pixels as RGBA, at any scale.
        picture: The properties of the file.
        size: Width and height that the complete picture has at this scale.
        background: Color behind transparent pixels; None if there are none.
    """
    opaque = _on_background(decoded, background)
    complete = _with_missing_rows(opaque, picture, size)
    return turned_upright(complete, picture.exif.orientation)


def _on_background(decoded: Image.Image, background: str | None) -> Image.Image:
    if background is None:
        return decoded.convert("RGB")

    opaque = Image.new("RGB", decoded.size, background)
    opaque.paste(decoded, mask=decoded.getchannel("A"))
    return opaque


def _with_missing_rows(
    decoded: Image.Image, picture: Picture, size: tuple[int, int]
) -> Image.Image:
    """Return the picture with white in place of missing rows, so that the rest stays in place."""
    if picture.intact is None:
        return decoded

    whole = Image.new("RGB", size, "white")
    whole.paste(decoded, (0, round(picture.intact.top * size[1])))
    return whole
