"""Google's HTTP client with two bounds that it lacks: no answer without end, and no redirect elsewhere."""

from typing import Any

from google.cloud.vision_v1.services.image_annotator.transports import ImageAnnotatorRestTransport
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException

_MAX_ANSWER_BYTES = 32 << 20
"""Each word of a picture's text comes with its place: some hundred bytes for each of some ten
thousand."""

_PIECE_BYTES = 1 << 16


class AnswerTooLargeError(RequestException):
    """An answer is longer than it may be."""


class BoundedTransport(ImageAnnotatorRestTransport):
    """As its base, but with sessions that are bounded."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._session.max_redirects = 0  # the picture and the key would go along
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, _BoundedAdapter())


class _BoundedAdapter(HTTPAdapter):
    def send(self, request: PreparedRequest, stream: bool = False, **how: Any) -> Response:  # type: ignore[override]  # noqa: ARG002, FBT001, FBT002
        """Send a request and return its answer, which has been read.

        Raises:
            AnswerTooLargeError: the answer is longer than may be.
            RequestException: as requests does.
        """
        response = super().send(request, stream=True, **how)
        body = bytearray()
        for piece in response.iter_content(_PIECE_BYTES):
            body += piece
            if len(body) > _MAX_ANSWER_BYTES:
                response.close()
                raise AnswerTooLargeError(f"the answer is longer than {_MAX_ANSWER_BYTES} bytes")

        response._content = bytes(body)  # noqa: SLF001  # as reading `content` does
        return response
