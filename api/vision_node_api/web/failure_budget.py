"""Count refused requests, by the address that they come from and all together."""

import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import AddressValueError, IPv6Address

PER_SECOND = 20.0
"""How many refused requests a second of one address are answered at once."""

BURST = 100.0
"""How many refused requests of one address are answered at once after a pause. A page may send
dozens when its session ends."""

TOTAL_PER_SECOND = 200.0
"""How many refused requests a second of all addresses together are answered at once, so that many
addresses can't keep a replica busy, either. Answering them takes a few percent of a core."""

TOTAL_BURST = 1000.0
"""The same after a pause."""

MAX_ADDRESSES = 10_000
"""Maximum number of addresses to remember. They take 2 MB. The one whose last refusal is the oldest
is forgotten first."""


class FailureBudget:
    """A token bucket for each address, and one for all of them.

    Args:
        clock: Function that returns the monotonic time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """What is left, and when that was so, from the oldest to the newest."""
        self._total = (TOTAL_BURST, clock())

    def is_spent(self, address: str) -> bool:
        """Return whether the next refusal of this address is beyond its budget."""
        return self._left(source_of(address)) < 1

    def take(self, address: str) -> bool:
        """Count a refusal. Return whether it was within the budget, that of all included."""
        source, now = source_of(address), self._clock()
        left, total = self._left(source), self._total_left(now)
        has_more = left >= 1 and total >= 1

        self._total = (total - has_more, now)
        self._buckets[source] = (left - has_more, now)
        self._buckets.move_to_end(source)
        if len(self._buckets) > MAX_ADDRESSES:
            self._buckets.popitem(last=False)

        return has_more

    def _total_left(self, now: float) -> float:
        left, at = self._total
        return min(TOTAL_BURST, left + TOTAL_PER_SECOND * (now - at))

    def _left(self, source: str) -> float:
        known = self._buckets.get(source)
        if known is None:
            return BURST

        left, at = known
        return min(BURST, left + PER_SECOND * (self._clock() - at))


def source_of(address: str) -> str:
    """Return what counts as one source: an IPv4 address, or the /64 network of an IPv6 address.

    Any host with IPv6 usually has a whole network of this size.
    """
    if ":" not in address:
        return address

    try:
        parsed = IPv6Address(address.partition("%")[0])
    except AddressValueError:
        return address

    mapped = parsed.ipv4_mapped
    return str(mapped) if mapped else f"{int(parsed) >> 64:x}"
