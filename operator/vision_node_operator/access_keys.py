"""Make a release's first API key, which `release_setup` calls if the API needs keys.

The Secret with all keys has only their hashes, so the first key's text is in a Secret of its own,
which an administrator reads once and may delete. The text is stored before its hash, and marked as
pending until then: wherever this ends early, the next run completes it with the same text. A text
that was in use is never put into use again, because its key may have been revoked.
"""

import base64
import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from vision_node_contract.api_keys import ENTRY_PREFIX, ApiKey, hash_key, key_id, new_key
from vision_node_contract.clients.kube import Kube, NotFoundError
from vision_node_contract.json_types import Json
from vision_node_contract.names import GROUP

from .setup_job import labels

log = logging.getLogger(__name__)

TEXT = "key"
"""Data key of the text in the first key's Secret."""

PENDING = f"{GROUP}/pending"
"""Annotation of the first key's Secret while the key's hash may not have been stored."""

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
    """Create the Secret of the API keys, and a first key if there are no keys at all.

    Raises:
        ConflictError: Another Job changes the same Secrets. Call this again.
        KubeError: The API server is unavailable or refused a request.
    """
    secrets = _Secrets(kube, f"/api/v1/namespaces/{namespace}/secrets")
    # In this order: if another Job completes the first key in between, the text's
    # resourceVersion is outdated, so a write to its Secret fails.
    text = await secrets.find(names.admin_key)
    keys = await secrets.find(names.keys)
    if keys is None:
        keys = await secrets.create(names.keys, {}, {})

    if any(name.startswith(ENTRY_PREFIX) for name in keys.get("data") or {}):
        log.info("Secret %s has keys; no first key is needed", names.keys)
    else:
        text = await _pending_text(secrets, names, text)
        await secrets.change(keys, _entry_of(_text_in(text)))
        log.info("Secret %s has the first key; its text is in %s", names.keys, names.admin_key)

    if text is not None and _is_pending(text):
        await secrets.change(text, {}, {PENDING: None})


async def _pending_text(secrets: "_Secrets", names: AccessSecrets, found: Json | None) -> Json:
    """Return a Secret with the text of a key that was not in use yet."""
    if found is not None and _is_pending(found) and key_id(_text_in(found)):
        return found

    _, text = new_key()
    if found is None:
        return await secrets.create(names.admin_key, _encoded(text), {PENDING: "true"})

    log.info("Secret %s has the text of a former key; it is replaced", names.admin_key)
    return await secrets.change(found, _encoded(text), {PENDING: "true"})


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


def _is_pending(secret: Json) -> bool:
    return PENDING in (secret["metadata"].get("annotations") or {})


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

    async def create(self, name: str, data: dict[str, str], annotations: dict[str, str]) -> Json:
        """Create a Secret, which outlives the release: see GeneratedSecret.manifest."""
        metadata = {"name": name, "labels": labels("api-keys"), "annotations": annotations}
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
        annotations: dict[str, str | None] | None = None,
    ) -> Json:
        """Change a Secret, unless it has changed since it was read."""
        metadata = {"resourceVersion": secret["metadata"]["resourceVersion"]}
        metadata |= {"annotations": annotations} if annotations else {}
        body = {"metadata": metadata, "data": data}
        return await self.kube.request(
            "PATCH", f"{self.path}/{secret['metadata']['name']}", body=body
        )


def _encoded(text: str) -> dict[str, str]:
    """Return the data of the first key's Secret."""
    return {TEXT: base64.b64encode(text.encode()).decode()}
