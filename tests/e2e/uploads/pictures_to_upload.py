"""Files that the tests upload: real photographs, and files that are refused."""

import io
import random
import tarfile

from faults.faulty import SLOW
from faults.load import draw
from pictures import PHOTOGRAPHS
from PIL import Image

from uploads.archives import Files, tar_file, tar_member, zip_file

PHOTOS = {f"trip/{path.name}": path.read_bytes() for path in PHOTOGRAPHS[:11]} | {
    "trip/Zürich 1/ä+b.png": PHOTOGRAPHS[11].read_bytes()
}
"""A dozen photographs by customId."""

FIRST, SECOND = list(PHOTOS)[:2]

TEXT = b"Do not forget the milk. This is a text, whatever its name may say.\n"

FAKE = ("fake.jpg", TEXT)
"""A file that only its content shows to be no image."""

ODD_FILES = [
    ("notes.txt", TEXT),
    ("empty.jpg", b""),
    ("../evil.jpg", PHOTOS[FIRST]),
    ("older.zip", zip_file([("inside.jpg", PHOTOS[FIRST])])),
    (FIRST, PHOTOS[SECOND]),
]
"""Files that are refused, each with another reason, without a look at their content."""

REFUSED = [
    ("notes.txt", "UnsupportedFormat"),
    ("empty.jpg", "EmptyFile"),
    ("../evil.jpg", "NameInvalid"),
    ("older.zip", "NestedArchive"),
    (FIRST, "DuplicateCustomId"),
]
"""Names of ODD_FILES, and why they are refused."""

HIDDEN_FILES = [
    (".DS_Store", b"\x00\x00\x00\x01Bud1"),
    ("trip/.hidden.jpg", PHOTOS[FIRST]),
    ("__MACOSX/trip/._china.jpg", PHOTOS[FIRST]),
]
"""Files that are skipped."""

ODD_IN_TAR = [
    tar_member("trip", tarfile.DIRTYPE),
    tar_member("soft.jpg", tarfile.SYMTYPE, "/etc/passwd"),
    tar_member("hard.jpg", tarfile.LNKTYPE, FIRST),
    tar_member("pipe.jpg", tarfile.FIFOTYPE),
]

REFUSED_IN_TAR = [(name, "NotAFile") for name in ("soft.jpg", "hard.jpg", "pipe.jpg")]

ENCRYPTED = [("secret.jpg", PHOTOS[FIRST])]
BZIP2 = [("small.jpg", PHOTOS[FIRST])]

REFUSED_IN_ZIP = [("secret.jpg", "Encrypted"), ("small.jpg", "CompressionUnsupported")]

CUT_OFF = PHOTOS[FIRST][: len(PHOTOS[FIRST]) // 4]
"""A file that begins like a photograph, but that no worker can read."""


def mixed_form() -> Files:
    """Return the files for a form."""
    return [*PHOTOS.items(), FAKE, *ODD_FILES, *HIDDEN_FILES]


def mixed_tar() -> bytes:
    """Return a tar file as `tar -c .` writes it, with links and the like."""
    photos = [(f"./{name}", data) for name, data in PHOTOS.items()]
    return tar_file([*photos, FAKE, *ODD_FILES, *HIDDEN_FILES], ODD_IN_TAR)


def mixed_zip() -> bytes:
    """Return a zip file with the backslashes of old Windows programs."""
    photos = [(name.replace("/", "\\"), data) for name, data in PHOTOS.items()]
    files = [*photos, ("trip/", b""), FAKE, *ODD_FILES, *HIDDEN_FILES]
    return zip_file(files, ENCRYPTED, BZIP2)


def size_of(image: bytes) -> tuple[int, int]:
    """Return width and height of an image."""
    with Image.open(io.BytesIO(image)) as opened:
        return opened.size


def drawn(count: int, comment: bytes = b"") -> dict[str, bytes]:
    """Return small images of different sizes by customId."""
    dice = random.Random(count)  # noqa: S311 (the images must only differ)
    return {
        f"drawn/{n:04}.jpg": draw((16 + n % 100, 16 + n // 100), dice, comment)
        for n in range(count)
    }


def slow_tar(count: int) -> bytes:
    """Return a tar file with images that the slow Describer takes its time for."""
    return tar_file(list(drawn(count, SLOW).items()))
