"""Read a small body as a whole, such as a JSON document."""

from ..web.problems import Problem
from .upload_body import RequestBody
from .upload_limit import UploadSlot

MAX_DOCUMENT_BYTES = 64 << 10
"""Maximum size of a JSON body in bytes. A prompt has up to 16 kB, and escapes are longer."""


async def read_document(body: RequestBody, slot: UploadSlot) -> bytes:
    """Return the whole body.

    Raises:
        Problem: 413 DocumentTooLarge; or as for other bodies.
    """
    data = bytearray()
    while (chunk := await body.read()) is not None:
        data += chunk
        if len(data) > MAX_DOCUMENT_BYTES:
            detail = f"The body has more than {MAX_DOCUMENT_BYTES} bytes. Shorten it."
            raise Problem(413, "DocumentTooLarge", detail)
        await slot.hold(len(data))

    return bytes(data)
