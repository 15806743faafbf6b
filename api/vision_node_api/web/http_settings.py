"""Read the settings for proxies, the root path, cross-origin requests and idle connections."""

import os
from dataclasses import dataclass, field
from typing import Self

from .root_path import parse_root_path
from .trusted_proxies import TrustedProxies

KEEP_ALIVE_SECONDS = 75
"""Default number of seconds for which an idle connection stays open. This is longer than the 60 s
that nginx and cloud load balancers use, so that the proxy closes the connection first. If the API
closed it first, a request that the proxy sends at that moment would be lost, and the client would
get a 502."""


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """HTTP settings of the API's pod."""

    root_path: str = ""
    """Path below which proxies serve the API, without a slash at the end; empty if it is /."""
    trusted_proxies: TrustedProxies = field(default_factory=lambda: TrustedProxies([]))
    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may use the API. If there are none, CORS is disabled."""
    keep_alive_seconds: int = KEEP_ALIVE_SECONDS
    """Number of seconds for which an idle connection stays open."""

    @classmethod
    def from_env(cls) -> Self:
        """Read the pod's environment, which charts/vision-node/templates/api.yaml sets.

        Raises:
            ValueError: a value is invalid.
        """
        keep_alive = os.environ.get("KEEP_ALIVE_SECONDS") or KEEP_ALIVE_SECONDS

        return cls(
            root_path=parse_root_path(os.environ.get("ROOT_PATH", "")),
            trusted_proxies=TrustedProxies(_list_of("TRUSTED_PROXIES")),
            cors_origins=tuple(_list_of("CORS_ORIGINS")),
            keep_alive_seconds=int(keep_alive),
        )


def _list_of(variable: str) -> list[str]:
    """Return the comma-separated words in an environment variable."""
    return [word.strip() for word in os.environ.get(variable, "").split(",") if word.strip()]
