"""Measure how long the API's reader takes to search and list the history."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from postgres import Postgres
from vision_node_contract.history.database import HistoryUnavailableError

from bench.errors import BenchError
from bench.history import server, vocabulary
from bench.history.invented import OWNERS
from bench.history.results import LIST, NAME, SEARCH, State, Timing

PAGE = 50
"""Number of rows on a page."""

CONNECT_TRIES, CONNECT_SECONDS = 100, 0.1
"""How often, and after how many seconds each, a request is repeated after a restart."""

DEEP_PAGES = 20
"""Number of pages that are read from a list, one after another."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of rows."""

    found: int
    cursor: object | None
    """Where the next page begins; None if this is the last one."""


class Reader(Protocol):
    """Reads the history as the API does."""

    async def search(self, text: str, owner: str | None, cursor: object | None) -> Page:
        """Return a page of the images that have all the words, newest first."""
        ...

    async def list(self, owner: str | None, cursor: object | None) -> Page:
        """Return a page of the single images, newest first."""
        ...

    async def has(self, name: str) -> bool:
        """Return whether there is a single image with this name."""
        ...


@dataclass
class Searching:
    """Reads a history, and keeps how long it took."""

    postgres: Postgres
    reader: Reader
    requests: int
    """Number of requests of each kind."""
    timings: list[Timing] = field(default_factory=list)

    async def measure(self, names: Sequence[str]) -> list[Timing]:
        """Measure all kinds of requests: warm, then each after a restart without any cache."""
        for title in vocabulary.SEARCHES:
            for of_owner in (False, True):
                await self._search(title, "warm", of_owner=of_owner, pages=2)
        for of_owner in (False, True):
            await self._lists(of_owner=of_owner)
        await self._names(names, "warm")

        for title in vocabulary.SEARCHES:
            for of_owner in (False, True):
                await self._restart()
                await self._search(title, "after a restart", of_owner=of_owner, pages=1)
        await self._restart()
        await self._names(names, "after a restart")

        return self.timings

    async def _restart(self) -> None:
        server.restart_cold(self.postgres)
        await _until_connected(self.reader)

    async def _search(self, title: str, state: State, *, of_owner: bool, pages: int) -> None:
        timings = [Timing(SEARCH, title, of_owner, page + 1, state) for page in range(pages)]
        owners = _owners(self.requests, of_owner=of_owner)

        for text, owner in zip(vocabulary.texts(title, self.requests), owners, strict=True):
            cursor = None
            for timing in timings:
                page = await _timed(timing, self.reader.search, text, owner, cursor)
                timing.found += page.found
                cursor = page.cursor
                if cursor is None:
                    break

        self.timings += [it for it in timings if it.seconds]

    async def _lists(self, *, of_owner: bool) -> None:
        pages = [
            Timing(LIST, "newest images", of_owner, number + 1, "warm")
            for number in range(DEEP_PAGES)
        ]

        for owner in _owners(self.requests, of_owner=of_owner):
            cursor = None
            for timing in pages:
                page = await _timed(timing, self.reader.list, owner, cursor)
                timing.found += page.found
                cursor = page.cursor
                if cursor is None:
                    break

        self.timings += [pages[0], pages[1], pages[-1]]

    async def _names(self, names: Sequence[str], state: State) -> None:
        timing = Timing(NAME, "an image by its name", of_owner=False, page=1, state=state)
        for name in names:
            started = time.perf_counter()
            if not await self.reader.has(name):
                raise BenchError(f"bench-history: ImageJob {name} is not in the history")
            timing.seconds.append(time.perf_counter() - started)
            timing.found += 1

        self.timings.append(timing)


async def _timed(timing: Timing, read: Callable[..., Awaitable[Page]], *arguments: object) -> Page:
    started = time.perf_counter()
    page = await read(*arguments)
    timing.seconds.append(time.perf_counter() - started)
    return page


async def _until_connected(reader: Reader) -> None:
    """Let the reader notice that its connections are gone, with a request that finds nothing."""
    for _ in range(CONNECT_TRIES):
        try:
            await reader.has("")
        except HistoryUnavailableError:
            await asyncio.sleep(CONNECT_SECONDS)
        else:
            return

    raise BenchError("bench-history: the reader does not connect to the restarted server")


def _owners(count: int, *, of_owner: bool) -> list[str | None]:
    chance = random.Random(count)  # noqa: S311 (not a secret)
    return [chance.choice(OWNERS) if of_owner else None for _ in range(count)]
