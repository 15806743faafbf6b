"""Read the history with the API's code."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from postgres import Postgres
from vision_node_api.services.history.history_rows import ImageRow, Position
from vision_node_api.services.history.reader import HistoryReader
from vision_node_api.services.history.search import Search
from vision_node_contract.history.database import Database, DatabaseSettings
from vision_node_contract.history.lexemes import query_words

from bench.history import server
from bench.history.searching import PAGE, Page

LAST = Position(datetime.max.replace(tzinfo=UTC), "ffffffff-ffff-ffff-ffff-ffffffffffff")
"""The place before the newest image."""


@dataclass(frozen=True, slots=True)
class ApiReader:
    """The API's reader."""

    reader: HistoryReader

    async def search(self, text: str, owner: str | None, cursor: object | None) -> Page:
        """Return a page of the images that have all the words, newest first."""
        query = Search(query_words(text), owner)
        return _page((await self.reader.search(query, _position(cursor), PAGE)).found)

    async def list(self, owner: str | None, cursor: object | None) -> Page:
        """Return a page of the single images, newest first."""
        return _page(await self.reader.list_jobs(_position(cursor), owner, PAGE))

    async def has(self, name: str) -> bool:
        """Return whether there is a single image with this name."""
        return await self.reader.find_job(name) is not None


@asynccontextmanager
async def opened(postgres: Postgres) -> AsyncIterator[ApiReader]:
    """Connect the API's reader to a server, with the API's limits."""
    settings = DatabaseSettings(postgres.url())
    async with Database.open(settings, server.SCHEMA) as database:
        yield ApiReader(HistoryReader(database))


def _position(cursor: object | None) -> Position:
    return cursor if isinstance(cursor, Position) else LAST


def _page(rows: Sequence[ImageRow]) -> Page:
    return Page(len(rows), rows[-1].position if len(rows) == PAGE else None)
