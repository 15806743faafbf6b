"""Count the outcomes of messages to callbacks."""

from dataclasses import dataclass, field
from datetime import timedelta

from .deliveries import Backlog


@dataclass(slots=True)
class WebhookCounts:
    """Numbers of attempts since the process started, and the backlog."""

    delivered: int = 0
    retried: int = 0
    """Attempts that failed, and are repeated."""
    failed: int = 0
    """Messages that were given up."""
    backlog: Backlog = field(default_factory=lambda: Backlog(0, timedelta()))
    """What was pending when it was last counted."""
