"""Collect the files of an upload: images, refused files and files that are skipped."""

from dataclasses import dataclass

from vision_node_contract.digest_set import DigestSet

from .archive_names import is_archive_name
from .file_content import FileContent
from .file_names import NameInvalidError, custom_id_of, is_skipped
from .refusals import FileReason, FileRefusedError, Refusals, duplicate


@dataclass(frozen=True, slots=True)
class ReceivedImage:
    """An image that has arrived completely."""

    custom_id: str
    data: bytes


class FileCollector:
    """Decides about each file of an upload, one after another.

    Args:
        max_image_bytes: Maximum size of an image in bytes.
    """

    def __init__(self, max_image_bytes: int) -> None:
        self.refusals = Refusals()
        self.skipped = 0
        """Number of hidden files, which are left out."""
        self._max_image_bytes = max_image_bytes
        self._custom_ids = DigestSet()
        self._custom_id = ""
        """customId of the file that is arriving."""
        self._content: FileContent | None = None
        """Its content; None if there is no file, or it is ignored."""
        self._ready: list[ReceivedImage] = []

    @property
    def kept_bytes(self) -> int:
        """Number of bytes that are in memory."""
        arriving = self._content.kept_bytes if self._content else 0
        return arriving + sum(len(it.data) for it in self._ready)

    @property
    def has_images(self) -> bool:
        """Whether `take` returns any images."""
        return bool(self._ready)

    def begin(self, path: str) -> None:
        """Begin a file with this path."""
        if custom_id := self._named(path):
            self._custom_id = custom_id
            self._content = FileContent(
                self._max_image_bytes, is_archive=is_archive_name(custom_id)
            )

    def write(self, data: bytes | memoryview) -> None:
        """Receive the next bytes of the file."""
        if self._content:
            self._content.write(data)

    def end(self) -> None:
        """End the file."""
        content, self._content = self._content, None
        if content is None:
            return

        try:
            data = content.close()
            self._require_new(self._custom_id)
        except FileRefusedError as error:
            self.refusals.add(error.of(self._custom_id))
            return

        self._ready.append(ReceivedImage(self._custom_id, data))

    def refuse(self, path: str, error: FileRefusedError) -> None:
        """Refuse something that is no regular file, unless its name would be skipped anyway."""
        if self._named(path):
            self.refusals.add(error.of(path))

    def refuse_nameless(self, error: FileRefusedError) -> None:
        """Refuse a file that has no name."""
        self.refusals.add(error.of(""))

    def take(self) -> list[ReceivedImage]:
        """Return the images that have arrived since the last call."""
        ready, self._ready = self._ready, []
        return ready

    def discard(self) -> None:
        """Free the memory of all files."""
        self._ready.clear()
        if self._content:
            self._content.discard()

    def _named(self, path: str) -> str | None:
        """Return the customId of a file; None if it is skipped, or has been refused."""
        if is_skipped(path):
            self.skipped += 1
            return None

        try:
            return custom_id_of(path)
        except NameInvalidError as error:
            self.refusals.add(FileRefusedError(FileReason.NAME_INVALID, str(error)).of(path))
            return None

    def _require_new(self, custom_id: str) -> None:
        """Refuse an image if another one has its name. One that was refused does not count."""
        if not self._custom_ids.add(custom_id):
            raise duplicate()
