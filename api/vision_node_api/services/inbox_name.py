"""Validate names under /inbox.

A name is valid if an ImageJob's spec.image.key allows it, unless it names a hidden file (.name) or
MinIO can't store it.
"""

import re

from vision_node_contract.bucket_keys import (
    ID_CHARACTERS,
    INBOX_PREFIX,
    OWNED_FOLDER,
    RESERVED_PART,
)

from ..web.problems import Problem

MAX_KEY_BYTES = 512
"""Maximum size of a key in bytes, including the folder. This is the maxLength of spec.image.key
in the CRD, which counts characters. Keys are ASCII, so each character is one byte."""

FOLDER_BYTES = len(INBOX_PREFIX) + ID_CHARACTERS + len("/")
"""Size in bytes of the folder in a key: inbox/, the id of the release, and a slash."""

MAX_NAME_BYTES = MAX_KEY_BYTES - FOLDER_BYTES
"""Maximum size of a name in bytes. In the folder of an owner, names are shorter."""

MAX_PART_BYTES = 255
"""Maximum size in bytes of each part between slashes. MinIO stores each part as a directory, and
file systems limit the length of directory names."""

MAX_QUOTED_CHARACTERS = 80
"""Maximum number of characters that an error message quotes from an invalid name."""

NAME_PATTERN = "^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$"
"""Pattern of a name, for OpenAPI. Names with consecutive dots match it, but are not valid."""

_NAME = re.compile(NAME_PATTERN.removeprefix("^").removesuffix("$"))


def is_inbox_name(text: str, max_bytes: int = MAX_NAME_BYTES) -> bool:
    """Return whether `text` is a valid name of an object, of up to `max_bytes` bytes."""
    if len(text) > max_bytes or ".." in text or not _NAME.fullmatch(text):
        return False

    return all(len(part) <= MAX_PART_BYTES and part != RESERVED_PART for part in text.split("/"))


def require_inbox_name(name: str, max_bytes: int = MAX_NAME_BYTES) -> None:
    """Refuse an invalid name of an object.

    Raises:
        Problem: 422 InvalidName.
    """
    if not is_inbox_name(name, max_bytes):
        detail = f"{name[:MAX_QUOTED_CHARACTERS]!r} is not a valid name. {_rule(max_bytes)}"
        raise Problem(422, "InvalidName", detail)


def require_inbox_prefix(prefix: str, max_bytes: int = MAX_NAME_BYTES) -> None:
    """Refuse a prefix if no valid name begins with it.

    Raises:
        Problem: 422 InvalidName.
    """
    # A valid prefix either is a valid name or, like `holiday/`, becomes one when a letter is added.
    if prefix and not any(is_inbox_name(it, max_bytes) for it in (prefix, prefix + "x")):
        quoted = prefix[:MAX_QUOTED_CHARACTERS]
        detail = f"No valid name begins with {quoted!r}. {_rule(max_bytes)}"
        raise Problem(422, "InvalidName", detail)


def require_owned_place(name: str) -> None:
    """Refuse a name that would take the place of an owner's folder.

    Raises:
        Problem: 422 InvalidName.
    """
    folder = OWNED_FOLDER.rstrip("/")
    first, *others = name.split("/", 2)
    is_complete = len(others) == 2  # the owner, and the name
    if first == folder and not is_complete:
        detail = (
            f"{name!r} is not a valid name, because {OWNED_FOLDER} has a folder for each owner. "
            f"Use {OWNED_FOLDER}<owner>/<name> to store an image for an owner, or another name."
        )
        raise Problem(422, "InvalidName", detail)


def _rule(max_bytes: int) -> str:
    return (
        "Use a name such as photo.jpg or holiday/photo.jpg: each part between slashes has 1 to "
        f"{MAX_PART_BYTES} characters of A-Z, a-z, 0-9, '.', '_' and '-', does not begin with '.', "
        f"does not contain '..' and is not {RESERVED_PART}; the first part begins with a letter or "
        f"digit; the whole name has at most {max_bytes} characters."
    )
