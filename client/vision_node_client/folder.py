"""Find the images in a folder."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".avif"}
    | {".bmp", ".dib", ".heic", ".heif", ".hif", ".tif", ".tiff"}
)
"""Endings of the names of images in the formats that the server supports, in lower case."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image in a folder."""

    custom_id: str
    """Its path relative to the folder, with slashes."""
    path: Path
    size: int
    """Number of bytes."""
    modified_ns: int
    """When it was last changed, in nanoseconds since 1970."""


def find_images(folder: Path) -> Iterator[ImageFile]:
    """Yield the images in a folder and its subfolders, sorted by their names.

    Files and folders whose names begin with a dot are skipped, and so are files whose names do not
    end like an image's. A symbolic link is followed only if its target is a file in the folder,
    and never to a folder, which could contain itself.

    Raises:
        OSError: A folder can't be read.
    """
    root = folder.resolve(strict=True)
    yield from _walk(root, root)


def _walk(root: Path, folder: Path) -> Iterator[ImageFile]:
    with os.scandir(folder) as entries:
        found = sorted((it for it in entries if not it.name.startswith(".")), key=_name)

    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(root, Path(entry.path))
        elif _is_image(root, entry):
            yield image_file(root, Path(entry.path))


def image_file(root: Path, path: Path) -> ImageFile:
    """Return an image as it is now.

    Raises:
        OSError: It is missing or can't be read.
    """
    found = path.stat()
    custom_id = path.relative_to(root).as_posix()
    return ImageFile(custom_id, path, found.st_size, found.st_mtime_ns)


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name


def _is_image(root: Path, entry: os.DirEntry[str]) -> bool:
    if Path(entry.name).suffix.lower() not in SUFFIXES or not entry.is_file():
        return False

    return not entry.is_symlink() or Path(entry.path).resolve().is_relative_to(root)
