"""Names below /inbox: those that an ImageJob can give in spec.image.key, without files that shells hide."""

import re

from vision_node_contract.objects import INBOX_PREFIX

from .problems import Problem

MAX_KEY_BYTES = 512
"""Most bytes of a key, `inbox/` included: maxLength of spec.image.key in the CRD, in ASCII."""

MAX_NAME_BYTES = MAX_KEY_BYTES - len(INBOX_PREFIX)

MAX_PART_BYTES = 255
"""Most bytes of a part between slashes: MinIO keeps each as a directory, whose name can't be longer."""

SHOWN_CHARACTERS = 80
"""Most characters of a refused name in the refusal."""

NAME_PATTERN = "^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$"
"""Of a name, for OpenAPI; it does not say that dots in a row are refused."""

_NAME = re.compile(NAME_PATTERN.removeprefix("^").removesuffix("$"))

RESERVED_PART = "xl.meta"
"""What MinIO calls the file in which it keeps an object, in a folder of the object's name."""

_RULE = (
    f"each part between slashes has 1 to {MAX_PART_BYTES} of A-Z, a-z, 0-9, '.', '_' and '-', does not "
    f"begin with '.', has no '..' and is not {RESERVED_PART}; the first begins with a letter or digit; at "
    f"most {MAX_NAME_BYTES} characters in all, such as photo.jpg or holiday/photo.jpg"
)


def is_name(text: str) -> bool:
    """Return whether an object may be called so."""
    if len(text) > MAX_NAME_BYTES or ".." in text or not _NAME.fullmatch(text):
        return False
    return all(len(part) <= MAX_PART_BYTES and part != RESERVED_PART for part in text.split("/"))


def key_of(name: str) -> str:
    """Return the key of the object that has this name below /inbox.

    Raises:
        Problem: 422 InvalidName.
    """
    if is_name(name):
        return INBOX_PREFIX + name
    raise Problem(422, "InvalidName", f"{name[:SHOWN_CHARACTERS]!r} can't be used as a name: {_RULE}")


def key_prefix_of(prefix: str) -> str:
    """Return the prefix of the keys of objects whose names begin with `prefix`.

    Raises:
        Problem: 422 InvalidName: no name begins so.
    """
    # A name, or the beginning of one: no name ends with a slash.
    if not prefix or is_name(prefix) or is_name(prefix + "x"):
        return INBOX_PREFIX + prefix
    raise Problem(422, "InvalidName", f"no name begins with {prefix[:SHOWN_CHARACTERS]!r}: {_RULE}")
