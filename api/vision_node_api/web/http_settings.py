"""How the API is reached: through which proxies, below which path, from which pages."""

import os
from dataclasses import dataclass, field
from typing import Self

from .proxies import TrustedProxies
from .root_path import parse_root_path

KEEP_ALIVE_SECONDS = 75
"""Longer than the 60 s of nginx and cloud load balancers. The proxy has to be the one that closes:
a request that it sends while the API closes is lost, and its client gets a 502."""


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """What the API's pod is told of its surroundings."""

    root_path: str = ""
    """Where proxies serve the API, if not at /; without a slash at its end."""
    trusted_proxies: TrustedProxies = field(default_factory=lambda: TrustedProxies([]))
    cors_origins: tuple[str, ...] = ()
    """Origins of pages that may use the API; none: CORS is off."""
    keep_alive_seconds: int = KEEP_ALIVE_SECONDS
    """How long an idle connection stays open."""

    @classmethod
    def from_env(cls) -> Self:
        """Read the pod's environment, as charts/vision-node/templates/api.yaml sets it.

        Raises:
            ValueError: a value is not what it should be.
        """
        return cls(
            root_path=parse_root_path(os.environ.get("ROOT_PATH", "")),
            trusted_proxies=TrustedProxies(_list_of("TRUSTED_PROXIES")),
            cors_origins=tuple(_list_of("CORS_ORIGINS")),
            keep_alive_seconds=int(os.environ.get("KEEP_ALIVE_SECONDS") or KEEP_ALIVE_SECONDS),
        )


def _list_of(variable: str) -> list[str]:
    """Return the words of an environment variable that commas separate."""
    return [word.strip() for word in os.environ.get(variable, "").split(",") if word.strip()]
