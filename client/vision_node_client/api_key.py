"""Send an API key, or a token of Kubernetes, with each request."""

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass, field

import httpx

from .environment import KEY_VARIABLE

KeySource = str | Callable[[], str]
"""An API key, or a function that returns the current one, which is called before each request.
Tokens of Kubernetes expire, for example, so programs read them from a file again and again."""

_KEY = re.compile(r"[!-~]{1,16384}")
"""What a header can have as a key: visible characters of ASCII. Tokens have a few thousand."""


@dataclass(frozen=True)
class KeyAuth(httpx.Auth):
    """Adds the header Authorization. After a redirect to another server, httpx removes it."""

    source: KeySource = field(repr=False)

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """Send a request with the current key."""
        yield _with_key(request, self._current())

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send a request with the current key. The function may read a file, so it has a thread."""
        is_known = isinstance(self.source, str)
        yield _with_key(
            request, self._current() if is_known else await asyncio.to_thread(self._current)
        )

    def _current(self) -> str:
        return checked(self.source if isinstance(self.source, str) else self.source())


def auth_of(api_key: KeySource | None) -> KeyAuth | None:
    """Return how requests are sent with a key; None if there is none.

    Args:
        api_key: The key; None for that in the environment, and "" for none.

    Raises:
        ValueError: It can't be a key.
    """
    source = os.environ.get(KEY_VARIABLE, "") if api_key is None else api_key
    if callable(source):
        return KeyAuth(source)

    return KeyAuth(checked(source)) if source.strip() else None


def _with_key(request: httpx.Request, key: str) -> httpx.Request:
    request.headers["Authorization"] = f"Bearer {key}"
    return request


def checked(key: str) -> str:
    """Return a key without spaces and line breaks around it.

    Raises:
        ValueError: It can't be a key. The message does not contain it.
    """
    stripped = key.strip()
    if not _KEY.fullmatch(stripped):
        raise ValueError("the API key is empty, too long, or has characters that no key has")

    return stripped
