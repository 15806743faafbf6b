"""Read the few EXIF entries that a description may contain, and no others.

A library that reads every tag would also read where and by whom the picture was taken, and the
camera's serial number. The layout is defined in TIFF 6.0, section 2, and the tags are defined in
CIPA DC-008 (Exif 2.32), section 4.6.
"""

import struct
from dataclasses import dataclass
from datetime import datetime

_MAKE = 0x010F
_MODEL = 0x0110
_ORIENTATION = 0x0112
_EXIF_POINTER = 0x8769
_TAKEN = 0x9003  # DateTimeOriginal: when the shutter was released
_DIGITIZED = 0x9004  # DateTimeDigitized: when the file was made (differs only for scanned film)
_WANTED = frozenset({_MAKE, _MODEL, _ORIENTATION, _EXIF_POINTER, _TAKEN, _DIGITIZED})

_ASCII, _SHORT, _LONG = 2, 3, 4
_SIZES = {_ASCII: 1, _SHORT: 2, _LONG: 4}  # bytes per value; no wanted tag has another type

_INLINE_BYTES = 4

_MAX_ENTRIES = 512
"""Maximum number of entries read from a directory. Cameras write a few dozen, but a malicious file
may claim to have 65,535."""

_MAX_CHARACTERS = 60
"""Maximum length of a camera's name. The longest real names have about 40 characters. Much longer
text is not a name."""


@dataclass(frozen=True, slots=True)
class Exif:
    """Values that a camera recorded.

    A missing or invalid value is None, except for the orientation, which is then 1.
    """

    orientation: int = 1
    """How to turn the stored picture upright, from 1 to 8. The value 1 means that it is
    already upright; values from 5 to 8 swap its width and height."""
    camera: str | None = None
    taken: datetime | None = None
    """Time by the camera's clock, without the time zone, which would reveal a location."""


def read_exif(block: bytes | None) -> Exif:
    """Read an EXIF block with or without its `Exif` header. An invalid block counts as empty."""
    if not block:
        return Exif()

    try:
        tags = _tags(block.removeprefix(b"Exif\0\0"))
    except (struct.error, ValueError):
        return Exif()

    orientation = tags.get(_ORIENTATION)
    return Exif(
        orientation=_valid_orientation(orientation),
        camera=_camera(tags.get(_MAKE), tags.get(_MODEL)),
        taken=_parse_time(tags.get(_TAKEN)) or _parse_time(tags.get(_DIGITIZED)),
    )


_Tags = dict[int, int | str]


def _valid_orientation(orientation: int | str | None) -> int:
    return orientation if isinstance(orientation, int) and orientation in range(1, 9) else 1


def _tags(tiff: bytes) -> _Tags:
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        raise ValueError("not a TIFF header")

    (offset,) = struct.unpack_from(order + "L", tiff, 4)
    tags = _directory(tiff, order, offset)
    pointer = tags.get(_EXIF_POINTER)
    if isinstance(pointer, int):
        tags = _directory(tiff, order, pointer) | tags

    return tags


def _directory(tiff: bytes, order: str, offset: int) -> _Tags:
    """Return a directory's wanted entries, except those that point outside the block."""
    tags: _Tags = {}
    if offset + 2 > len(tiff):
        return tags

    (count,) = struct.unpack_from(order + "H", tiff, offset)
    for index in range(min(count, _MAX_ENTRIES)):
        at = offset + 2 + 12 * index
        if at + 12 > len(tiff):
            break

        tag, kind, length = struct.unpack_from(order + "HHL", tiff, at)
        size = _SIZES.get(kind, 0) * length
        if tag not in _WANTED or not size:
            continue

        # The entry's last four bytes are the value if it fits, and the value's offset otherwise.
        fits = size <= _INLINE_BYTES
        start = at + 8 if fits else struct.unpack_from(order + "L", tiff, at + 8)[0]
        if start + size <= len(tiff):
            tags.setdefault(tag, _value(tiff[start : start + size], kind, order))

    return tags


def _value(data: bytes, kind: int, order: str) -> int | str:
    if kind == _ASCII:
        # Truncate before decoding, because a string may be megabytes long.
        return _printable(data[: 4 * _MAX_CHARACTERS].split(b"\0")[0])

    form = order + ("H" if kind == _SHORT else "L")
    value: int = struct.unpack_from(form, data)[0]
    return value


def _printable(data: bytes) -> str:
    """Return one short line without control, bidirectional or undecodable characters."""
    text = data.decode("utf-8", errors="replace").replace("\N{REPLACEMENT CHARACTER}", " ")
    text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split())[:_MAX_CHARACTERS].rstrip()


def _camera(make: int | str | None, model: int | str | None) -> str | None:
    """Return the camera's name, which consists of its maker and model; None if both are missing.

    The maker is left out if the model's name begins with it. For example, "NIKON CORPORATION" and
    "NIKON D70" become "NIKON D70".
    """
    maker = make if isinstance(make, str) else ""
    name = model if isinstance(model, str) else ""
    if maker and name:
        brand = maker.split()[0].lower()
        repeated = name.lower().startswith(brand)
        name = name if repeated else f"{maker} {name}"

    return (name or maker)[:_MAX_CHARACTERS].rstrip() or None


def _parse_time(value: int | str | None) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        # A camera's clock has no time zone.
        return datetime.strptime(value, "%Y:%m:%d %H:%M:%S")  # noqa: DTZ007
    except ValueError:  # blank or 0000:00:00 if the clock was never set
        return None
