"""Names of files in an upload of many images, as forms, tar and zip files have them."""

import re
from unicodedata import category

from vision_node_contract.batch_objects import MAX_CUSTOM_ID_CHARACTERS

_MAC_FOLDER = "__MACOSX"
"""Folder in zip files that macOS makes. Its files have metadata, but names like photo.jpg."""

_DRIVE = re.compile("[A-Za-z]:/")

_CONTROL_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode's categories of control characters, surrogates and separators of lines. Python decodes a
byte that is not UTF-8 to a surrogate."""


class NameInvalidError(Exception):
    """A file's name can't be a customId. The message says why, for the user who uploads it."""


def custom_id_of(name: str) -> str:
    r"""Return the customId of the file with this name: its path with `/` for `\`, without `./`.

    Bytes of the name that are not UTF-8 must have been decoded with `surrogateescape`.

    Raises:
        NameInvalidError: The path is empty, absolute, too long or the name of a folder, leads out
            of the upload, or has characters that are not text.
    """
    path = _path(name)
    if path.rpartition("/")[2] in {"", "."}:
        raise NameInvalidError("The file has no name. Give it one.")
    if len(path) > MAX_CUSTOM_ID_CHARACTERS:
        detail = f"The name has more than {MAX_CUSTOM_ID_CHARACTERS} characters. Shorten it."
        raise NameInvalidError(detail)
    if path.startswith("/") or _DRIVE.match(path):
        raise NameInvalidError("The name is an absolute path. Use a relative one.")
    if ".." in path.split("/"):
        raise NameInvalidError("The name contains '..'. Use a path without it.")
    # Most names are printable ASCII, and an upload may have a million names.
    is_plain = path.isascii() and path.isprintable()
    if not is_plain and any(category(it) in _CONTROL_CATEGORIES for it in path):
        raise NameInvalidError("The name has control characters, or is not UTF-8. Rename it.")

    return path


def is_skipped(name: str) -> bool:
    """Return whether the file is skipped: it is hidden, in a hidden folder, or macOS made it."""
    path = _path(name)
    if not path.startswith(".") and "/." not in path and _MAC_FOLDER not in path:
        return False

    return any(it == _MAC_FOLDER or _is_hidden(it) for it in path.split("/"))


def _is_hidden(segment: str) -> bool:
    return segment.startswith(".") and segment not in {".", ".."}


def _path(name: str) -> str:
    path = name.replace("\\", "/")
    while path.startswith("./"):
        path = path.removeprefix("./")
    return path
