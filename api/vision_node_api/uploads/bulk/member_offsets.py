"""Where the members of a zip file begin, to find out which of them overlap."""

import asyncio
from array import array
from bisect import bisect_left
from heapq import merge

_RUN = 10_000
"""Number of offsets to sort before other tasks have a turn: about 5 ms."""


class MemberOffsets:
    """The offsets of all members, 8 bytes for each.

    Args:
        end: Where the members end and the central directory begins, in bytes.
    """

    def __init__(self, end: int) -> None:
        self._offsets = array("Q")
        self._is_sorted = True
        self._end = end

    def add(self, offset: int) -> None:
        """Add the offset of a member."""
        self._is_sorted &= not self._offsets or self._offsets[-1] <= offset
        self._offsets.append(offset)

    async def sort(self) -> None:
        """Sort the offsets once all have been added. They usually are in order already."""
        if self._is_sorted:
            return

        runs: list[array[int]] = []
        for start in range(0, len(self._offsets), _RUN):
            runs.append(array("Q", sorted(self._offsets[start : start + _RUN])))
            await asyncio.sleep(0)

        in_order = array("Q")
        for offset in merge(*runs):
            in_order.append(offset)
            if not len(in_order) % _RUN:
                await asyncio.sleep(0)

        self._offsets, self._is_sorted = in_order, True

    def room(self, offset: int) -> int:
        """Return the number of bytes from this member up to the next one, or to the end.

        It is 0 if several members begin there, and may be negative.
        """
        following = bisect_left(self._offsets, offset) + 1
        is_last = following >= len(self._offsets)
        return min(self._end, self._end if is_last else self._offsets[following]) - offset
