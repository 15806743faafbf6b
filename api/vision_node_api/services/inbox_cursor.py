"""Read and write the cursors with which clients request the next page of the inbox.

A cursor contains the last key of the previous page. The server therefore keeps no state, and the
cursor remains valid when objects are added or deleted. Clients can't interpret it.
"""

import base64
import binascii

from ..web.problems import Problem

MAX_CURSOR_CHARACTERS = 1400
"""Maximum length of a cursor. The longest possible key in S3 has 1,024 bytes, or 1,366 characters
in base64."""


def write_cursor(key: str) -> str:
    """Return the cursor of the page that begins after `key`."""
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def read_cursor(cursor: str, prefix: str) -> str:
    """Return the key after which the page begins.

    Args:
        cursor: The previous page's next_cursor.
        prefix: Prefix of the keys in the list.

    Raises:
        Problem: 422 InvalidCursor.
    """
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        key = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (UnicodeError, binascii.Error) as error:
        raise invalid_cursor() from error

    # Buckets refuse to start a list at a key that does not have the prefix.
    if len(cursor) > MAX_CURSOR_CHARACTERS or not key.startswith(prefix):
        raise invalid_cursor()

    return key


def invalid_cursor() -> Problem:
    """Return the problem for an invalid cursor."""
    detail = "The cursor does not belong to a list with this prefix. Start again without a cursor."
    return Problem(422, "InvalidCursor", detail)
