"""`make bench-history`: fill a PostgreSQL server on this machine, and measure it."""

import asyncio
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime

from postgres import Postgres

from bench.arena import REPOSITORY
from bench.history import filling, reading, results, server, writing
from bench.history.invented import Invented
from bench.history.plan import HistoryPlan
from bench.history.results import HistoryBench
from bench.history.searching import Searching
from bench.measure import machine, processes

QUIET_SECONDS = 5.0

RESULTS = REPOSITORY / "build" / "bench" / "history.json"


def measure(plan: HistoryPlan, say: Callable[[str], None] = print) -> HistoryBench:
    """Measure a new server, and save the results to RESULTS after each part."""
    with server.serving() as postgres:
        found = _described(postgres, plan)
        history = Invented(plan.rows, datetime.now(UTC))

        say(f"  PostgreSQL {found.postgres}: {postgres.url()}")
        found.fill_seconds = filling.fill(postgres, history, say)
        with server.connected(postgres) as connection:
            found.sizes = server.sizes(connection)
        results.save(found, RESULTS)
        say(f"  {plan.rows:,} rows in {found.fill_seconds:.0f} s")

        asyncio.run(_measure_on(postgres, plan, found, say))

    return found


async def _measure_on(
    postgres: Postgres, plan: HistoryPlan, found: HistoryBench, say: Callable[[str], None]
) -> None:
    found.others_cores.append(await _others_cores())
    async with reading.opened(postgres) as reader:
        searching = Searching(postgres, reader, plan.requests, found.timings)
        await searching.measure(await asyncio.to_thread(_some_names, postgres, plan.requests))
    results.save(found, RESULTS)
    say("  searches measured")

    found.others_cores.append(await _others_cores())
    found.costs = await writing.measure(postgres, plan.written)
    found.others_cores.append(await _others_cores())
    results.save(found, RESULTS)


async def _others_cores() -> float:
    """Return how many cores other programs use while the server has nothing to do."""
    cores = os.sched_getaffinity(0)
    before = processes.busy_seconds(cores)
    await asyncio.sleep(QUIET_SECONDS)
    return (processes.busy_seconds(cores) - before) / QUIET_SECONDS


def _some_names(postgres: Postgres, count: int) -> list[str]:
    """Return the names of ImageJobs from all times."""
    with server.connected(postgres) as connection:
        rows = connection.execute(
            # The order of uids is random.
            "SELECT name FROM jobs ORDER BY uid LIMIT %s",
            (count,),
        ).fetchall()

    return [name for (name,) in rows]


def _described(postgres: Postgres, plan: HistoryPlan) -> HistoryBench:
    with server.connected(postgres) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    assert row is not None

    return HistoryBench(
        processor=machine.processor(),
        cores=os.cpu_count() or 0,
        started=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        commit=machine.commit(),
        postgres=str(row[0]),
        rows=plan.rows,
    )
