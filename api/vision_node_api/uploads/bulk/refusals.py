"""Files of an upload that are not accepted. They do not fail the others."""

from dataclasses import dataclass
from enum import StrEnum

from vision_node_contract.models.reasons import Reason

MAX_LISTED = 1000
"""Maximum number of refused files that are listed. The others are only counted."""

MAX_NAME_CHARACTERS = 512
"""Maximum number of characters that are quoted of a file's name."""


class FileReason(StrEnum):
    """Why a file is not accepted. The values are part of the API, as those of Reason."""

    UNSUPPORTED_FORMAT = Reason.UNSUPPORTED_FORMAT
    IMAGE_TOO_LARGE = Reason.IMAGE_TOO_LARGE
    DUPLICATE_CUSTOM_ID = Reason.DUPLICATE_CUSTOM_ID
    EMPTY_FILE = "EmptyFile"
    NAME_INVALID = "NameInvalid"
    ENCRYPTED = "Encrypted"
    NESTED_ARCHIVE = "NestedArchive"
    COMPRESSION_UNSUPPORTED = "CompressionUnsupported"
    NOT_A_FILE = "NotAFile"
    MEMBER_DAMAGED = "MemberDamaged"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file that is not accepted, and why."""

    file: str
    """Its name, as far as it can be shown."""
    reason: str
    message: str


class FileRefusedError(Exception):
    """A file is not accepted. The error's text says why, and what to do, in whole sentences."""

    def __init__(self, reason: FileReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def of(self, file: str) -> Refusal:
        """Return the refusal of the file with this name."""
        return Refusal(shown_name(file), self.reason, str(self))


class Refusals:
    """The refused files of an upload: all are counted, and the first MAX_LISTED are kept."""

    def __init__(self) -> None:
        self.count = 0
        self.files: list[Refusal] = []

    def add(self, refusal: Refusal) -> None:
        """Count a refused file."""
        self.count += 1
        if len(self.files) < MAX_LISTED:
            self.files.append(refusal)


def duplicate() -> FileRefusedError:
    """Return the error for an image whose customId another image of the upload has."""
    message = "Another image of the upload has the same name. Give each its own."
    return FileRefusedError(FileReason.DUPLICATE_CUSTOM_ID, message)


def empty() -> FileRefusedError:
    """Return the error for a file without content."""
    return FileRefusedError(FileReason.EMPTY_FILE, "The file is empty. Send the image itself.")


def shown_name(name: str) -> str:
    """Return a file's name as it can be shown: in valid Unicode, printable and not too long."""
    text = name[:MAX_NAME_CHARACTERS].encode(errors="replace").decode()
    return "".join(it if it.isprintable() else "\N{REPLACEMENT CHARACTER}" for it in text)
