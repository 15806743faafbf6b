"""Begin sessions of the page, and find out whose session a request has."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ...web.problems import Problem
from .identity import Identity, KubernetesUser
from .key_problems import cannot_check, keys_missing, refresh_problems
from .key_store import KeyStore
from .kubernetes_identities import KubernetesIdentities
from .session_text import Session, SessionTooLongError

KUBERNETES_SECONDS = 3600.0
"""Maximum number of seconds for which a session of a Kubernetes user lasts. The API can't ask again
whether the user still exists, because the session does not contain the token."""


@dataclass(frozen=True, slots=True)
class BegunSession:
    """A session that has just begun."""

    text: str
    """What the browser has to send with each request."""
    seconds: int
    """Number of seconds until the session ends."""


class Sessions:
    """Knows the sessions of the page by their signatures.

    A session has the rights that its key or its user has at each moment, so revoking a key ends its
    sessions, and a new secret ends all sessions.

    Args:
        keys: The API keys, and the secret with which sessions are signed.
        users: What tells the rights of Kubernetes users; None if only API keys are accepted.
        seconds: Number of seconds for which a session lasts.
        clock: Function that returns the time in seconds since 1970.
    """

    def __init__(
        self,
        keys: KeyStore,
        users: KubernetesIdentities | None,
        seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._users = users
        self._seconds = seconds
        self._clock = clock

    async def begin(self, identity: Identity) -> BegunSession:
        """Begin a session of a client that has just sent its key or token.

        Raises:
            Problem: 422 SessionTooLong; 503 AuthenticationUnavailable.
        """
        secret = await self._keys.ensure_session_secret()
        now = self._clock()
        until = self._end(now, identity)

        if identity.user:
            session = Session.of_user(identity.user, now, until)
        else:
            session = Session.of_key(identity.key_id or "", now)

        try:
            return BegunSession(session.signed(secret), int(until - now))
        except SessionTooLongError as error:
            raise _too_long() from error

    async def identify(self, texts: Sequence[str], may_wait: Callable[[], bool]) -> Identity | None:
        """Return who has the session in a request; None if it has none that is valid.

        Args:
            texts: What the request has in cookies with the session's name. It has no session if
                several of them are valid: other servers of the same domain can set cookies, and
                must not decide in whose name a user acts.
            may_wait: Function that returns whether an unknown session is worth a request to the API
                server.

        Raises:
            Problem: 503 AuthenticationUnavailable.
        """
        if not self._keys.is_loaded:
            raise cannot_check("The API has not read the API keys yet.", "session")

        session = self._valid(texts)
        if (session is None or self._lacks_key(session)) and may_wait():
            # Another replica may have added the key, or the secret, a moment ago.
            with refresh_problems("The session is unknown to this replica.", "session"):
                await self._keys.refresh()
            session = self._valid(texts)

        if session is None and self._keys.is_missing:
            raise keys_missing()
        if session is None:
            return None

        if session.user:
            return await self._identify_user(session, session.user)
        return self._identify_key(session, session.key or "")

    def _valid(self, texts: Sequence[str]) -> Session | None:
        secret = self._keys.session_secret
        if secret is None:
            return None

        parsed = (Session.parse(text, secret) for text in texts)
        found = [session for session in parsed if session]
        return found[0] if len(found) == 1 else None

    def _lacks_key(self, session: Session) -> bool:
        return session.key is not None and self._keys.get(session.key) is None

    def _identify_key(self, session: Session, key_id: str) -> Identity | None:
        known = self._keys.get(key_id)
        if known is None:
            return None

        end = _earliest(session.at + self._seconds, known.key.expires_at)
        if self._clock() >= end:
            return None
        return Identity(known.access, datetime.fromtimestamp(end, UTC), key_id=key_id)

    async def _identify_user(self, session: Session, user: KubernetesUser) -> Identity | None:
        end = min(session.at + self._seconds, session.until or 0)
        if self._users is None or self._clock() >= end:
            return None

        found = await self._users.identify_user(user)
        return found and replace(found, expires_at=datetime.fromtimestamp(end, UTC))

    def _end(self, now: float, identity: Identity) -> float:
        """Return when a session ends that begins now, in seconds since 1970."""
        seconds = min(self._seconds, KUBERNETES_SECONDS) if identity.user else self._seconds
        return _earliest(now + seconds, identity.expires_at)


def _earliest(end: float, expires_at: datetime | None) -> float:
    return min(end, expires_at.timestamp()) if expires_at else end


def _too_long() -> Problem:
    detail = (
        "The session would not fit into a cookie, because the user is in too many groups. Log in "
        "with an API key."
    )
    return Problem(422, "SessionTooLong", detail)
