"""Read the metadata of objects from response headers or from a page of a list."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import unquote_plus
from xml.etree.ElementTree import Element, fromstring

SHA256_HEADER = "x-amz-meta-sha256"
"""Custom metadata header that holds the SHA-256. The ETag can't be used instead, because it is
a digest of the bytes only on some servers and with some kinds of encryption."""

MAX_KEYS = 1000
"""Maximum number of keys in one list (Amazon S3 API Reference, ListObjectsV2)."""

LIST_BYTES = 8 << 20
"""Maximum size of a list in bytes. It has room for MAX_KEYS percent-encoded keys of up to 1,024
bytes each, plus the XML around them."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """The metadata of an object in the bucket."""

    key: str
    size_bytes: int
    modified: datetime
    """Time of the last write, in UTC."""
    etag: str = ""
    """ETag in quotes, as in the header. It changes whenever the object is written."""
    media_type: str | None = None
    """Content-Type; None for objects in lists, which don't contain it."""
    sha256: str | None = None
    """SHA-256 in hexadecimal; None in lists, or if another program stored the object."""


@dataclass(frozen=True, slots=True)
class ObjectPage:
    """A page of a list, sorted by key."""

    objects: list[StoredObject]
    is_last: bool
    folders: list[str] = field(default_factory=list)
    """Prefixes that end with the first slash after the prefix of the list. Only lists with a
    delimiter have them, and such lists contain no objects below them."""


def read_headers(key: str, headers: Mapping[str, str]) -> StoredObject:
    """Return an object's metadata, read from the headers of the response.

    Raises:
        ValueError: a header is missing or invalid.
    """
    try:
        size = int(headers["Content-Length"])
        modified = parsedate_to_datetime(headers["Last-Modified"])
    except (KeyError, OverflowError) as error:
        raise ValueError(f"a header of the object is missing or invalid: {error!r}") from error

    sha256 = headers.get(SHA256_HEADER, "")

    return StoredObject(
        key=key,
        size_bytes=size,
        modified=_in_utc(modified),
        etag=headers.get("ETag", ""),
        media_type=headers.get("Content-Type"),
        sha256=sha256 if _SHA256.fullmatch(sha256) else None,
    )


def read_list(body: bytes) -> ObjectPage:
    """Parse the response to ListObjectsV2 with `encoding-type=url`.

    Raises:
        ValueError, ParseError: `body` is not a valid response.
    """
    root = fromstring(body.decode())  # noqa: S314 (expat limits entity expansion)
    is_last = _text(root, "IsTruncated") != "true"
    objects = [_read_entry(entry) for entry in root.iterfind("{*}Contents")]
    folders = [unquote_plus(_text(it, "Prefix")) for it in root.iterfind("{*}CommonPrefixes")]
    return ObjectPage(objects, is_last, folders)


def _read_entry(entry: Element) -> StoredObject:
    return StoredObject(
        key=unquote_plus(_text(entry, "Key")),
        size_bytes=int(_text(entry, "Size")),
        modified=_in_utc(datetime.fromisoformat(_text(entry, "LastModified"))),
        etag=entry.findtext("{*}ETag") or "",
    )


def _in_utc(moment: datetime) -> datetime:
    """Return the time with a time zone. Times from S3 are in UTC even if no time zone is given."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _text(element: Element, name: str) -> str:
    text = element.findtext(f"{{*}}{name}")
    if text is None:
        raise ValueError(f"the list has no {name}")
    return text
