"""Images that are to be uploaded: paths, bytes or open files."""

import mimetypes
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

Image = str | PathLike[str] | bytes | BinaryIO
"""The path of an image, its bytes, or a file that is open for reading in binary mode."""

ANY_TYPE = "application/octet-stream"
"""Media type of an image whose name does not say it. The server looks at the bytes."""


@dataclass(frozen=True, slots=True)
class ImageData:
    """The bytes of an image, and its name if it has one."""

    data: bytes
    name: str | None

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a request whose whole body is the image."""
        known = mimetypes.guess_type(self.name)[0] if self.name else None
        headers = {"Content-Type": known or ANY_TYPE}
        if self.name:
            # RFC 8187: the only form for names that are not ASCII.
            quoted = quote(self.name, safe="", errors="replace")
            headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quoted}"

        return headers


def read_image(image: Image) -> ImageData:
    """Return the bytes of an image.

    Raises:
        OSError: The file can't be read.
    """
    match image:
        case bytes():
            return ImageData(image, None)
        case str() | PathLike():
            path = Path(image)
            return ImageData(path.read_bytes(), path.name)
        case _:
            return ImageData(image.read(), _name_of(image))


def _name_of(file: BinaryIO) -> str | None:
    """Return the name of an open file; None if it is only a number or missing."""
    name = getattr(file, "name", None)
    return Path(name).name if isinstance(name, str) else None
