"""Prevent Google's HTTP client from reading huge responses and following redirects."""

from typing import Any

from google.cloud.vision_v1.services.image_annotator.transports import ImageAnnotatorRestTransport
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException

_MAX_ANSWER_BYTES = 32 << 20
"""Maximum size of a response in bytes. A picture may contain tens of thousands of words. Each
takes hundreds of bytes, because the response includes its position."""

_CHUNK_BYTES = 1 << 16


class ResponseTooLargeError(RequestException):
    """A response is larger than the client accepts."""


class BoundedTransport(ImageAnnotatorRestTransport):
    """Limits the size of responses and follows no redirects."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._session.max_redirects = 0  # a redirect would send the picture and the key elsewhere
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, _BoundedAdapter())


class _BoundedAdapter(HTTPAdapter):
    def send(self, request: PreparedRequest, stream: bool = False, **kwargs: Any) -> Response:  # type: ignore[override]  # noqa: ARG002, FBT001, FBT002
        """Send a request and return its response with the whole body read.

        Raises:
            ResponseTooLargeError: The response is larger than the limit.
            RequestException: The request failed.
        """
        response = super().send(request, stream=True, **kwargs)

        body = bytearray()
        for chunk in response.iter_content(_CHUNK_BYTES):
            body += chunk
            if len(body) > _MAX_ANSWER_BYTES:
                response.close()
                raise ResponseTooLargeError(f"the answer is longer than {_MAX_ANSWER_BYTES} bytes")

        response._content = bytes(body)  # noqa: SLF001  # what `content` reads
        return response
