"""An HTTP client that limits how much of a response it reads."""

from typing import Any

import httpx2

KEEPALIVE_SECONDS = 4.0
"""How long an idle connection stays open, in seconds. Uvicorn (and therefore vLLM) and Node.js
close idle connections after 5 s by default. If a request is sent at that moment, it fails, and the
image loses an attempt."""

_ENCODING_HEADERS = frozenset({"content-encoding", "content-length", "transfer-encoding"})
"""Response headers that no longer apply once the body is decoded."""


class ResponseTooLargeError(httpx2.TransportError):
    """A response is larger than the client accepts."""


class BoundedClient(httpx2.AsyncClient):
    """An HTTP client that follows no redirects and reads each response in full, up to a limit.

    Args:
        max_bytes: Maximum size of a decoded body. The limit is on decoded bytes because a few
            compressed kilobytes can expand to gigabytes.
        trust_env: Whether to use the environment's proxies.
    """

    def __init__(self, max_bytes: int, *, trust_env: bool = True) -> None:
        limits = httpx2.Limits(keepalive_expiry=KEEPALIVE_SECONDS)
        super().__init__(limits=limits, follow_redirects=False, trust_env=trust_env)
        self._max_bytes = max_bytes

    async def send(
        self,
        request: httpx2.Request,
        *,
        stream: bool = False,  # noqa: ARG002  # the body is always read here
        **kwargs: Any,
    ) -> httpx2.Response:
        """Send a request and return its response with the whole body read.

        Raises:
            ResponseTooLargeError: The response is larger than the limit.
            httpx2.HTTPError: The request failed.
        """
        response = await super().send(request, stream=True, **kwargs)
        try:
            body = await self._read(response)
        finally:
            await response.aclose()

        headers = [
            (name, value)
            for name, value in response.headers.multi_items()
            if name not in _ENCODING_HEADERS
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
            if len(body) > self._max_bytes:
                raise ResponseTooLargeError(f"the answer is longer than {self._max_bytes} bytes")
        return bytes(body)
