"""Let a few requests at a time do something, and let the owners of those that wait take turns."""

import asyncio
from collections import OrderedDict, deque

from .access import current_access


class FairTurns:
    """A semaphore (use it with `async with`) for which owners wait apart from each other.

    An owner with a thousand requests delays one of another owner by those that have their turn and
    one more, not by a thousand. Requests of one owner have their turns in the order in which they
    came. Without authentication, all requests belong to the same owner.

    Args:
        count: Number of requests that have their turn at the same time.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        """The requests that wait, by owner, beginning with the owner whose turn is next."""

    @property
    def waiting_owners(self) -> int:
        """Number of owners with requests that wait."""
        return len(self._waiting)

    async def __aenter__(self) -> None:
        """Wait for a turn."""
        if self._free:
            self._free -= 1
            return

        owner, turn = current_access().owner, asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._leave(owner, turn)
            else:  # the turn has just come
                self._pass_on()
            raise

    async def __aexit__(self, *_: object) -> None:
        """End the turn."""
        self._pass_on()

    def _pass_on(self) -> None:
        """Give a turn to the next owner that waits."""
        while self._waiting:
            owner, turns = self._waiting.popitem(last=False)
            turn = turns.popleft()
            if turns:
                self._waiting[owner] = turns

            if not turn.done():  # it is, if its request is being cancelled
                turn.set_result(None)
                return

        self._free += 1

    def _leave(self, owner: str, turn: "asyncio.Future[None]") -> None:
        turns = self._waiting.get(owner)
        if turns and turn in turns:
            turns.remove(turn)
            if not turns:
                del self._waiting[owner]
