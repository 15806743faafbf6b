"""Read the names of fields and files from Content-Disposition headers (RFC 7578, RFC 6266)."""

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

_PARAMETER = re.compile(rb';\s*([^\s=;"]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)', re.DOTALL)

_ESCAPED = re.compile(rb'\\(["\\])')
"""An escaped quote or backslash. Before any other character, a backslash stands for itself, because
browsers send `C:\\photo.png` without escaping."""


@dataclass(frozen=True, slots=True)
class Disposition:
    """The parameters of a Content-Disposition header."""

    name: str = ""
    """Name of the form field; empty if the header does not contain one."""
    file_name: str | None = None
    """Name of the file; None if there is no such parameter, and empty if the user chose no file."""


def parse_disposition(header: bytes) -> Disposition:
    """Return the names of the field and the file in a Content-Disposition header.

    The encoded parameters `filename*` and `name*` (RFC 8187) take precedence over the plain
    parameters (RFC 6266, section 4.3). RFC 7578 forbids encoded parameters in forms, but some
    clients send only these.
    """
    found: dict[bytes, bytes] = {}
    for parameter in _PARAMETER.finditer(header):
        found.setdefault(parameter[1].lower(), _unquoted(parameter[2].strip()))

    return Disposition(_text(found, b"name") or "", _text(found, b"filename"))


def decode_text(data: bytes) -> str:
    """Decode text as UTF-8 (RFC 7578, section 5.1.2), or as Latin-1 if it is not valid UTF-8.

    The result never contains lone surrogates, so it can be stored as JSON.
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
