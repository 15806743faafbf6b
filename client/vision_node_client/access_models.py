"""What the client returns about identities, API keys and usage."""

from dataclasses import dataclass, field

from .models import Json


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the client is to the server."""

    subject: str
    """Name of the API key or of the Kubernetes user."""
    owner: str
    """The owner of what the client submits; empty if the server needs no keys."""
    scopes: tuple[str, ...]
    """What it may do: `submit`, `read`, `admin`."""
    expires_at: str | None
    """When the key expires, in UTC (RFC 3339); None if it does not."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key, without its secret text."""

    id: str
    name: str
    owner: str
    scopes: tuple[str, ...]
    expires_at: str | None
    """When it expires, in UTC (RFC 3339); None if it does not."""
    document: Json = field(repr=False, hash=False)
    """The entry as the server sent it."""


@dataclass(frozen=True, slots=True)
class CreatedApiKey:
    """An API key that has just been created. The server does not show its text again."""

    id: str
    name: str
    owner: str
    scopes: tuple[str, ...]
    expires_at: str | None
    """When it expires, in UTC (RFC 3339); None if it does not."""
    key: str = field(repr=False)
    """The text, which is a secret."""


@dataclass(frozen=True, slots=True)
class DailyUsage:
    """What an owner used on one day (UTC) with one describer."""

    day: str
    """The date, such as `2026-11-27`."""
    describer: str
    images: int
    """Number of images that were described or failed."""
    failed: int
    """Number of those that failed."""
    bytes: int
    """Size of the images in bytes."""
    input_tokens: int
    output_tokens: int
    """Tokens that the provider has charged."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What an owner has used."""

    owner: str
    """Empty for the usage of all owners, if the server needs no keys."""
    days: tuple[DailyUsage, ...]
    """From the newest day to the oldest."""
    next_before: str | None
    """Where to continue, as `before` of the next call; None if there is no more."""
    today: Json = field(hash=False)
    """The limits, and what counts against them today, as the server sent it."""
    document: Json = field(repr=False, hash=False)
    """The whole answer of the server."""
