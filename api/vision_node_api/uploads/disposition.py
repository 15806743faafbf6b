"""Content-Disposition: the names of a form's field and of its file (RFC 7578, RFC 6266)."""

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

_PARAMETER = re.compile(rb';\s*([^\s=;"]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)', re.DOTALL)

_ESCAPED = re.compile(rb'\\(["\\])')
"""An escaped quote or backslash. A backslash before other characters escapes nothing, because
browsers send `C:\\photo.png` as it is."""


@dataclass(frozen=True, slots=True)
class Disposition:
    """The parameters of a Content-Disposition header."""

    name: str = ""
    """The form field; empty if the header names none."""
    file_name: str | None = None
    """None if there is no such parameter; empty if the user chose no file."""


def parse_disposition(header: bytes) -> Disposition:
    """Return the field's name and the file's name in a Content-Disposition header.

    The encoded parameters `filename*` and `name*` (RFC 8187) take precedence over the plain ones
    (RFC 6266, section 4.3). RFC 7578 forbids them in forms, but some clients send only them.
    """
    found: dict[bytes, bytes] = {}
    for parameter in _PARAMETER.finditer(header):
        found.setdefault(parameter[1].lower(), _unquoted(parameter[2].strip()))

    return Disposition(_text(found, b"name") or "", _text(found, b"filename"))


def decode_text(data: bytes) -> str:
    """Return text decoded as UTF-8 (RFC 7578, section 5.1.2), or as Latin-1 if it is not UTF-8.

    The result never has lone surrogates, so it can be stored as JSON.
    """
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _text(found: dict[bytes, bytes], name: bytes) -> str | None:
    encoded = found.get(name + b"*")
    if encoded and encoded.count(b"'") >= 2:
        return _decode_extended(encoded)

    plain = found.get(name)
    return None if plain is None else decode_text(plain)


def _decode_extended(value: bytes) -> str:
    """Decode `charset'language'percent-encoded` (RFC 8187, section 3.2.1)."""
    charset, _, encoded = value.split(b"'", 2)
    latin = charset.strip().lower() in {b"iso-8859-1", b"latin-1", b"latin1"}
    return unquote_to_bytes(encoded).decode("latin-1" if latin else "utf-8", errors="replace")


def _unquoted(value: bytes) -> bytes:
    if len(value) >= 2 and value[:1] == value[-1:] == b'"':
        return _ESCAPED.sub(rb"\1", value[1:-1])
    return value
