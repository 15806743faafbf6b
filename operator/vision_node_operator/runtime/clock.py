"""The operator's clock."""

from datetime import UTC, datetime


def utcnow() -> datetime:
    """Return the operator's clock, the only one that deadlines are held against."""
    return datetime.now(UTC)
