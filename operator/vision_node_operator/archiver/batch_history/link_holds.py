"""Let the history's holds apply to ImageBatches, too."""

from ..history.holds import FORBIDDEN, Work
from ..history.link import HistoryLink
from .holds import Step


class LinkHolds:
    """Answers for ImageBatches whether steps must wait, from the state of the history."""

    def __init__(self, link: HistoryLink) -> None:
        self._link = link

    async def hold(self, step: Step) -> str | None:
        """Return why such steps must wait, as a complete sentence; None if they need not."""
        work = Work(step)
        if self._link.allows(work):
            return None

        reasons = [it.reason for it in self._link.holds if work in FORBIDDEN[it.reason]]
        if reasons:
            return f"{', '.join(reasons)} must end first."

        return "The database must be available, and its state must be known."

    def compare(self, version: int, known: int) -> None:
        """Note the resourceVersion of a complete list, and the newest one known before it."""
        self._link.compare(version, known)

    async def record(self) -> bool:
        """Store in the bucket that there are new marks; return whether evictions may go on."""
        return await self._link.record()
