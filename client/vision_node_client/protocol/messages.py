"""Requests and responses, independent of the library that transfers them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")

MAX_WAIT_SECONDS = 25
"""Maximum number of seconds for which one request waits. Some proxies cut a request that has had no
response for 30 s."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request to the server."""

    method: str
    path: str
    """Percent-encoded path below the server's URL."""
    params: Mapping[str, str | list[str]] = field(default_factory=dict)
    """The query string. A parameter with a list is repeated."""
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes | None = field(default=None, repr=False)
    json: Any = None
    """The body as JSON, in place of `content`; None if there is none."""
    is_repeatable: bool = True
    """Whether a second request after a lost response does no harm."""
    wait_seconds: int = 0
    """For how long the server may delay the response until there is an outcome, in seconds. Older
    servers respond at once."""

    def waiting(self, seconds: float) -> Self:
        """Return the same request with whole seconds to wait, up to MAX_WAIT_SECONDS."""
        return replace(self, wait_seconds=int(min(max(seconds, 0), MAX_WAIT_SECONDS)))


@dataclass(frozen=True, slots=True)
class Reply:
    """A response whose body has been read."""

    status: int
    phrase: str
    headers: dict[str, str]
    """Headers by their names in lower case."""
    content: bytes = field(repr=False)
    url: str
    """The URL of the request, without user name and password."""
    sent_key: bool = False
    """Whether the request had an API key, or a user name and a password."""

    @property
    def is_success(self) -> bool:
        """Whether the request succeeded."""
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request, and the function that reads a successful response to it."""

    request: Request
    read: Callable[[Reply], T]
