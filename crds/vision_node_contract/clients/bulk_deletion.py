"""Write requests of S3's DeleteObjects, and read the responses.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from xml.etree.ElementTree import Element, fromstring
from xml.sax.saxutils import escape

from .bucket_errors import MISSING, OTHER_CODE

MAX_DELETIONS = 1000
"""Maximum number of keys in one request (Amazon S3 API Reference, DeleteObjects)."""

MAX_MESSAGE_CHARACTERS = 200
"""Maximum length of a message from the bucket, which is written to the log. Those of Amazon S3 and
MinIO are shorter."""

_PLAIN = re.compile("[\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")
"""Text that XML 1.0 can contain and that parsers keep as it is. They read a carriage return as a
line feed, for example, and so would delete another object."""

_CODE = re.compile(r"\w{1,64}")


@dataclass(frozen=True, slots=True)
class RefusedKey:
    """An object that the bucket did not delete."""

    key: str
    code: str
    """The bucket's error code, or OTHER_CODE."""
    message: str
    """The bucket's explanation, in one line; empty if there is none."""


def may_be_in_xml(key: str) -> bool:
    """Return whether DeleteObjects can name this key, so that every service reads it unchanged."""
    # A parser may strip white space around a key.
    return key == key.strip() and _PLAIN.fullmatch(key) is not None


def write_keys(keys: Iterable[str]) -> bytes:
    """Return the body of a request that deletes up to MAX_DELETIONS objects.

    The response will name only the objects that could not be deleted. `may_be_in_xml` must be true
    for all keys.
    """
    objects = "".join(f"<Object><Key>{escape(key)}</Key></Object>" for key in keys)

    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Quiet>true</Quiet>{objects}</Delete>"
    ).encode()


def read_refused(body: bytes, keys: Iterable[str]) -> list[RefusedKey]:
    """Parse the response to a request for these keys; return the objects that were not deleted.

    Objects that don't exist count as deleted.

    Raises:
        ValueError, ParseError: `body` is not a valid response, or names a key that was not in the
            request, so it is unknown which objects were deleted.
    """
    root = fromstring(body.decode())  # noqa: S314 (expat limits entity expansion)
    if root.tag.rpartition("}")[2] != "DeleteResult":
        raise ValueError("the response is not a DeleteResult")

    refused = [_read_error(it) for it in root.iterfind("{*}Error")]
    if not {it.key for it in refused} <= set(keys):
        raise ValueError("the response names a key that was not in the request")

    return [it for it in refused if it.code not in MISSING]


def _read_error(error: Element) -> RefusedKey:
    code = error.findtext("{*}Code") or ""
    message = " ".join((error.findtext("{*}Message") or "").split())
    printable = "".join(it for it in message if it.isprintable())

    return RefusedKey(
        key=error.findtext("{*}Key") or "",
        code=code if _CODE.fullmatch(code) else OTHER_CODE,
        message=printable[:MAX_MESSAGE_CHARACTERS],
    )
