"""Find out who sent a request: by an API key, a Kubernetes token, or a session of the page."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.datastructures import Headers
from starlette.types import Scope
from vision_node_contract.api_keys import key_id

from ...web.credentials import Refusal, authorization_of
from ...web.session_cookie import session_texts
from .identity import Identity
from .key_problems import cannot_check, keys_missing, refresh_problems
from .key_store import KeyStore
from .kubernetes_identities import KubernetesIdentities
from .sessions import Sessions


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The client that sent a request."""

    identity: Identity
    has_session: bool = False
    """Whether its browser has sent a session by itself, so that another page may have caused the
    request."""


@dataclass(frozen=True, slots=True)
class Authentication:
    """Finds out who sent a request."""

    keys: KeyStore
    users: KubernetesIdentities | None
    """None if tokens of Kubernetes are not accepted."""
    sessions: Sessions

    async def of_request(
        self, scope: Scope, may_wait: Callable[[], bool]
    ) -> Authenticated | Refusal:
        """Return who sent a request, or why that is unknown.

        The header Authorization counts even if there is a session, too.

        Args:
            scope: The request.
            may_wait: Function that returns whether an unknown key or token is worth requests to the
                API server.

        Raises:
            Problem: 503 AuthenticationUnavailable.
        """
        text = authorization_of(scope)
        if text is Refusal.MISSING:
            return await self._of_session(scope, may_wait)

        found = text if isinstance(text, Refusal) else await self.of_text(text, may_wait)
        return found if isinstance(found, Refusal) else Authenticated(found)

    async def of_text(self, text: str, may_wait: Callable[[], bool]) -> Identity | Refusal:
        """Return who has a key or token, or why it is not accepted. Arguments as in `of_request`.

        Raises:
            Problem: 503 AuthenticationUnavailable.
        """
        known_id = key_id(text)
        if known_id is not None:
            return await self._of_key(known_id, text, may_wait)

        identity = await self.users.identify(text, may_wait) if self.users else None
        return identity or Refusal.TOKEN

    async def _of_key(
        self, known_id: str, text: str, may_wait: Callable[[], bool]
    ) -> Identity | Refusal:
        if not self.keys.is_loaded:
            raise cannot_check("The API has not read the API keys yet.")

        known = self.keys.get(known_id)
        if known is None and may_wait():
            # Another replica may have created the key just now.
            with refresh_problems("The API server could not be asked about an unknown key."):
                await self.keys.refresh()
            known = self.keys.get(known_id)

        if known is None:
            return self._unknown()
        if not known.has_text(text):
            return Refusal.WRONG_KEY
        if known.key.is_expired(datetime.now(UTC)):
            return Refusal.EXPIRED_KEY

        return Identity(known.access, known.key.expires_at, key_id=known_id)

    def _unknown(self) -> Refusal:
        """Refuse an unknown key.

        Raises:
            Problem: 503 AuthenticationUnavailable, because all keys are unknown.
        """
        if self.keys.is_missing:
            raise keys_missing()
        return Refusal.UNKNOWN_KEY

    async def _of_session(
        self, scope: Scope, may_wait: Callable[[], bool]
    ) -> Authenticated | Refusal:
        texts = session_texts(Headers(scope=scope))
        if not texts:
            return Refusal.MISSING

        identity = await self.sessions.identify(texts, may_wait)
        return Authenticated(identity, has_session=True) if identity else Refusal.SESSION
