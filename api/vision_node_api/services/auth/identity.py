"""Who sent a request."""

from dataclasses import dataclass
from datetime import datetime

from ...web.access import Access


@dataclass(frozen=True, slots=True)
class KubernetesUser:
    """A user of the cluster, as a TokenReview names it."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Further attributes, by which some clusters decide on rights."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The client that sent a request, with what it has presented.

    `key_id` is set for a client with an API key, and `user` for a user of Kubernetes.
    """

    access: Access
    expires_at: datetime | None = None
    """When the key or token stops working; None if it does not."""
    key_id: str | None = None
    user: KubernetesUser | None = None
