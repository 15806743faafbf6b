"""Where the images of a new batch come from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from ..folder import find_images
from ..images import Image
from ..models import Json

Files = Mapping[str, Image] | Iterable[str | PathLike[str]]
"""Images by their customId, or paths, whose names become customIds."""


@dataclass(frozen=True, slots=True)
class BatchSource:
    """The source of a batch. Exactly one of the fields is set."""

    files: Files | None = None
    folder: str | PathLike[str] | None = None
    """A folder on this machine."""
    prefix: str | None = None
    """A folder in the inbox, such as `inbox/holiday/`."""
    manifest: str | None = None
    """Key of a list of images in the inbox."""

    def __post_init__(self) -> None:
        given = (self.files, self.folder, self.prefix, self.manifest)
        if sum(it is not None for it in given) != 1:
            raise TypeError("give exactly one of files, folder, prefix and manifest")

    @property
    def document(self) -> Json | None:
        """The source as JSON if the server finds the images itself; otherwise None."""
        if self.prefix is not None:
            return {"prefix": self.prefix}
        return {"manifest": self.manifest} if self.manifest is not None else None

    def images(self) -> dict[str, Image]:
        """Return the images to upload by their customIds.

        Raises:
            ValueError: There are none, or two have the same name.
            OSError: The folder can't be read.
        """
        found = self._images()
        if not found:
            raise ValueError("there are no images to describe")

        return found

    def _images(self) -> dict[str, Image]:
        if self.folder is not None:
            return {it.custom_id: it.path for it in find_images(Path(self.folder))}
        if isinstance(self.files, Mapping):
            return dict(self.files)

        images: dict[str, Image] = {}
        for path in self.files or ():
            name = Path(path).name
            if name in images:
                raise ValueError(f"two files are called {name!r}; give a mapping of names to paths")
            images[name] = path

        return images
