"""The API keys of the release, as last reported by a watch of the Secret that contains them."""

import base64
import binascii
import hmac
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from vision_node_contract.api_keys import (
    ENTRY_PREFIX,
    MAX_KEYS,
    SESSION_SECRET,
    ApiKey,
    hash_key,
    read_keys,
)
from vision_node_contract.clients.kube import Selectors, WatchEvent
from vision_node_contract.json_types import Json

from ...web.access import Access, Scope
from .key_problems import key_not_found, keys_problems, too_many_keys
from .keys_secret import Data, KeysSecret
from .secret_refresh import SecretRefresh

log = logging.getLogger(__name__)

WATCH_LAG_SECONDS = 60.0
"""How long older events of the watch are ignored after this replica has read or written a newer
state, in seconds. A lost connection is noticed within 55 s, and the next one begins where the lost
one ended."""

SESSION_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class KnownKey:
    """An API key, and the access of the client that has it."""

    id: str
    key: ApiKey
    access: Access = field(init=False)

    def __post_init__(self) -> None:
        scopes = frozenset[Scope](self.key.scopes)
        object.__setattr__(self, "access", Access(self.key.owner, scopes, self.key.name))

    def has_text(self, text: str) -> bool:
        """Return whether a text is that of this key, in a time that does not depend on it."""
        return hmac.compare_digest(hash_key(text), self.key.sha256)


class KeyStore:
    """Knows all API keys, and creates and revokes them.

    While the API server is away, the last known keys go on working until they expire.

    Args:
        secret: The Secret with the keys.
        clock: Function that returns the monotonic time in seconds.
    """

    def __init__(self, secret: KeysSecret, clock: Callable[[], float] = time.monotonic) -> None:
        self.secret = secret
        self.selectors = Selectors(fields=f"metadata.name={secret.name}")
        """Selects the Secret for a watch."""
        self.is_loaded = False
        """Whether the keys have been read, so that a key that is missing here is wrong."""
        self.session_secret: bytes | None = None
        """Secret with which sessions of the page are signed; None if the Secret lacks it."""
        self._clock = clock
        self._keys: dict[str, KnownKey] = {}
        self._data: Data | None = None
        """The Secret's data; None if there is no Secret."""
        self._version = 0
        """The resourceVersion of what is known."""
        self._newer_until = 0.0
        """Monotonic time until which the watch may be behind what is known."""
        self._refresh = SecretRefresh(self._read, clock)

    @property
    def count(self) -> int | None:
        """Number of keys, expired ones included; None if they have not been read yet."""
        return len(self._keys) if self.is_loaded else None

    @property
    def is_missing(self) -> bool:
        """Whether there is no Secret, so that neither keys nor sessions can be checked."""
        return self.is_loaded and self._data is None

    def get(self, key_id: str) -> KnownKey | None:
        """Return the key with this id, which may have expired; None if there is none."""
        return self._keys.get(key_id)

    def observe(self, event: WatchEvent) -> None:
        """Update what is known with an event of the watch."""
        if event.type == "SYNCED":
            if self.secret.name not in event.names:
                self._watched(None, event.version)
            self.is_loaded = True

        for body in event.objects:
            if body["metadata"]["name"] == self.secret.name:
                data = None if event.type == "DELETED" else body.get("data") or {}
                self._watched(data, body["metadata"]["resourceVersion"])

    async def refresh(self) -> None:
        """Read the keys from the API server, at most once a second for all that call this.

        Raises:
            KubeError: they could not be read; NotFoundError if there is no Secret.
        """
        await self._refresh.wait()

    async def all(self) -> list[KnownKey]:
        """Return all keys, the oldest first, as they are on the API server.

        Raises:
            Problem: 503.
        """
        with keys_problems(self.secret.name):
            await self._read()
        return sorted(self._keys.values(), key=lambda it: (it.key.created_at, it.id))

    async def create(self, key_id: str, key: ApiKey) -> None:
        """Store a new key, which works at once on this replica, and soon on the others.

        Raises:
            Problem: 409 TooManyKeys; 503.
        """
        name, value = f"{ENTRY_PREFIX}{key_id}", key.entry()

        def decide(data: Data) -> dict[str, str | None] | None:
            if data.get(name) == value:
                return None

            if sum(it.startswith(ENTRY_PREFIX) for it in data) >= MAX_KEYS:
                raise too_many_keys()
            return {name: value}

        with keys_problems(self.secret.name):
            self._read_or_written(await self.secret.change(decide))

    async def revoke(self, key_id: str) -> None:
        """Remove a key, which stops working at once on this replica, and soon on the others.

        Raises:
            Problem: 404 KeyNotFound; 503.
        """
        name = f"{ENTRY_PREFIX}{key_id}"
        was_found = False

        def decide(data: Data) -> dict[str, str | None] | None:
            nonlocal was_found
            if name not in data and not was_found:
                raise key_not_found(key_id)

            was_found = True
            return {name: None} if name in data else None

        with keys_problems(self.secret.name):
            self._read_or_written(await self.secret.change(decide))

    async def ensure_session_secret(self) -> bytes:
        """Return the secret that signs sessions of the page. Add it to the Secret if it is missing.

        Raises:
            Problem: 503.
        """
        if self.session_secret is not None:
            return self.session_secret

        new = secrets.token_bytes(SESSION_SECRET_BYTES)

        def decide(data: Data) -> dict[str, str | None] | None:
            is_there = _session_secret(data) is not None
            return None if is_there else {SESSION_SECRET: base64.b64encode(new).decode()}

        with keys_problems(self.secret.name):
            secret = await self.secret.change(decide)

        self._read_or_written(secret)
        return _session_secret(secret["data"]) or new

    async def _read(self) -> None:
        self._read_or_written(await self.secret.read())

    def _read_or_written(self, body: Json) -> None:
        """Use what this replica has read or written, unless the watch has told of newer changes."""
        version = int(body["metadata"]["resourceVersion"])
        if version > self._version:
            self._newer_until = self._clock() + WATCH_LAG_SECONDS
            self._use(body.get("data") or {}, version)

    def _watched(self, data: Data | None, version: str) -> None:
        """Use what the watch reports, unless it is still behind what this replica has seen."""
        if int(version) >= self._version or self._clock() >= self._newer_until:
            self._use(data, int(version))

    def _use(self, data: Data | None, version: int) -> None:
        self._version = version
        if data == self._data:
            return

        if data is None:
            log.warning("Secret %s was deleted: no API key and no session works", self.secret.name)

        self._data, known = data, data or {}
        self._keys = {key_id: KnownKey(key_id, key) for key_id, key in read_keys(known).items()}
        self.session_secret = _session_secret(known)


def _session_secret(data: Data) -> bytes | None:
    """Return the secret that signs sessions; None if it is missing, or not a secret."""
    try:
        found = base64.b64decode(data.get(SESSION_SECRET, ""), validate=True)
    except binascii.Error:
        return None

    return found if len(found) >= SESSION_SECRET_BYTES else None


def new_api_key(
    text: str, *, name: str, owner: str, scopes: list[Scope], expires_at: datetime | None
) -> ApiKey:
    """Return what is stored of a new key with this text."""
    return ApiKey(
        name=name,
        owner=owner,
        scopes=scopes,
        sha256=hash_key(text),
        created_at=datetime.now(UTC).replace(microsecond=0),
        expires_at=expires_at,
    )
