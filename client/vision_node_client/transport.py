"""What both clients need to send requests with httpx."""

import math
from typing import Any
from urllib.parse import urlsplit

import httpx

from .api_key import KeySource, auth_of
from .environment import KEY_VARIABLE
from .protocol.messages import Reply, Request
from .protocol.steps import TransportError

REQUEST_SECONDS = 30.0
"""Default of the longest pause within a request, in seconds: until the connection is made, and
between two pieces of the body of the request or the response."""

CONNECT_SECONDS = 10.0
"""Maximum seconds until a connection is made; a server that needs longer is down."""

STREAM_SECONDS = 60.0
"""Minimum of the longest pause in a stream of results, in seconds. The server sends something at
least every 15 s."""


def client_options(url: str, timeout: float, api_key: KeySource | None) -> dict[str, Any]:
    """Return the arguments for httpx's client.

    Args:
        url: URL of the server. It may have a path, and a user name and a password for a proxy.
        timeout: The longest pause within a request, in seconds.
        api_key: The API key; None for that in the environment, and "" for none.

    Raises:
        ValueError: The URL is no http or https URL, or the timeout is not a positive number; or
            there are a key and a password, which would be sent in the same header.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{url!r} is not an http or https URL")
    if not (timeout > 0 and math.isfinite(timeout)):
        raise ValueError(f"the timeout {timeout!r} is not a positive number of seconds")

    auth = auth_of(api_key)
    if auth is not None and (parts.username or parts.password):
        raise ValueError(
            "an API key can't be sent together with the user name and password in the URL: remove "
            f"them, or the key (api_key, ${KEY_VARIABLE})"
        )

    limits = httpx.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS))
    # Without redirects, no other server gets what is sent.
    return {
        "base_url": url.rstrip("/"),
        "timeout": limits,
        "auth": auth,
        "follow_redirects": False,
    }


def build_request(
    http: httpx.Client | httpx.AsyncClient, request: Request, *, is_stream: bool = False
) -> httpx.Request:
    """Return a request for httpx."""
    timeout, headers = http.timeout, dict(request.headers)
    if is_stream:
        timeout = _with_read(timeout, max(timeout.read or 0, STREAM_SECONDS))
    elif request.wait_seconds:
        timeout = _with_read(timeout, (timeout.read or 0) + request.wait_seconds)
        headers["Prefer"] = f"wait={request.wait_seconds}"

    return http.build_request(
        request.method,
        request.path,
        params=request.params or None,
        headers=headers,
        content=request.content,
        json=request.json,
        timeout=timeout,
    )


def _with_read(timeout: httpx.Timeout, seconds: float) -> httpx.Timeout:
    """Return the same timeouts, but a different one for reads, in seconds."""
    return httpx.Timeout(
        connect=timeout.connect, read=seconds, write=timeout.write, pool=timeout.pool
    )


def reply_of(response: httpx.Response, content: bytes) -> Reply:
    """Return a response of httpx with its body."""
    return Reply(
        response.status_code,
        response.reason_phrase,
        {name.lower(): value for name, value in response.headers.items()},
        content,
        _shown(response.request.url),
        sent_key="authorization" in response.request.headers,
    )


def transport_error(
    error: httpx.RequestError, http: httpx.Client | httpx.AsyncClient
) -> TransportError:
    """Return the error of a flow for an error of httpx."""
    cause = str(error) or type(error).__name__
    return TransportError(f"{_shown(http.base_url).rstrip('/')} does not respond ({cause})")


def _shown(url: httpx.URL) -> str:
    """Return a URL without user name, password and query."""
    return str(url.copy_with(username=None, password=None, query=None))
