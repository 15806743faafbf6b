"""Decide about each member of a zip file, by what the central directory says of it.

The bytes of the members are not read. Workers do that, and check them.
"""

from posixpath import splitext

from vision_node_contract.batch_objects import ZipMember
from vision_node_contract.batch_uploads import ZIP_NAME, UploadedImage
from vision_node_contract.digest_set import DigestSet
from vision_node_contract.images.formats import FORMAT_NAMES

from .archive_names import is_archive_name
from .file_content import too_large
from .file_names import NameInvalidError, custom_id_of, is_skipped
from .member_offsets import MemberOffsets
from .refusals import FileReason, FileRefusedError, Refusal, duplicate, empty
from .zip_directory import ZipEntry

_LOCAL_HEADER_BYTES = 30
"""Size of a local header in bytes, without the name and the extra field."""

_MAX_FIELD_BYTES = 0xFFFF
"""Maximum size of the name and of the extra field in a local header, in bytes."""

_MAX_DEFLATE_RATIO = 1032
"""Maximum size of data in relation to its deflated size: two bits stand for up to 258 bytes (RFC
1951)."""

_STORED = 0
_DEFLATED = 8

EXTENSIONS = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif"),
        *(".png", ".apng"),
        *(".webp", ".gif", ".avif"),
        *(".bmp", ".dib"),
        *(".heic", ".heif", ".hif"),
        *(".tif", ".tiff"),
    }
)
"""Extensions of supported formats. The client sends files with the same ones."""


class MemberJudge:
    """Turns each member of a zip file into a line of a list, or into a refusal.

    Args:
        offsets: The sorted offsets of all members.
        max_image_bytes: Maximum size of an image in bytes.
    """

    def __init__(self, offsets: MemberOffsets, max_image_bytes: int) -> None:
        self._offsets = offsets
        self._max_image_bytes = max_image_bytes
        self._custom_ids = DigestSet()
        self.skipped = 0
        """Number of hidden files, which are left out."""

    def judge(self, entry: ZipEntry) -> UploadedImage | Refusal | None:
        """Return the image, or why it is refused; None for a member that is left out."""
        name = entry.name
        if entry.is_folder:
            return None
        if is_skipped(name):
            self.skipped += 1
            return None

        try:
            return self._image(entry, name)
        except FileRefusedError as error:
            return error.of(name)

    def _image(self, entry: ZipEntry, name: str) -> UploadedImage:
        custom_id = _custom_id(name)
        _require_image_file(entry, custom_id)
        self._require_size(entry)
        member = _zip_member(entry)
        offset, length = self._place(entry)

        if not self._custom_ids.add(custom_id):
            raise duplicate()

        return UploadedImage(
            custom_id=custom_id,
            object=ZIP_NAME,
            offset=offset,
            length=length,
            size=entry.size,
            zip=member,
        )

    def _require_size(self, entry: ZipEntry) -> None:
        if not entry.size:
            raise empty()
        if entry.size > self._max_image_bytes:
            raise too_large(self._max_image_bytes)

    def _place(self, entry: ZipEntry) -> tuple[int, int]:
        """Return the offset of the member's local header, and the number of bytes to read."""
        if entry.offset is None:
            raise _damaged("has no zip64 field with its place")

        room = self._offsets.room(entry.offset)
        if _LOCAL_HEADER_BYTES + len(entry.raw_name) + entry.compressed_size > room:
            raise _damaged("overlaps another one")

        most = _LOCAL_HEADER_BYTES + 2 * _MAX_FIELD_BYTES + entry.compressed_size
        return entry.offset, min(room, most)


def _custom_id(name: str) -> str:
    try:
        return custom_id_of(name)
    except NameInvalidError as error:
        raise FileRefusedError(FileReason.NAME_INVALID, str(error)) from error


def _require_image_file(entry: ZipEntry, custom_id: str) -> None:
    """Refuse what can't be an image that workers can read."""
    if entry.is_link_or_device:
        message = "The file is a link or a device. Pack the image itself."
        raise FileRefusedError(FileReason.NOT_A_FILE, message)
    if entry.is_encrypted:
        message = "The file is encrypted. Pack it without a password."
        raise FileRefusedError(FileReason.ENCRYPTED, message)
    if is_archive_name(custom_id):
        message = "The file is an archive in a zip file. Pack its images instead."
        raise FileRefusedError(FileReason.NESTED_ARCHIVE, message)

    extension = splitext(custom_id)[1].lower()
    if extension.strip(".") and extension not in EXTENSIONS:
        message = f"The file is not an image, by its name. Supported formats are {FORMAT_NAMES}."
        raise FileRefusedError(FileReason.UNSUPPORTED_FORMAT, message)


def _zip_member(entry: ZipEntry) -> ZipMember:
    match entry.method:
        case 0:
            if entry.compressed_size != entry.size:
                raise _damaged("is stored, but has two different sizes")
            method = _STORED
        case 8:
            if entry.size > entry.compressed_size * _MAX_DEFLATE_RATIO:
                raise _damaged("has a size that its data can't have")
            method = _DEFLATED
        case _:
            message = (
                f"The file is compressed with method {entry.method}. Only deflated (8) and stored "
                "(0) files are supported."
            )
            raise FileRefusedError(FileReason.COMPRESSION_UNSUPPORTED, message)

    return ZipMember(method=method, compressed_size=entry.compressed_size, crc32=entry.crc32)


def _damaged(what: str) -> FileRefusedError:
    message = f"The zip file is damaged: this member {what}. Pack the image again."
    return FileRefusedError(FileReason.MEMBER_DAMAGED, message)
