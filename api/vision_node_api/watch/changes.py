"""Tell waiting requests that an object has changed."""

import asyncio
from collections.abc import Iterator, KeysView
from contextlib import contextmanager


class Changes:
    """The requests that wait for changes of objects, by the names of the objects."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}

    @property
    def names(self) -> KeysView[str]:
        """Names of the objects for whose changes a request waits."""
        return self._waiting.keys()

    @contextmanager
    def of(self, name: str) -> Iterator[asyncio.Event]:
        """Yield an event that is set whenever the watch reports a change of an object.

        Look at the object after the block has begun. A change after that look sets the event, so
        none is missed.
        """
        changed = asyncio.Event()
        self._waiting.setdefault(name, set()).add(changed)

        try:
            yield changed
        finally:
            waiting = self._waiting[name]
            waiting.discard(changed)
            if not waiting:
                del self._waiting[name]

    def report(self, name: str) -> None:
        """Set the events of all requests that wait for changes of an object."""
        for changed in self._waiting.get(name, ()):
            changed.set()
