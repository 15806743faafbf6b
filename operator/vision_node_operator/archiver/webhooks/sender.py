"""Send one message to a URL, and report the outcome."""

import asyncio
import ssl
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime
from socket import gaierror
from urllib.parse import urljoin

import aiohttp
from vision_node_contract.callbacks.urls import CallbackRules, CallbackURL, CallbackURLError
from vision_node_contract.clients.outbound import proxy_for
from yarl import URL

from .lookup import PinnedResolver, checked_addresses, system_lookup
from .lookups import Lookup, Lookups
from .schedule import retry_after_seconds
from .short_answers import ShortConnector
from .turns import Place

TOTAL_SECONDS = 15.0
"""Time limit for an attempt in seconds, with all redirects. Standard Webhooks recommends 15 to 30.
Receivers should answer first, and work afterward."""

CONNECT_SECONDS = 5.0
"""Time limit for a connection, in seconds."""

MAX_REDIRECTS = 3

REDIRECTS = frozenset({301, 302, 307, 308})
"""Statuses after which the same request is sent to another URL. Browsers would send GET after 301
and 302, which would lose the message."""

BUSY = frozenset({429, 503})
"""Statuses with which a receiver may say when to send the message again."""

GONE = 410
"""Status with which a receiver says that it wants no such messages."""


_SENTENCES: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    (TimeoutError, f"ReceiverTooSlow: The receiver did not answer within {TOTAL_SECONDS:g} s."),
    (gaierror, "NameNotResolved: The host of the URL can't be resolved."),
    (
        (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError, ssl.SSLError),
        "TLSFailed: The receiver's certificate is not trusted, or TLS failed.",
    ),
    (
        aiohttp.ClientHttpProxyError,
        "ProxyRefused: The proxy refused to open a connection to the receiver.",
    ),
    (
        aiohttp.ClientConnectorError,
        "ConnectionFailed: No connection to the receiver could be opened.",
    ),
    (
        (aiohttp.ClientConnectionError, OSError),
        "ConnectionLost: The receiver closed the connection before it answered.",
    ),
)
"""What happened, by the kind of error. The first one that fits counts."""

INVALID = "ResponseInvalid: The receiver's answer is not valid HTTP."


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of an attempt."""

    status: int | None = None
    """HTTP status of the last response; None if there was none."""
    error: str | None = None
    """Reason and sentence; None if the message was delivered. It never quotes the response, and
    never names an address: the client that chose the URL may read it."""
    is_final: bool = False
    """Whether there must be no further attempt."""
    retry_after: float | None = None
    """The pause that the receiver asks for, in seconds; None if it asks for none."""


class Sender:
    """Sends messages. It keeps no connections and no cookies.

    Args:
        rules: What callbacks may reach.
        context: How receivers' certificates are checked.
        threads: Where names are resolved.
        lookup: Resolves a name.
    """

    def __init__(
        self,
        rules: CallbackRules,
        context: ssl.SSLContext,
        threads: Executor,
        lookup: Lookup = system_lookup,
    ) -> None:
        self._rules = rules
        self._context = context
        self._lookups = Lookups(threads, lookup)

    @property
    def hanging(self) -> Counter[Place]:
        """Number of lookups of names that go on after their attempts have ended."""
        return self._lookups.hanging

    async def send(
        self, url: str, headers: Mapping[str, str], body: bytes, place: Place
    ) -> Outcome:
        """Send a message to a URL, and follow redirects. All errors become outcomes.

        Args:
            url: The URL.
            headers: Headers of the request.
            body: Body of the request.
            place: Where the message waited.
        """
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                return await self._follow(url, headers, body, place)
        except CallbackURLError as error:
            refusal = f"The URL, or one that it redirects to, is refused: {error}."
            return Outcome(error=f"CallbackURLNotAllowed: {refusal}", is_final=True)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Outcome(error=_sentence(error))

    async def _follow(
        self, text: str, headers: Mapping[str, str], body: bytes, place: Place
    ) -> Outcome:
        for _ in range(MAX_REDIRECTS + 1):
            url = CallbackURL.parse(text, self._rules)
            response = await self._post(url, headers, body, place)
            location = response.headers.get("Location")
            if response.status not in REDIRECTS or not location:
                return _outcome(response)
            text = urljoin(str(url), location)

        error = f"TooManyRedirects: The receiver redirected more than {MAX_REDIRECTS} times."
        return Outcome(response.status, error)

    async def _post(
        self, url: CallbackURL, headers: Mapping[str, str], body: bytes, place: Place
    ) -> aiohttp.ClientResponse:
        """Send a request; return the response, whose body is not read."""
        proxy = proxy_for(url.scheme, url.authority)
        connector = await self._connector(url, place, has_proxy=proxy is not None)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)

        # A session for each request: nothing that one receiver sends can concern another.
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        ) as session:
            target = URL(str(url), encoded=True)
            async with session.post(
                target, data=body, headers=headers, allow_redirects=False, proxy=proxy
            ) as response:
                return response

    async def _connector(
        self, url: CallbackURL, place: Place, *, has_proxy: bool
    ) -> aiohttp.TCPConnector:
        """Return what opens the connection for one request.

        A proxy resolves names itself, so what it may reach is up to its own rules.
        """
        if has_proxy:
            if url.is_local:
                raise CallbackURLError(
                    "names of private networks are not sent through the proxy (proxy.except)"
                )
            return ShortConnector(ssl=self._context, force_close=True, limit=1)

        addresses = await checked_addresses(url, self._rules, self._lookups, place)
        return ShortConnector(
            ssl=self._context,
            resolver=PinnedResolver(addresses),
            use_dns_cache=False,
            force_close=True,
            limit=1,
        )


def _outcome(response: aiohttp.ClientResponse) -> Outcome:
    status = response.status
    if 200 <= status < 300:
        return Outcome(status)

    error = f"ReceiverRefused: The receiver answered with status {status}."
    wait = response.headers.get("Retry-After") if status in BUSY else None
    return Outcome(
        status,
        error,
        is_final=status == GONE,
        retry_after=retry_after_seconds(wait, datetime.now(UTC)),
    )


def _sentence(error: Exception) -> str:
    """Return what happened, without the names and addresses in the error's own message."""
    return next((text for kinds, text in _SENTENCES if isinstance(error, kinds)), INVALID)
