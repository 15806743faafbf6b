"""Tests of what `make bench-history` measures: requests of a reader, and rows that are written."""

from collections import Counter
from dataclasses import dataclass, field

import pytest
from bench.errors import BenchError
from bench.history import invented, searching, server, writing
from bench.history.results import LIST, NAME, SEARCH
from bench.history.searching import PAGE, Page, Searching
from bench.history.vocabulary import SEARCHES
from bench.history.writing import GROUPS, Writing
from postgres import Postgres
from vision_node_contract.history.database import Database, HistoryUnavailableError
from vision_node_operator.archiver.history.store import HistoryStore

REQUESTS = 3


@dataclass
class FakeReader:
    """A history of two pages, which is away after a restart until it is asked three times."""

    pages: int = 2
    is_missing: bool = False
    away: int = 0
    asked: Counter[str] = field(default_factory=Counter)

    async def search(self, text: str, owner: str | None, cursor: object | None) -> Page:
        return self._page("search", owner, cursor)

    async def list(self, owner: str | None, cursor: object | None) -> Page:
        return self._page("list", owner, cursor)

    async def has(self, name: str) -> bool:
        if self.away:
            self.away -= 1
            raise HistoryUnavailableError("starting")
        self.asked["name"] += 1
        return bool(name) and not self.is_missing

    def restart(self, _: object) -> None:
        self.away = 3
        self.asked["restart"] += 1

    def _page(self, kind: str, owner: str | None, cursor: object | None) -> Page:
        assert not self.away
        number = cursor if isinstance(cursor, int) else 1
        self.asked[f"{kind} {'any' if owner is None else 'one'} {number}"] += 1
        return Page(PAGE, number + 1 if number < self.pages else None)


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> FakeReader:
    found = FakeReader()
    monkeypatch.setattr(server, "restart_cold", found.restart)
    monkeypatch.setattr(searching, "CONNECT_SECONDS", 0)
    return found


async def test_each_kind_of_request_is_measured(postgres: Postgres, reader: FakeReader) -> None:
    timings = await Searching(postgres, reader, REQUESTS).measure(["j1", "j2"])

    searches = [it for it in timings if it.kind == SEARCH]
    assert {(it.title, it.of_owner, it.page, it.state) for it in searches} == {
        (title, of_owner, page, state)
        for title in SEARCHES
        for of_owner in (False, True)
        for page, state in ((1, "warm"), (2, "warm"), (1, "after a restart"))
    }
    assert {len(it.seconds) for it in searches} == {REQUESTS}
    assert {it.found for it in searches} == {REQUESTS * PAGE}
    assert [it.state for it in timings if it.kind == NAME] == ["warm", "after a restart"]
    # Nothing is reported about pages that the history does not have.
    assert [(it.of_owner, it.page) for it in timings if it.kind == LIST and it.seconds] == [
        *((False, 1), (False, 2), (True, 1), (True, 2)),
    ]


async def test_server_is_restarted_before_each_kind_of_search(
    postgres: Postgres, reader: FakeReader
) -> None:
    await Searching(postgres, reader, REQUESTS).measure([])
    assert reader.asked["restart"] == 2 * len(SEARCHES) + 1


async def test_missing_name_stops_the_bench(postgres: Postgres, reader: FakeReader) -> None:
    reader.is_missing = True
    with pytest.raises(BenchError, match="ImageJob j1 is not in the history"):
        await Searching(postgres, reader, REQUESTS).measure(["j1"])


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (invented, writing):
        monkeypatch.setattr(module, "PIECE_ROWS", 64)
        monkeypatch.setattr(module, "SHARD_ROWS", 16)


@pytest.mark.usefixtures("small_pieces")
async def test_rows_are_written_in_all_ways_and_counted(
    postgres: Postgres, history: HistoryStore, history_database: Database
) -> None:
    costs = await Writing(postgres, history, rows=100).measure()

    titles = [f"single images, {group} in a transaction" for group in GROUPS]
    assert [it.title for it in costs] == [*titles, "images of batches, 16 in a transaction"]
    assert [it.rows for it in costs] == [100, 100, 128]
    assert all(it.writer_seconds > 0 for it in costs)
    assert await history.count() == sum(it.rows for it in costs)


@pytest.mark.parametrize("written", [0, 19])
def test_rows_that_were_not_written_are_no_cheap_rows(written: int) -> None:
    with pytest.raises(BenchError, match=f"only {written} of 20 new rows were written"):
        writing._all_of(written, 20)
