"""Declare how the work on ImageBatches asks whether it must wait."""

from typing import Literal, Protocol

from ..sweep_guard import HeldError

__all__ = ["HeldError", "Holds", "Step"]

Step = Literal["archive", "delete", "clean"]
"""Kinds of steps, as in history.holds.Work: archiving; deleting the data of ImageBatches whose
deletion was seen; and cleaning, which is everything else that deletes."""


class Holds(Protocol):
    """Knows which steps must wait at present, for example because the database was restored."""

    async def hold(self, step: Step) -> str | None:
        """Return why such steps must wait, as a complete sentence; None if they need not."""
        ...

    def compare(self, version: int, known: int) -> None:
        """Note the resourceVersion of a complete list, and the newest one known before it.

        A lower one means that the cluster was restored from a backup.
        """

    async def record(self) -> bool:
        """Store in the bucket that there are new marks; return whether evictions may go on.

        Raises:
            HistoryUnavailableError: The database is unavailable.
        """
        ...
