"""Determine the facts about an image, in the terms and units of its description."""

from dataclasses import dataclass

from pydantic import JsonValue

from ..imaging.picture import Picture, read_picture
from .appearance import Appearance, Kind, measure_appearance

# Aspect ratios of screens, sensors and prints. Manufacturers sell ultrawide screens with several
# different ratios as 21:9.
_RATIOS = (
    ("1:1", 1.0),
    ("5:4", 5 / 4),
    ("4:3", 4 / 3),
    ("7:5", 7 / 5),
    ("3:2", 3 / 2),
    ("16:10", 16 / 10),
    ("5:3", 5 / 3),
    ("16:9", 16 / 9),
    ("2:1", 2.0),
    ("19.5:9", 19.5 / 9),
    ("20:9", 20 / 9),
    ("21:9", 21 / 9),
    ("21:9", 64 / 27),
    ("21:9", 43 / 18),
    ("3:1", 3.0),
)

_RATIO_TOLERANCE = 0.01
"""Maximum relative deviation from a common ratio. For example, 640x427 counts as 3:2, and 1366x768
counts as 16:9."""

_COLOR_MODES = {
    "1": "black and white",
    "L": "grayscale",
    "LA": "grayscale with alpha",
    "I": "grayscale",
    "F": "grayscale",
    "P": "palette",
    "PA": "palette with alpha",
    "RGB": "RGB color",
    "RGBA": "RGB color with alpha",
    "CMYK": "CMYK",
    "YCbCr": "YCbCr color",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """A picture and its appearance. The properties derive facts from them."""

    picture: Picture
    appearance: Appearance
    size_bytes: int

    @property
    def width(self) -> int:
        """Width in pixels, as displayed."""
        return self.picture.height if self._sides_swapped else self.picture.width

    @property
    def height(self) -> int:
        """Height in pixels, as displayed."""
        return self.picture.width if self._sides_swapped else self.picture.height

    @property
    def _sides_swapped(self) -> bool:
        return self.picture.exif.orientation >= 5

    @property
    def orientation(self) -> str:
        """Orientation as displayed: landscape, portrait or square."""
        if self.aspect_ratio == "1:1":
            return "square"
        return "landscape" if self.width > self.height else "portrait"

    @property
    def aspect_ratio(self) -> str | None:
        """Ratio of width to height as displayed; None if it is not a common one."""
        ratio = max(self.width, self.height) / min(self.width, self.height)
        name, value = min(_RATIOS, key=lambda known: abs(ratio / known[1] - 1))
        if abs(ratio / value - 1) > _RATIO_TOLERANCE:
            return None
        return ":".join(reversed(name.split(":"))) if self.height > self.width else name

    @property
    def color_mode(self) -> str:
        """How a pixel is stored."""
        mode = self.picture.mode
        return _COLOR_MODES.get(mode.split(";")[0], mode)

    @property
    def kind(self) -> Kind:
        """Kind of picture, which is always a photograph if EXIF names a camera.

        Pixels alone can be misleading. For example, a photograph of a clear sky looks like a
        graphic.
        """
        return "photograph" if self.picture.exif.camera else self.appearance.kind

    @property
    def transparent(self) -> bool:
        """Whether any part of the picture is transparent."""
        return self.appearance.transparent_share > 0

    @property
    def background(self) -> str | None:
        """Color that makes a transparent picture visible; None for an opaque one."""
        if not self.transparent:
            return None

        return "black" if (self.appearance.brightness or 0) > 0.5 else "white"


def read_facts(image: bytes, *, sample_side: int | None = None) -> Facts:
    """Read a file and measure its picture.

    Args:
        image: The file.
        sample_side: See read_picture().

    Raises:
        DescribeError: ImageUnreadable, ImageTooLarge or UnsupportedFormat.
    """
    picture = read_picture(image, sample_side=sample_side)
    return Facts(
        picture=picture, appearance=measure_appearance(picture.small), size_bytes=len(image)
    )


def to_json(facts: Facts) -> dict[str, JsonValue]:
    """Return the facts as JSON, except those that are unknown."""
    values = _file_values(facts) | _appearance_values(facts) | _camera_values(facts)
    return {key: value for key, value in values.items() if value is not None}


def _file_values(facts: Facts) -> dict[str, JsonValue]:
    picture = facts.picture
    return {
        "format": picture.kind.name,
        "mediaType": picture.kind.media_type,
        "width": facts.width,
        "height": facts.height,
        "storedWidth": picture.width,
        "storedHeight": picture.height,
        "mode": picture.mode,
        "colorMode": facts.color_mode,
        "bitsPerChannel": picture.bits,
        "orientation": facts.orientation,
        "exifOrientation": picture.exif.orientation,
        "aspectRatio": facts.aspect_ratio,
        "sizeBytes": facts.size_bytes,
        "truncated": True if picture.intact else None,
        "pages": picture.pages if picture.pages > 1 else None,
    }


def _appearance_values(facts: Facts) -> dict[str, JsonValue]:
    appearance, animation = facts.appearance, facts.picture.animation
    return {
        "colors": [
            {"name": color.name, "hex": color.hex, "share": color.share}
            for color in appearance.colors
        ],
        "brightness": appearance.brightness,
        "contrast": appearance.contrast,
        "kind": facts.kind,
        "frames": animation.frames,
        "animationSeconds": animation.seconds or None,
        "describedFrame": facts.picture.frame + 1 if facts.picture.frame else None,
        "transparent": facts.transparent,
        "transparentShare": round(100 * appearance.transparent_share)
        if facts.transparent
        else None,
    }


def _camera_values(facts: Facts) -> dict[str, JsonValue]:
    exif = facts.picture.exif
    return {"camera": exif.camera, "takenAt": exif.taken.isoformat() if exif.taken else None}
