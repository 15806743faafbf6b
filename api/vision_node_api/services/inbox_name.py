"""Names under /inbox: those that an ImageJob can have in spec.image.key, except hidden files (.name)."""

import re

from vision_node_contract.bucket_keys import INBOX_PREFIX

from ..web.problems import Problem

MAX_KEY_BYTES = 512
"""Maximum bytes of a key, including `inbox/`: maxLength of spec.image.key in the CRD, in ASCII."""

MAX_NAME_BYTES = MAX_KEY_BYTES - len(INBOX_PREFIX)

MAX_PART_BYTES = 255
"""Maximum bytes of a part between slashes: MinIO stores each as a directory, whose name can't be
longer."""

SHOWN_CHARACTERS = 80
"""Maximum characters of a refused name that the refusal quotes."""

NAME_PATTERN = "^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$"
"""Pattern of a name, for OpenAPI; it does not exclude consecutive dots, which are refused, too."""

_NAME = re.compile(NAME_PATTERN.removeprefix("^").removesuffix("$"))

RESERVED_PART = "xl.meta"
"""What MinIO calls the file in which it keeps an object, in a folder of the object's name."""

_RULE = (
    f"each part between slashes has 1 to {MAX_PART_BYTES} of A-Z, a-z, 0-9, '.', '_' and '-', does not "
    f"begin with '.', has no '..' and is not {RESERVED_PART}; the first begins with a letter or digit; at "
    f"most {MAX_NAME_BYTES} characters in all, such as photo.jpg or holiday/photo.jpg"
)


def is_name(text: str) -> bool:
    """Return whether `text` is a valid name of an object."""
    if len(text) > MAX_NAME_BYTES or ".." in text or not _NAME.fullmatch(text):
        return False
    return all(len(part) <= MAX_PART_BYTES and part != RESERVED_PART for part in text.split("/"))


def key_of(name: str) -> str:
    """Return the key of the object that has this name under /inbox.

    Raises:
        Problem: 422 InvalidName.
    """
    if is_name(name):
        return INBOX_PREFIX + name
    raise Problem(422, "InvalidName", f"{name[:SHOWN_CHARACTERS]!r} is not a valid name: {_RULE}")


def key_prefix_of(prefix: str) -> str:
    """Return the prefix of the keys of objects whose names begin with `prefix`.

    Raises:
        Problem: 422 InvalidName: no valid name begins with it.
    """
    # A name, or the beginning of one: no name ends with a slash.
    if not prefix or is_name(prefix) or is_name(prefix + "x"):
        return INBOX_PREFIX + prefix
    raise Problem(
        422, "InvalidName", f"no valid name begins with {prefix[:SHOWN_CHARACTERS]!r}: {_RULE}"
    )
