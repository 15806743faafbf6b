"""The objects of an uploaded ImageBatch in the bucket, below batches/<id>/<uid>/u/.

The API writes all of them. An attempt is one request with many images. Several requests may upload
the same batch, because a client repeats one whose answer was lost, so each has a folder of its own.
The attempt that the ImageBatch's spec names is valid.

- u/<attempt>/p<n> is a pack: the bytes of many images, one after another.
- u/<attempt>/zip is a zip file as it was uploaded.
- u/<attempt>/l<n> lists images of the attempt in JSON Lines (UploadedImage). A list has up to
  LIST_LINES lines; <n> counts from 0.
- u/i/<name> is an image that was uploaded alone. <name> stands for its customId.
"""

import base64
import binascii
import re
import secrets
import string

from pydantic import Field

from .batch_objects import DIGITS, MAX_CUSTOM_ID_CHARACTERS, BatchFolder, LineError, ZipMember
from .bucket_keys import BucketFolders
from .models.description import Options
from .models.imagejob import KubeModel

LIST_LINES = 5000
"""Maximum number of lines in a list object: about 1 MB."""

LIST_BYTES = 2 << 20
"""Size of a list object, in bytes, after which the next one begins. Lines with names only are
shorter, but each image of a retried batch may have a prompt of its own, of up to 16 kB."""

MAX_LIST_BYTES = 16 << 20
"""Maximum size of a list object in bytes. It is far more than LIST_BYTES and a line."""

MAX_LINE_BYTES = 20 << 10
"""Maximum length of a line in bytes. It has what a line of a user's list may have, whose maximum is
16 KiB, and where the image is."""

PACK_BYTES = 8 << 20
"""Size from which a pack is stored and the next one begins, in bytes. Larger packs save hardly any
requests, but take memory."""

MAX_CUSTOM_ID_BYTES = 512
"""Maximum length of the customId of an image that is uploaded alone, in bytes of UTF-8. Its key
contains it, and keys have at most 1,024 bytes."""

SEGMENT_CHARACTERS = 200
"""Maximum length of a part of a key between slashes. MinIO stores each part as the name of a file,
which may have 255 bytes."""

ATTEMPT_CHARACTERS = 10
"""Number of characters of an attempt: 50 random bits."""

UPLOAD_SECONDS = 86_400
"""Time from the creation of an ImageBatch until its upload must be complete, in seconds. The
operator deletes it then. Within a day, a person who was interrupted in the evening can go on, and
an upload that nobody completes does not take space for long."""

ZIP_NAME = "zip"
"""Name of an uploaded zip file in the folder of its attempt."""

_ALPHABET = string.ascii_lowercase + "234567"
_ATTEMPT = re.compile("[a-z0-9]{2,16}")


class UploadedImage(KubeModel):
    """A line of a list: an image in a pack or in a zip file, or why there is none."""

    custom_id: str = Field(min_length=1, max_length=MAX_CUSTOM_ID_CHARACTERS)
    object: str | None = None
    """The object that contains it, without the folder: `p<n>` or `zip`."""
    offset: int = 0
    """Where it begins in the object, in bytes."""
    length: int = 0
    """Number of its bytes in the object."""
    size: int = 0
    """Number of bytes of the image."""
    zip: ZipMember | None = None
    options: Options | None = None
    """The image's own options, which override those of the batch one by one."""
    error: LineError | None = None


class UploadFolder:
    """The keys of one uploaded ImageBatch's objects."""

    def __init__(self, folders: BucketFolders, uid: str) -> None:
        self.prefix = f"{BatchFolder(folders, uid).prefix}u/"
        """Prefix of the keys of all uploaded objects."""
        self.images = f"{self.prefix}i/"
        """Prefix of the keys of images that were uploaded alone."""

    def attempt(self, attempt: str) -> str:
        """Return the folder of an attempt.

        Raises:
            ValueError: This is not the name of an attempt.
        """
        if not _ATTEMPT.fullmatch(attempt):
            raise ValueError(f"{attempt!r} is not the name of an attempt to upload images")

        return f"{self.prefix}{attempt}/"

    def list_key(self, attempt: str, number: int) -> str:
        """Return the key of a list."""
        return f"{self.attempt(attempt)}l{number:0{DIGITS}}"

    def image_key(self, custom_id: str) -> str:
        """Return the key of an image that is uploaded alone.

        Raises:
            ValueError: The customId is empty or too long.
        """
        data = custom_id.encode()
        if not 0 < len(data) <= MAX_CUSTOM_ID_BYTES:
            raise ValueError(f"a customId has 1 to {MAX_CUSTOM_ID_BYTES} bytes of UTF-8")

        text = base64.urlsafe_b64encode(data).decode().rstrip("=")
        starts = range(0, len(text), SEGMENT_CHARACTERS)
        # The dot keeps a key from being the folder of another one, which MinIO can't store.
        return self.images + "/".join(text[it : it + SEGMENT_CHARACTERS] for it in starts) + "."

    def custom_id(self, key: str) -> str | None:
        """Return the customId of an image that was uploaded alone; None if this is no such key."""
        text = key.removeprefix(self.images).replace("/", "").removesuffix(".")
        try:
            padded = text + "=" * (-len(text) % 4)
            custom_id = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
            return custom_id if self.image_key(custom_id) == key else None
        except (ValueError, binascii.Error):
            return None


def pack_name(number: int) -> str:
    """Return the name of a pack of an attempt."""
    return f"p{number:0{DIGITS}}"


def new_attempt() -> str:
    """Return a new, unique name for an attempt to upload images."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(ATTEMPT_CHARACTERS))
