"""Tell which user of Kubernetes has a token, and what that user may do.

What the API server has said is used for a minute, so that a client with many requests costs it a
few, and while the API server is away.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from vision_node_contract.clients.kube import KubeError, UnavailableError

from ...web.access import Access
from .identity import Identity, KubernetesUser
from .identity_owner import owner_of
from .key_problems import cannot_check
from .kubernetes_reviews import KubernetesReviews
from .token_claims import read_claims

log = logging.getLogger(__name__)

RIGHTS_SECONDS = 60.0
"""How long the API server's answer about a valid token is used, in seconds."""

REFUSAL_SECONDS = 10.0
"""How long its answer about an invalid token is used, in seconds."""

OUTAGE_SECONDS = 600.0
"""How long an answer is used while the API server is away, in seconds, so that an outage
does not lock out clients that are reading results."""

MAX_CACHED = 5000
"""Maximum number of answers to remember about valid tokens, and as many about invalid ones. They
take 5 MB. The least recently used ones are forgotten first."""

MAX_ASKING = 64
"""Maximum number of tokens about which the API server is being asked. Each needs four requests."""

MAX_SIMULTANEOUS = 4
"""Maximum number of these that are sent at the same time. The others wait."""

ASK_SECONDS = 5.0
"""Time limit for all that is asked about a token, in seconds, with the time that it waits."""

Ask = Callable[[], Awaitable[Identity | None]]


@dataclass(frozen=True, slots=True)
class _Answer:
    identity: Identity | None
    at: float
    """Monotonic time in seconds."""

    def is_usable(self, now: float, seconds: float = RIGHTS_SECONDS) -> bool:
        limit = seconds if self.identity else REFUSAL_SECONDS
        return now - self.at < limit


class KubernetesIdentities:
    """Knows users of Kubernetes by their tokens.

    Args:
        reviews: What asks the API server.
        clock: Function that returns the monotonic time in seconds.
        now: Function that returns the time in seconds since 1970.
    """

    def __init__(
        self,
        reviews: KubernetesReviews,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._reviews = reviews
        self._clock = clock
        self._now = now
        self._valid: OrderedDict[bytes, _Answer] = OrderedDict()
        self._invalid: OrderedDict[bytes, _Answer] = OrderedDict()
        """In a place of their own, so that forged tokens displace no valid ones."""
        self._asking: dict[bytes, asyncio.Task[_Answer]] = {}
        self._turns = asyncio.Semaphore(MAX_SIMULTANEOUS)
        self._is_away = False
        """Whether the latest question to the API server has failed: the log says it once."""

    async def identify(
        self, token: str, may_ask: Callable[[], bool] = lambda: True
    ) -> Identity | None:
        """Return who has a token; None if it is not valid.

        Args:
            token: The token.
            may_ask: Function that returns whether a token that was not valid before is worth
                requests to the API server.

        Raises:
            Problem: 503 AuthenticationUnavailable.
        """
        claims = read_claims(token, self._reviews.audience, self._now())
        if claims is None:
            return None

        until = claims.expires_at
        expires_at = None if until is None else datetime.fromtimestamp(until, UTC)

        async def ask() -> Identity | None:
            user = await self._reviews.user_of(token)
            access = await self._access_of(user) if user else None
            return Identity(access, expires_at, user=user) if access else None

        digest = sha256(token.encode()).digest()
        known = self._known(digest)
        is_unknown = known is None or not (known.identity or known.is_usable(self._clock()))
        if is_unknown and not may_ask():
            what_happened = "Too many wrong keys and tokens come from this address."
            raise cannot_check(what_happened)

        return await self._answer(digest, ask)

    async def identify_user(self, user: KubernetesUser) -> Identity | None:
        """Return what a user may do now whose token was valid earlier.

        Raises:
            Problem: 503 AuthenticationUnavailable.
        """

        async def ask() -> Identity | None:
            return Identity(await self._access_of(user), user=user)

        return await self._answer(sha256(repr(user).encode()).digest(), ask)

    async def _access_of(self, user: KubernetesUser) -> Access:
        scopes = await self._reviews.scopes_of(user)
        return Access(owner_of(user.name), scopes, user.name)

    async def _answer(self, digest: bytes, ask: Ask) -> Identity | None:
        known = self._known(digest)
        if known and known.is_usable(self._clock()):
            return known.identity

        try:
            return (await self._asked(digest, ask)).identity
        except KubeError as error:
            is_away = isinstance(error, UnavailableError)
            if is_away and known and known.is_usable(self._clock(), OUTAGE_SECONDS):
                return known.identity

            what_happened = "The Kubernetes API server could not be asked about the token."
            raise cannot_check(what_happened) from error

    def _known(self, digest: bytes) -> _Answer | None:
        for answers in (self._valid, self._invalid):
            if digest in answers:
                answers.move_to_end(digest)
                return answers[digest]

        return None

    async def _asked(self, digest: bytes, ask: Ask) -> _Answer:
        """Ask the API server, once for all requests with the same token."""
        task = self._asking.get(digest)
        if task is None:
            if len(self._asking) >= MAX_ASKING:
                detail = f"{MAX_ASKING} tokens are already being checked"
                raise UnavailableError(0, "TooManyTokens", detail)

            task = self._asking[digest] = asyncio.create_task(self._ask(digest, ask))
            task.add_done_callback(lambda ended: self._ended(digest, ended))

        # The others go on waiting if this client leaves.
        return await asyncio.shield(task)

    async def _ask(self, digest: bytes, ask: Ask) -> _Answer:
        try:
            async with asyncio.timeout(ASK_SECONDS), self._turns:
                identity = await ask()
        except TimeoutError as error:
            detail = f"no answer within {ASK_SECONDS:g} s"
            raise UnavailableError(0, "NoAnswer", detail) from error

        self._is_away = False
        answer = _Answer(identity, self._clock())
        self._remember(digest, answer)
        return answer

    def _remember(self, digest: bytes, answer: _Answer) -> None:
        self._valid.pop(digest, None)
        self._invalid.pop(digest, None)
        answers = self._valid if answer.identity else self._invalid
        answers[digest] = answer
        if len(answers) > MAX_CACHED:
            answers.popitem(last=False)

    def _ended(self, digest: bytes, task: asyncio.Task[_Answer]) -> None:
        del self._asking[digest]
        # The clients may all have left, so the error must be looked at here.
        error = None if task.cancelled() else task.exception()
        if error and not self._is_away:
            log.warning("Kubernetes tokens can't be checked: %s", error)
            self._is_away = True
