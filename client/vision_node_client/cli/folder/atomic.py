"""Replace files as a whole."""

import os
from collections.abc import Iterable
from pathlib import Path


def write_atomically(path: Path, pieces: Iterable[bytes]) -> None:
    """Replace a file. After a crash, it has either the old or the new content.

    Raises:
        OSError: It can't be written. The old content stays.
    """
    new = path.with_name(f".{path.name}.new")
    with new.open("wb") as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())

    new.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make sure that a crash of the machine does not undo the renaming of a file."""
    if os.name == "nt":
        return  # folders can't be opened

    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
