"""What is known about one image, in the words and units of the answer."""

from dataclasses import dataclass

from pydantic import JsonValue

from ..imaging.picture import Picture, read_picture
from .appearance import Kind, Looks, look_at

# Width to height of screens, sensors and prints. Ultrawide screens are sold as 21:9 whatever they
# measure.
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

_NEAR = 0.01
"""Relative: 640x427 is 3:2, 1366x768 is 16:9."""

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
    """A picture and how it looks; properties put them into words."""

    picture: Picture
    looks: Looks
    size_bytes: int

    @property
    def width(self) -> int:
        """Pixels, as shown."""
        return self.picture.height if self._turned else self.picture.width

    @property
    def height(self) -> int:
        """Pixels, as shown."""
        return self.picture.width if self._turned else self.picture.height

    @property
    def _turned(self) -> bool:
        return self.picture.exif.orientation >= 5

    @property
    def orientation(self) -> str:
        """As shown: landscape, portrait or square."""
        if self.aspect_ratio == "1:1":
            return "square"
        return "landscape" if self.width > self.height else "portrait"

    @property
    def aspect_ratio(self) -> str | None:
        """Width to height as shown, if it is a common one."""
        ratio = max(self.width, self.height) / min(self.width, self.height)
        name, value = min(_RATIOS, key=lambda known: abs(ratio / known[1] - 1))
        if abs(ratio / value - 1) > _NEAR:
            return None
        return ":".join(reversed(name.split(":"))) if self.height > self.width else name

    @property
    def color_mode(self) -> str:
        """How a pixel is stored."""
        mode = self.picture.mode
        return _COLOR_MODES.get(mode.split(";")[0], mode)

    @property
    def kind(self) -> Kind:
        """A camera's name settles what the pixels leave in doubt, such as a clear sky."""
        return "photograph" if self.picture.exif.camera else self.looks.kind

    @property
    def transparent(self) -> bool:
        """Whether something shows through."""
        return self.looks.transparent_share > 0


def read_facts(image: bytes) -> Facts:
    """Read a file and look at it.

    Raises:
        DescribeError: ImageUnreadable, ImageTooLarge or UnsupportedFormat.
    """
    picture = read_picture(image)
    return Facts(picture=picture, looks=look_at(picture.small), size_bytes=len(image))


def to_json(facts: Facts) -> dict[str, JsonValue]:
    """Return the plain values, without those that are unknown."""
    values = _file_values(facts) | _looks_values(facts) | _camera_values(facts)
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


def _looks_values(facts: Facts) -> dict[str, JsonValue]:
    looks, animation = facts.looks, facts.picture.animation
    return {
        "colors": [
            {"name": color.name, "hex": color.hex, "share": color.share} for color in looks.colors
        ],
        "brightness": looks.brightness,
        "contrast": looks.contrast,
        "kind": facts.kind,
        "frames": animation.frames,
        "animationSeconds": animation.seconds or None,
        "describedFrame": facts.picture.frame + 1 if facts.picture.frame else None,
        "transparent": facts.transparent,
        "transparentShare": round(100 * looks.transparent_share) if facts.transparent else None,
    }


def _camera_values(facts: Facts) -> dict[str, JsonValue]:
    exif = facts.picture.exif
    return {"camera": exif.camera, "takenAt": exif.taken.isoformat() if exif.taken else None}
