"""The operator's clock."""

from datetime import UTC, datetime


def utcnow() -> datetime:
    """Return the time of the operator's clock, the only one that deadlines are compared with."""
    return datetime.now(UTC)
