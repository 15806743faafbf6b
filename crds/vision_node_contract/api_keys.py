"""API keys: how their texts are made, and what a release stores of them.

A key's text is `vn_<id>_<secret>`. It is shown once, when the key is created. One Secret has an
entry for each key, whose value is JSON with the SHA-256 of the text, so that no one can learn a key
from the cluster. A slow hash would protect nothing, because a secret of 32 random bytes can't be
guessed.
"""

import base64
import hashlib
import logging
import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

log = logging.getLogger(__name__)

Scope = Literal["submit", "read", "admin"]
"""What a client may do: create and change its own objects, read its own objects, or everything."""

DEFAULT_SCOPES: tuple[Scope, ...] = ("submit", "read")
"""The scopes of a key whose creator names none."""

ENTRY_PREFIX = "key-"
"""What the Secret's data keys begin with that are entries of API keys. The Secret has others."""

SESSION_SECRET = "session-secret"  # noqa: S105 (a name)
"""The Secret's data key of 32 random bytes, with which the API signs sessions of the page."""

MAX_KEYS = 1000
"""Maximum number of keys of a release. An entry takes up to 600 bytes, and a Secret may have 1 MiB.
"""

OWNER_PATTERN = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
"""What the name and the owner of a key look like: the value of a label, which is not empty."""

_ID_CHARACTERS = 12
_SECRET_BYTES = 32
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_ID = re.compile(r"[a-z2-7]{12}")
_TEXT = re.compile(r"vn_([a-z2-7]{12})_[a-z2-7]{52}")

Owner = Annotated[str, Field(pattern=f"^{OWNER_PATTERN}$")]


class ApiKey(BaseModel):
    """What is stored of an API key."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, hide_input_in_errors=True
    )

    name: Owner
    """Name for people, which need not be unique."""
    owner: Owner
    """Value of the label vision-node.dev/owner of what the key's client creates."""
    scopes: list[Scope] = Field(min_length=1)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    """SHA-256 of the key's whole text, as hexadecimal digits."""
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    """When the key stops working; None if it works until it is revoked."""

    def entry(self) -> str:
        """Return the value of the key's entry in a Secret's `data`, in base64."""
        return base64.b64encode(self.model_dump_json(by_alias=True).encode()).decode()

    def is_expired(self, now: datetime) -> bool:
        """Return whether the key has stopped working."""
        return self.expires_at is not None and self.expires_at <= now


def new_key() -> tuple[str, str]:
    """Return the id and the text of a new key."""
    new_id = "".join(secrets.choice(_ALPHABET) for _ in range(_ID_CHARACTERS))
    secret = base64.b32encode(secrets.token_bytes(_SECRET_BYTES)).decode().rstrip("=").lower()
    return new_id, f"vn_{new_id}_{secret}"


def hash_key(text: str) -> str:
    """Return the SHA-256 of a key's text, as hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def key_id(text: str) -> str | None:
    """Return the id in a key's text; None if the text does not look like a key."""
    found = _TEXT.fullmatch(text)
    return found[1] if found else None


def is_key_id(text: str) -> bool:
    """Return whether a text looks like the id of a key."""
    return _ID.fullmatch(text) is not None


def read_keys(data: Mapping[str, str]) -> dict[str, ApiKey]:
    """Return the keys in the `data` of a Secret, by id.

    Entries that can't be read are left out, and logged without their values: an administrator may
    have changed them, and a newer version may write others.
    """
    keys = {}
    for name, value in data.items():
        if not name.startswith(ENTRY_PREFIX):
            continue

        found_id = name.removeprefix(ENTRY_PREFIX)
        key = _read_key(found_id, value)
        if key:
            keys[found_id] = key

    return keys


def _read_key(found_id: str, value: str) -> ApiKey | None:
    if not is_key_id(found_id):
        log.warning("the entry of API key %r is ignored: this is not the id of a key", found_id)
        return None

    try:
        return ApiKey.model_validate_json(base64.b64decode(value, validate=True))
    except ValidationError as error:
        # The message would contain what was stored, which may be a key's text by mistake.
        fields = (".".join(map(str, it["loc"])) or "JSON" for it in error.errors())
        problem = f"invalid {', '.join(fields)}"
    except ValueError:
        problem = "it is not base64"

    log.warning("API key %s can't be read and is ignored: %s", found_id, problem)
    return None
