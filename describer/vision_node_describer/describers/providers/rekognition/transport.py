"""Limit the size of responses that boto3's HTTP client reads."""

from collections.abc import Iterator
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.exceptions import HTTPClientError

_MAX_ANSWER_BYTES = 16 << 20
"""Maximum size of a response in bytes. A hundred words and faces take a few hundred kilobytes."""

_CHUNK_BYTES = 1 << 16


def limit_responses(client: Any) -> Any:
    """Limit the size of a client's responses. boto3 has neither a setting nor an event for this."""
    endpoint = client._endpoint  # noqa: SLF001
    endpoint.http_session = _BoundedSession(endpoint.http_session)
    return client


class _BoundedSession:
    """Sends requests through another session, and limits the size of each response."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def send(self, request: Any) -> AWSResponse:
        request.stream_output = True  # otherwise the session would read the whole body
        response = self._session.send(request)
        body = _BoundedBody(response.raw)
        return AWSResponse(response.url, response.status_code, response.headers, body)

    def close(self) -> None:
        self._session.close()


class _BoundedBody:
    """A response body of limited size."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def stream(self) -> Iterator[bytes]:
        """Yield the body in chunks.

        Raises:
            HTTPClientError: The body is larger than the limit, or truncated.
        """
        size = 0
        try:
            for chunk in self._raw.stream(_CHUNK_BYTES):
                size += len(chunk)
                if size > _MAX_ANSWER_BYTES:
                    break
                yield chunk
        except Exception as error:
            raise HTTPClientError(error=error) from error

        if size > _MAX_ANSWER_BYTES:
            self._raw.close()
            raise HTTPClientError(error=f"the answer is longer than {_MAX_ANSWER_BYTES} bytes")
