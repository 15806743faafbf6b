"""Resolve names in threads, and know which lookups hang.

Nothing can stop a lookup: its thread goes on after the attempt that needed it has ended, until the
resolver gives up. Names whose name servers are silent must not occupy the threads that the messages
of others need.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass

from vision_node_contract.callbacks.addresses import Address

from .turns import Place

MAX_LOOKUPS = 160
"""Maximum number of threads in which names are resolved: one for each of the 64 attempts, and those
of two owners all of whose 48 lookups hang. A thread that waits takes about 100 kB of memory."""

Lookup = Callable[[str], Sequence[Address]]
"""A blocking function that returns all addresses of a name. It raises OSError if there are none."""


@dataclass(slots=True)
class _Running:
    """A lookup that goes on."""

    name: str
    place: Place
    """Where the message is from and goes to that has begun it."""
    work: "Future[Sequence[Address]]"
    found: "asyncio.Future[Sequence[Address]]"
    waiting: int = 0
    """Number of attempts that wait for it."""


class Lookups:
    """Resolves names.

    Args:
        threads: Where names are resolved.
        lookup: Resolves a name.
    """

    def __init__(self, threads: Executor, lookup: Lookup) -> None:
        self._threads = threads
        self._lookup = lookup
        self._running: dict[str, _Running] = {}
        """The lookups that go on, by name. Each has a thread, or an attempt that waits for it."""

    @property
    def hanging(self) -> Counter[Place]:
        """Number of lookups that go on although no attempt waits for them."""
        return Counter(it.place for it in self._running.values() if not it.waiting)

    async def addresses_of(self, name: str, place: Place) -> Sequence[Address]:
        """Return all addresses of a name.

        While a lookup of it goes on, no other one begins: all wait for the same one.

        Args:
            name: The name.
            place: Where the message is from, and where it goes to.

        Raises:
            OSError: The name can't be resolved.
        """
        lookup = self._running.get(name) or self._begin(name, place)
        lookup.waiting += 1
        try:
            return await asyncio.shield(lookup.found)
        finally:
            lookup.waiting -= 1
            if not lookup.waiting and lookup.work.cancel():  # it had no thread yet
                self._end(lookup)

    def _begin(self, name: str, place: Place) -> _Running:
        work = self._threads.submit(self._lookup, name)
        lookup = _Running(name, place, work, asyncio.wrap_future(work))
        lookup.found.add_done_callback(lambda _: self._end(lookup))
        self._running[name] = lookup
        return lookup

    def _end(self, lookup: _Running) -> None:
        if self._running.get(lookup.name) is lookup:
            del self._running[lookup.name]

        # If all attempts have ended, nobody else asks for the error.
        if lookup.found.done() and not lookup.found.cancelled():
            lookup.found.exception()
