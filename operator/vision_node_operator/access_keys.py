"""Make a release's first API key, which `release_setup` calls if the API needs keys.

The Secret with all keys has only their hashes, so the first key's text is in a Secret of its own,
which an administrator reads once and may delete. `first_key` decides what is to be done: wherever
this ends early, the next run completes it, and a key that was revoked never works again.
"""

import base64
import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from vision_node_contract.api_keys import ENTRY_PREFIX, ApiKey, hash_key, key_id, new_key
from vision_node_contract.clients.kube import Kube, NotFoundError
from vision_node_contract.json_types import Json

from .first_key import FIRST_KEY, MADE, WANTED, FoundSecrets, Step, next_step, pending
from .setup_job import labels

log = logging.getLogger(__name__)

TEXT = "key"
"""Data key of the text in the first key's Secret."""

NAME = "admin"
"""Name and owner of the first key."""


@dataclass(frozen=True, slots=True)
class AccessSecrets:
    """The names of the two Secrets."""

    keys: str
    """Name of the Secret with the hashes of all keys."""
    admin_key: str
    """Name of the Secret with the text of the first key."""


async def ensure(kube: Kube, namespace: str, names: AccessSecrets) -> None:
    """Create the Secret of the API keys, and a first key if `first_key` says so.

    Raises:
        ConflictError: Another Job changes the same Secrets. Call this again.
        KubeError: The API server is unavailable or refused a request.
    """
    secrets = _Secrets(kube, f"/api/v1/namespaces/{namespace}/secrets")
    # In this order: if another Job prepares a key after this, one of the resourceVersions is
    # outdated, so that of two Jobs, only one can store its text and then its hash.
    text = await secrets.find(names.admin_key)
    keys = await secrets.find(names.keys)

    match next_step(_found(keys, text)):
        case Step.PREPARE:
            keys, text = await _prepare(secrets, names, keys, text)
            await _use(secrets, names, keys, text)
        case Step.USE if keys and text:
            await _use(secrets, names, keys, text)
        case Step.SETTLE if keys:
            await secrets.change(keys, {}, {FIRST_KEY: MADE})
            _log_kept(names, keys)
        case _ if keys:
            _log_kept(names, keys)


def _found(keys: Json | None, text: Json | None) -> FoundSecrets:
    return FoundSecrets(
        data=None if keys is None else keys.get("data") or {},
        mark="" if keys is None else (keys["metadata"].get("annotations") or {}).get(FIRST_KEY, ""),
        text_id=None if text is None else key_id(_text_in(text)) or "",
    )


async def _prepare(
    secrets: "_Secrets", names: AccessSecrets, keys: Json | None, text: Json | None
) -> tuple[Json, Json]:
    """Mark a new key as pending, store its text, and return both Secrets.

    A text from before is replaced: its key was revoked, or never worked.
    """
    new_id, new_text = new_key()
    mark = {FIRST_KEY: pending(new_id)}
    encoded = {TEXT: base64.b64encode(new_text.encode()).decode()}

    if keys is None:
        keys = await secrets.create(names.keys, {}, mark)
    else:
        keys = await secrets.change(keys, {}, mark)

    if text is None:
        return keys, await secrets.create(names.admin_key, encoded)
    return keys, await secrets.change(text, encoded)


async def _use(secrets: "_Secrets", names: AccessSecrets, keys: Json, text: Json) -> None:
    """Put the pending key into use, whose text is stored."""
    await secrets.change(keys, _entry_of(_text_in(text)), {FIRST_KEY: MADE})
    log.info("Secret %s has the first key; its text is in %s", names.keys, names.admin_key)


def _log_kept(names: AccessSecrets, keys: Json) -> None:
    if any(name.startswith(ENTRY_PREFIX) for name in keys.get("data") or {}):
        log.info("Secret %s has keys; no first key is needed", names.keys)
    else:
        log.warning(
            "Secret %s has no keys, because all were revoked. If you want another first key, set "
            "its annotation %s to %r, and upgrade the release again",
            *(names.keys, FIRST_KEY, WANTED),
        )


def _entry_of(text: str) -> dict[str, str]:
    """Return the data of the Secret of the API keys for an administrator's key, in base64."""
    key = ApiKey(
        name=NAME,
        owner=NAME,
        scopes=["admin"],
        sha256=hash_key(text),
        created_at=datetime.now(UTC),
        expires_at=None,
    )
    return {f"{ENTRY_PREFIX}{key_id(text)}": key.entry()}


def _text_in(secret: Json) -> str:
    data = secret.get("data") or {}
    return base64.b64decode(data.get(TEXT, "")).decode(errors="replace")


@dataclass(frozen=True, slots=True)
class _Secrets:
    """Reads and writes Secrets."""

    kube: Kube
    path: str

    async def find(self, name: str) -> Json | None:
        """Return a Secret; None if there is none."""
        try:
            return await self.kube.request("GET", f"{self.path}/{name}")
        except NotFoundError:
            return None

    async def create(
        self, name: str, data: dict[str, str], annotations: dict[str, str] | None = None
    ) -> Json:
        """Create a Secret, which outlives the release: see GeneratedSecret.manifest."""
        metadata = {"name": name, "labels": labels("api-keys"), "annotations": annotations or {}}
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "Opaque",
            "metadata": metadata,
            "data": data,
        }
        return await self.kube.request("POST", self.path, body=body)

    async def change(
        self,
        secret: Json,
        data: dict[str, str],
        annotations: dict[str, str] | None = None,
    ) -> Json:
        """Change a Secret, unless it has changed since it was read."""
        metadata = {"resourceVersion": secret["metadata"]["resourceVersion"]}
        metadata |= {"annotations": annotations} if annotations else {}
        body = {"metadata": metadata, "data": data}
        return await self.kube.request(
            "PATCH", f"{self.path}/{secret['metadata']['name']}", body=body
        )
