"""boto3's HTTP client with a bound that it lacks: no answer without end."""

from collections.abc import Iterator
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.exceptions import HTTPClientError

_MAX_ANSWER_BYTES = 16 << 20
"""A hundred words and a hundred faces with their landmarks take some hundred kilobytes."""

_PIECE_BYTES = 1 << 16


def bound(client: Any) -> Any:
    """Return a client whose answers are bounded. boto3 has no setting and no event for that."""
    endpoint = client._endpoint  # noqa: SLF001
    endpoint.http_session = _BoundedSession(endpoint.http_session)
    return client


class _BoundedSession:
    """Sends by another session, and reads each answer itself."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def send(self, request: Any) -> AWSResponse:
        request.stream_output = True  # or the session would read the answer whole
        answer = self._session.send(request)
        return AWSResponse(answer.url, answer.status_code, answer.headers, _Bounded(answer.raw))

    def close(self) -> None:
        self._session.close()


class _Bounded:
    """An answer's body."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def stream(self) -> Iterator[bytes]:
        """Yield the body's pieces.

        Raises:
            HTTPClientError: it is longer than it may be, or breaks off.
        """
        size = 0
        try:
            for piece in self._raw.stream(_PIECE_BYTES):
                size += len(piece)
                if size > _MAX_ANSWER_BYTES:
                    break
                yield piece
        except Exception as error:
            raise HTTPClientError(error=error) from error

        if size > _MAX_ANSWER_BYTES:
            self._raw.close()
            raise HTTPClientError(error=f"the answer is longer than {_MAX_ANSWER_BYTES} bytes")
