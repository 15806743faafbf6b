"""The text of a session of the page, which is signed and contains everything that it says.

No replica stores sessions, so any replica accepts one that another began, and a restart ends none.
"""

import base64
import binascii
import hmac
import secrets
from hashlib import sha256
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .identity import KubernetesUser

VERSION = "v1"
"""First part of the text. A version of the API that signs other members uses another one."""

MAX_CHARACTERS = 3800
"""Maximum length of the text. Browsers accept cookies of 4096 bytes, including name and attributes,
of which the path has up to 255."""

_SEPARATED = b"vision-node page session\0"
"""Beginning of what is signed, so that a signature never fits a text with another purpose."""


class Session(BaseModel):
    """What a session says: who logged in, and when.

    Exactly one of `key` and `user` is set.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(default_factory=lambda: secrets.token_urlsafe(16))
    """Random, so that no two sessions are equal."""
    at: int
    """When it began, in seconds since 1970."""
    key: str | None = None
    """Id of the API key with which it began."""
    user: KubernetesUser | None = None
    """The Kubernetes user whose token began it."""
    until: int | None = None
    """When the session of a Kubernetes user ends, in seconds since 1970."""

    @classmethod
    def of_key(cls, key_id: str, now: float) -> Self:
        """Begin a session of the client that has the API key with this id."""
        return cls(at=int(now), key=key_id)

    @classmethod
    def of_user(cls, user: KubernetesUser, now: float, until: float) -> Self:
        """Begin a session of a Kubernetes user that ends at `until`, in seconds since 1970."""
        return cls(at=int(now), user=user, until=int(until))

    def signed(self, secret: bytes) -> str:
        """Return the session's text, signed with the secret.

        Raises:
            SessionTooLongError: the text would not fit into a cookie.
        """
        content = _encode(self.model_dump_json(exclude_defaults=True).encode())
        signed = f"{VERSION}.{content}"
        text = f"{signed}.{_encode(_signature(signed.encode(), secret))}"
        if len(text) > MAX_CHARACTERS:
            raise SessionTooLongError

        return text

    @classmethod
    def parse(cls, text: str, secret: bytes) -> Self | None:
        """Return the session whose text was signed with the secret.

        Return None for any other text. Whether the session has ended is for the caller to decide.
        """
        if len(text) > MAX_CHARACTERS or not text.isascii():
            return None

        signed, _, signature = text.rpartition(".")
        expected = _encode(_signature(signed.encode(), secret))
        if not hmac.compare_digest(signature.encode(), expected.encode()):
            return None

        version, _, content = signed.partition(".")
        try:
            # The signature is ours, but it may be that of a newer or older version of the API.
            return cls.model_validate_json(_decode(content)) if version == VERSION else None
        except (binascii.Error, ValidationError):
            return None


class SessionTooLongError(Exception):
    """The text of the session would not fit into a cookie, because its user has many groups."""


def _signature(signed: bytes, secret: bytes) -> bytes:
    return hmac.digest(secret, _SEPARATED + signed, sha256)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
