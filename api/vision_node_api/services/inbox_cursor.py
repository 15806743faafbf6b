"""The cursor of a list of the inbox: where the next page begins.

It holds the last key of the previous page, so the server keeps no state and the cursor stays valid
when objects come and go. To clients it is opaque.
"""

import base64
import binascii

from ..web.problems import Problem

MAX_CURSOR_CHARACTERS = 1400
"""Length of a key of 1,024 bytes, the longest that S3 allows, in base64."""


def write_cursor(key: str) -> str:
    """Return the cursor of the page that comes after `key`."""
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

    # A bucket refuses a start that is outside the prefix.
    if len(cursor) > MAX_CURSOR_CHARACTERS or not key.startswith(prefix):
        raise invalid_cursor()

    return key


def invalid_cursor() -> Problem:
    """Return the refusal of a cursor."""
    detail = "the cursor does not belong to a list with this prefix; start again without it"
    return Problem(422, "InvalidCursor", detail)
