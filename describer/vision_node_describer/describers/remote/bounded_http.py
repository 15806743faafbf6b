"""An HTTP client that reads no answer without end: what is longer than a bound is given up."""

from typing import Any

import httpx2

KEPT_SECONDS = 4.0
"""For which an idle connection stays open. Uvicorn (and so vLLM) and Node.js close theirs after
5 s by default, and a request that meets the closing costs its image an attempt."""

_NO_LONGER_TRUE = frozenset({"content-encoding", "content-length", "transfer-encoding"})
"""Headers of an answer that do not hold once its body is decoded."""


class AnswerTooLargeError(httpx2.TransportError):
    """An answer is longer than it may be."""


class BoundedClient(httpx2.AsyncClient):
    """Follows no redirects, and reads each answer whole, up to a bound.

    Args:
        most_bytes: Of a decoded body: a few kilobytes that are compressed can stand for gigabytes.
        trust_env: Whether proxies of the environment are used.
    """

    def __init__(self, most_bytes: int, *, trust_env: bool = True) -> None:
        kept = httpx2.Limits(keepalive_expiry=KEPT_SECONDS)
        super().__init__(limits=kept, follow_redirects=False, trust_env=trust_env)
        self._most_bytes = most_bytes

    async def send(
        self, request: httpx2.Request, *, stream: bool = False, **how: Any
    ) -> httpx2.Response:
        """Send a request and return its answer, which has been read.

        Raises:
            AnswerTooLargeError: the answer is longer than may be.
            httpx2.HTTPError: as httpx2 does.
        """
        response = await super().send(request, stream=True, **how)
        try:
            body = await self._read(response)
        finally:
            await response.aclose()

        headers = [
            (name, value)
            for name, value in response.headers.multi_items()
            if name not in _NO_LONGER_TRUE
        ]

        return httpx2.Response(
            response.status_code,
            headers=headers,
            content=body,
            request=request,
            extensions=response.extensions,
        )

    async def _read(self, response: httpx2.Response) -> bytes:
        body = bytearray()
        async for part in response.aiter_bytes():
            body += part
            if len(body) > self._most_bytes:
                raise AnswerTooLargeError(f"the answer is longer than {self._most_bytes} bytes")
        return bytes(body)
