"""Sign messages as Standard Webhooks defines it, with a secret that may be rotated at any time.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hmac
from collections.abc import Sequence
from pathlib import Path

PREFIX = "whsec_"
"""What each secret begins with, so that scanners find secrets that were published by mistake."""

MIN_BYTES, MAX_BYTES = 24, 64
"""Length of a secret in bytes."""

SECRET, PREVIOUS = "secret", "previous"
"""The keys of the Kubernetes Secret, which are files in the pod. `previous` need not exist."""


class SecretUnusableError(Exception):
    """The secret is missing or invalid. The message does not contain it."""


class SecretFolder:
    """The folder in which Kubernetes keeps the files of the Secret up to date."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keys(self) -> list[bytes]:
        """Return the keys with which messages are signed now: the current one comes first.

        While the secret is rotated, messages have the signatures of both, so that receivers can
        change theirs at any time.

        Raises:
            SecretUnusableError: The secret is missing, or one of the two is invalid or unreadable.
        """
        current = self._read(SECRET)
        if current is None:
            raise SecretUnusableError(
                f"the Secret for webhooks is missing, or has no key {SECRET}: upgrade the release, "
                "which creates it"
            )

        previous = self._read(PREVIOUS)
        return [current] if previous is None else [current, previous]

    def _read(self, name: str) -> bytes | None:
        try:
            text = (self._path / name).read_text(encoding="ascii", errors="replace").strip()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:  # it must not stop the archiver
            raise SecretUnusableError(
                f"the key {name} of the Secret for webhooks can't be read: {error.strerror}"
            ) from error

        return parse_secret(text, name) if text else None


def parse_secret(text: str, name: str) -> bytes:
    """Return the key in a secret, such as whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw.

    Raises:
        SecretUnusableError: The secret is invalid. `name` says which one.
    """
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""

    if not text.startswith(PREFIX) or not MIN_BYTES <= len(key) <= MAX_BYTES:
        raise SecretUnusableError(
            f"the key {name} of the Secret for webhooks must be {PREFIX} and {MIN_BYTES} to "
            f"{MAX_BYTES} bytes in base64"
        )
    return key


def signature(keys: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of the header webhook-signature: a signature with each key."""
    content = f"{message_id}.{timestamp}.".encode() + body
    digests = (hmac.digest(key, content, "sha256") for key in keys)
    return " ".join(f"v1,{base64.b64encode(it).decode()}" for it in digests)
