"""Build forms from raw bytes, because some clients send unusual forms."""

from collections.abc import Iterable

BOUNDARY = "b0undary"
FORM_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def part(disposition: str | bytes, content: bytes, *headers: str) -> bytes:
    """Return one part of a form.

    `disposition` is the value of Content-Disposition, or a complete header line to send instead.
    """
    value = disposition.encode() if isinstance(disposition, str) else disposition
    first = value if b":" in value.split(b";")[0] else b"Content-Disposition: " + value
    lines = b"\r\n".join([first, *(header.encode() for header in headers)])
    return b"--" + BOUNDARY.encode() + b"\r\n" + lines + b"\r\n\r\n" + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    """Return the complete body of a form with these parts."""
    return b"".join(parts) + b"--" + BOUNDARY.encode() + b"--\r\n"


def file(name: str, content: bytes, file_name: str = "photo.png") -> bytes:
    """Return the part that browsers send for a file."""
    disposition = f'form-data; name="{name}"; filename="{file_name}"'
    return part(disposition, content, "Content-Type: application/octet-stream")


def text(name: str, content: str | bytes) -> bytes:
    """Return the part that browsers send for a text field."""
    value = content.encode() if isinstance(content, str) else content
    return part(f'form-data; name="{name}"', value)


def chunks(data: bytes, size: int) -> Iterable[bytes]:
    """Split the data into pieces of `size` bytes."""
    return (data[at : at + size] for at in range(0, len(data), size))
