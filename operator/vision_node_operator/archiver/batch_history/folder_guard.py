"""Keep the folders of ImageBatches that are in the history when orphans are deleted."""

from collections.abc import Collection
from uuid import UUID

from ..history.store import HistoryStore
from .holds import HeldError, Holds


class FolderGuard:
    """Tells the sweep whether it may delete folders, and which ones rows name."""

    def __init__(self, store: HistoryStore, holds: Holds) -> None:
        self._store = store
        self._holds = holds

    async def require(self) -> None:
        """Check that folders may be swept.

        Raises:
            HeldError: A hold is in force.
        """
        if hold := await self._holds.hold("clean"):
            raise HeldError(hold)

    async def kept(self, uids: Collection[str]) -> set[str]:
        """Return those of these uids that a row names.

        Raises:
            HistoryUnavailableError: The database does not answer.
        """
        known = {uid for uid in uids if _is_uuid(uid)}
        return await self._store.known_uids(known, batches=True) if known else set()


def _is_uuid(text: str) -> bool:
    """Return whether a row can have this uid. A folder may have any name."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
