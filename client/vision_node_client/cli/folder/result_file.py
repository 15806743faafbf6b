"""The file with the results of a folder."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO, Self

from ..exit_codes import UsageError
from ..formats import Format
from .atomic import write_atomically

try:
    import fcntl
except ImportError:  # Windows, where two runs at the same time are the user's problem.
    fcntl = None  # type: ignore[assignment]


class ResultFile:
    """A file to which results are appended. Only one process at a time may open it.

    Raises:
        UsageError: Another process has opened it.
        OSError: It can't be written.
    """

    def __init__(self, path: Path, written_as: Format) -> None:
        self.path = path
        self.format = written_as
        self._file = _open_locked(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def length(self) -> int:
        """Number of bytes."""
        return self._file.tell()

    def cut(self, length: int) -> None:
        """Remove what follows after this number of bytes.

        Raises:
            UsageError: The file is shorter, so it was changed by someone else.
        """
        if self._file.seek(0, os.SEEK_END) < length:
            raise UsageError(f"{self.path} is shorter than its journal says; choose another --out")

        self._file.truncate(length)
        self._file.seek(length)

    def append(self, lines: list[bytes]) -> None:
        """Append lines, which other programs can read at once."""
        self._file.write(b"".join(lines))
        self._file.flush()

    def sync(self) -> None:
        """Make sure that a crash of the machine loses no line."""
        os.fsync(self._file.fileno())

    def drop_failed(self, kept: Collection[str]) -> None:
        """Remove the lines of images that failed, except those with these customIds."""
        with self.path.open("rb") as file:
            write_atomically(self.path, self.format.without_failed(file, kept))

        old, self._file = self._file, _open_locked(self.path)
        old.close()
        self._file.seek(0, os.SEEK_END)

    def names(self) -> set[str]:
        """Return the customIds of all lines, as `Format.name_of` writes them."""
        with self.path.open("rb") as file:
            return set(self.format.names(file))


def _open_locked(path: Path) -> BinaryIO:
    file = path.open("ab+")
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise UsageError(f"another vision-node is writing to {path}") from error

    return file
