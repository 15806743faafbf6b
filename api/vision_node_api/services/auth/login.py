"""Trade keys and tokens for sessions of the page."""

from dataclasses import dataclass

from ...web.credentials import Refusal
from ...web.problems import Problem
from .authentication import Authentication
from .refusals import Refusals, unauthenticated
from .sessions import BegunSession


@dataclass(frozen=True, slots=True)
class Login:
    """Begins sessions. A wrong key costs its sender as much here as in any other request."""

    authentication: Authentication
    refusals: Refusals

    async def begin(self, key: str, address: str) -> BegunSession:
        """Begin a session of the client that has a key or token.

        Args:
            key: What the client has sent, which may be anything.
            address: The client's address.

        Raises:
            Problem: 401 Unauthenticated; 422 SessionTooLong; 503 AuthenticationUnavailable.
        """
        refusals = self.refusals
        found = await self.authentication.of_text(key, lambda: not refusals.is_spent(address))
        if isinstance(found, Refusal):
            raise await self._refused(found, address)

        return await self.authentication.sessions.begin(found)

    async def _refused(self, refusal: Refusal, address: str) -> Problem:
        self.refusals.count(refusal)
        must_close = await self.refusals.delay(address)

        headers = {"WWW-Authenticate": "Bearer", "Cache-Control": "no-store"}
        return unauthenticated(headers | ({"Connection": "close"} if must_close else {}))
