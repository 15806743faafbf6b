"""Names under /inbox: all that an ImageJob's spec.image.key allows, except hidden files (.name)."""

import re

from vision_node_contract.bucket_keys import INBOX_PREFIX

from ..web.problems import Problem

MAX_KEY_BYTES = 512
"""Maximum bytes of a key, including `inbox/`: maxLength of spec.image.key in the CRD, in ASCII."""

MAX_NAME_BYTES = MAX_KEY_BYTES - len(INBOX_PREFIX)
"""Maximum bytes of a name."""

MAX_PART_BYTES = 255
"""Maximum bytes between slashes: MinIO stores each part as a directory, whose name is limited."""

MAX_QUOTED_CHARACTERS = 80
"""Maximum characters of an invalid name that an error quotes."""

NAME_PATTERN = "^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$"
"""Pattern of a name, for OpenAPI. It does not exclude consecutive dots, which are invalid, too."""

_NAME = re.compile(NAME_PATTERN.removeprefix("^").removesuffix("$"))

RESERVED_PART = "xl.meta"
"""Name of the file in which MinIO keeps an object, in a folder with the object's name."""

_RULE = (
    "Use a name such as photo.jpg or holiday/photo.jpg: each part between slashes has 1 to "
    f"{MAX_PART_BYTES} of A-Z, a-z, 0-9, '.', '_' and '-', does not begin with '.', has no '..' "
    f"and is not {RESERVED_PART}; the first part begins with a letter or digit; the whole name has "
    f"at most {MAX_NAME_BYTES} characters."
)


def is_inbox_name(text: str) -> bool:
    """Return whether `text` is a valid name of an object."""
    if len(text) > MAX_NAME_BYTES or ".." in text or not _NAME.fullmatch(text):
        return False

    return all(len(part) <= MAX_PART_BYTES and part != RESERVED_PART for part in text.split("/"))


def inbox_key(name: str) -> str:
    """Return the key of the object that has this name under /inbox.

    Raises:
        Problem: 422 InvalidName.
    """
    if is_inbox_name(name):
        return INBOX_PREFIX + name

    detail = f"{name[:MAX_QUOTED_CHARACTERS]!r} is not a valid name. {_RULE}"
    raise Problem(422, "InvalidName", detail)


def inbox_key_prefix(prefix: str) -> str:
    """Return the prefix of the keys of objects whose names begin with `prefix`.

    Raises:
        Problem: 422 InvalidName: no valid name begins with it.
    """
    # A prefix is a valid name, or becomes one with another character: no name ends with a slash.
    if not prefix or is_inbox_name(prefix) or is_inbox_name(prefix + "x"):
        return INBOX_PREFIX + prefix

    detail = f"No valid name begins with {prefix[:MAX_QUOTED_CHARACTERS]!r}. {_RULE}"
    raise Problem(422, "InvalidName", detail)
