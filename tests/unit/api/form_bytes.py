"""Build forms byte by byte, because some clients send unusual ones."""

from collections.abc import Iterable

BOUNDARY = "b0undary"
FORM_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def part(disposition: str | bytes, content: bytes, *headers: str) -> bytes:
    """Return one part; `disposition` is the value of Content-Disposition, or another header."""
    value = disposition.encode() if isinstance(disposition, str) else disposition
    first = value if b":" in value.split(b";")[0] else b"Content-Disposition: " + value
    lines = b"\r\n".join([first, *(header.encode() for header in headers)])
    return b"--" + BOUNDARY.encode() + b"\r\n" + lines + b"\r\n\r\n" + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    """Return a complete body."""
    return b"".join(parts) + b"--" + BOUNDARY.encode() + b"--\r\n"


def file(name: str, content: bytes, file_name: str = "photo.png") -> bytes:
    """Return a part as browsers send a file."""
    disposition = f'form-data; name="{name}"; filename="{file_name}"'
    return part(disposition, content, "Content-Type: application/octet-stream")


def text(name: str, content: str | bytes) -> bytes:
    """Return a part as browsers send a text field."""
    value = content.encode() if isinstance(content, str) else content
    return part(f'form-data; name="{name}"', value)


def chunks(data: bytes, size: int) -> Iterable[bytes]:
    """Return the data in pieces of `size` bytes."""
    return (data[at : at + size] for at in range(0, len(data), size))
