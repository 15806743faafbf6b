"""The operator's clock."""

from datetime import UTC, datetime


def utcnow() -> datetime:
    """Return the operator's current time (UTC). Deadlines are compared with this clock only."""
    return datetime.now(UTC)
