"""Ask whether something may be written or deleted at present."""

from typing import Literal, Protocol

from ..sweep_guard import HeldError

__all__ = ["HeldError", "Holds", "Step"]

Step = Literal["archive", "delete", "clean"]
"""Kinds of steps: writing rows; deleting what somebody was seen to delete; and evictions,
retention, sweeps, and deletions that are concluded from what is missing."""


class Holds(Protocol):
    """Knows what nobody may do at present, for example because the database was restored."""

    async def hold(self, step: Step) -> str | None:
        """Return why such steps must wait, as a complete sentence; None if they need not."""
        ...

    def compare(self, version: int, known: int) -> None:
        """Note the resourceVersion of a complete list, and the newest one known before it.

        A lower one means that the cluster was restored from a backup.
        """
