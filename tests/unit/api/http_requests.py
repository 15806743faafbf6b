"""HTTP requests as raw bytes."""

from api_fakes import picture
from api_server import post
from form_bytes import FORM_TYPE, file, form

PNG = picture()
SUBMIT = post(form(file("file", PNG)), f"Content-Type: {FORM_TYPE}")


def get(path: str | bytes, *headers: bytes, method: str = "GET") -> bytes:
    target = path.encode() if isinstance(path, str) else path
    return b"\r\n".join(
        [b"%b %b HTTP/1.1" % (method.encode(), target), b"Host: api", *headers, b"", b""]
    )
