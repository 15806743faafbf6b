"""`make bench-history-cluster`: how many rows of history affect starts and submissions."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from bench import results
from bench.arena import REPOSITORY, WARM
from bench.errors import BenchError
from bench.history import copying
from bench.history.invented import PIECE_ROWS, Invented
from bench.history.plan import HistoryPlan
from bench.measure import machine, release_state
from bench.measure.database import ClusterDatabase
from bench.measure.meter import Meter
from bench.measure.pictures_1080p import thumbnail
from bench.measure.stage import WARM_WORKERS, Stage, staged
from bench.plan import NOTHING
from bench.results import MANY_ROWS, NO_ROWS, HistoryEffect

RESULTS = REPOSITORY / "build" / "bench" / "history-cluster.json"

STARTS = 7
SUBMISSIONS = 300
SAY_PIECES = 10


async def measure(plan: HistoryPlan) -> HistoryEffect:
    """Measure before and after the database is filled, and save the results to RESULTS."""
    async with staged() as stage:
        about = await machine.describe(stage.arena, stage.kube, quick=plan.is_quick)
        found = HistoryEffect(about, plan.rows)

        stage.arena.configure(WARM, {"database.enabled": True})
        await release_state.workers_serve(stage.kube, WARM_WORKERS)
        await _submissions(stage, 20)

        await _measure(stage, found, NO_ROWS)
        await _fill(stage, found)
        await _measure(stage, found, MANY_ROWS)
        results.save(found, RESULTS)

    return found


async def _measure(stage: Stage, found: HistoryEffect, state: str) -> None:
    await release_state.delete_imagejobs(stage.kube)
    await Meter(stage.arena, stage.kube).wait_until_idle()

    for _ in range(STARTS):
        await release_state.set_operator(stage.kube, 0)
        started = time.perf_counter()
        await release_state.set_operator(stage.kube, 1)
        found.start_seconds[state].append(time.perf_counter() - started)

    await release_state.workers_serve(stage.kube, WARM_WORKERS)
    found.submit_seconds[state] += await _submissions(stage, SUBMISSIONS)
    stage.say(f"  {state}: measured")


async def _submissions(stage: Stage, count: int) -> Sequence[float]:
    """Submit images one after another; return how long each took to be acknowledged."""
    picture, seconds = thumbnail(), []
    for _ in range(count):
        started = time.perf_counter()
        await stage.system.submit(picture, NOTHING)
        seconds.append(time.perf_counter() - started)
    return seconds


async def _fill(stage: Stage, found: HistoryEffect) -> None:
    """Replace the history with an invented one."""
    database = await ClusterDatabase.of(stage.arena, stage.kube)
    history = Invented(found.rows, datetime.now(UTC))
    await release_state.delete_imagejobs(stage.kube)

    started = time.monotonic()
    # Rows that exist are in chunks with the numbers of those that follow.
    await database.lines("TRUNCATE images, jobs, batches, chunks")
    for number, piece in enumerate(copying.pieces(history)):
        for statement, data in piece.copies():
            await database.copy(statement, data)
        if number % SAY_PIECES == 0:
            stage.say(f"  {number * PIECE_ROWS:,} of {found.rows:,} rows")
    for statement in copying.final_statements(history):
        await database.lines(statement)
    await database.lines("CHECKPOINT")
    found.fill_seconds = time.monotonic() - started

    count = await database.number("SELECT count(*) FROM images")
    if count < found.rows:
        raise BenchError(f"bench-history-cluster: {count} of {found.rows} rows are in PostgreSQL")
