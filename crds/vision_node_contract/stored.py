"""What the bucket tells of its objects: the headers of one, or a page of a list."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import unquote_plus
from xml.etree.ElementTree import Element, fromstring

SHA256_HEADER = "x-amz-meta-sha256"
"""Metadata of our own: an ETag is a digest of the bytes only with some servers and some encryptions."""

MAX_KEYS = 1000
"""Most keys of one list (Amazon S3 API Reference, ListObjectsV2)."""

LIST_BYTES = 8 << 20
"""Most bytes of a list: MAX_KEYS keys of up to 1,024 bytes, percent-encoded, and as much around them."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object of the bucket, without its bytes."""

    key: str
    size_bytes: int
    modified: datetime
    """When it was last written, in UTC."""
    etag: str = ""
    """Changes whenever the object does; in quotes, as headers have it."""
    media_type: str | None = None
    """None in lists, which don't tell it."""
    sha256: str | None = None
    """In hexadecimal; None in lists, and of objects that something else has put there."""


@dataclass(frozen=True, slots=True)
class ObjectPage:
    """A page of a list, in the order of keys."""

    objects: list[StoredObject]
    is_last: bool


def read_headers(key: str, headers: Mapping[str, str]) -> StoredObject:
    """Return what the headers of an object tell of it.

    Raises:
        ValueError: they are not those of an object.
    """
    try:
        size, modified = int(headers["Content-Length"]), parsedate_to_datetime(headers["Last-Modified"])
    except (KeyError, OverflowError) as error:
        raise ValueError(f"an object without {error!r}") from error

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
    """Return the answer to ListObjectsV2 with `encoding-type=url`.

    Raises:
        ValueError, ParseError: it is none.
    """
    root = fromstring(body.decode())  # noqa: S314 (expat bounds what entities may expand to)
    is_truncated = _text(root, "IsTruncated")
    return ObjectPage([_entry(found) for found in root.iterfind("{*}Contents")], is_truncated != "true")


def _entry(found: Element) -> StoredObject:
    return StoredObject(
        key=unquote_plus(_text(found, "Key")),
        size_bytes=int(_text(found, "Size")),
        modified=_in_utc(datetime.fromisoformat(_text(found, "LastModified"))),
        etag=found.findtext("{*}ETag") or "",
    )


def _in_utc(moment: datetime) -> datetime:
    """Return the moment with a time zone: S3's times are in UTC, whether a server says so or not."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _text(element: Element, name: str) -> str:
    text = element.findtext(f"{{*}}{name}")
    if text is None:
        raise ValueError(f"a list without {name}")
    return text
