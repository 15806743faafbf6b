"""Tests that the README's promises hold while components are killed under load."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

import httpx
import pytest
from vision_node_contract.clients.kube import Kube
from vision_node_contract.json_types import Json

from faults import rig
from faults.batches import rig as batch_rig
from faults.batches.history import BatchHistory, allowed_again, check_batches
from faults.batches.load import Campaign, campaign
from faults.batches.observer import BatchObserver
from faults.batches.summary import batch_summary
from faults.database import rig as database_rig
from faults.database.archive import CATCH_UP_SECONDS, Archive, check_archive, rows_of
from faults.database.faults import DatabaseFaults
from faults.database.psql import Psql
from faults.database.summary import archive_summary, none_described_meanwhile
from faults.fault_injection import TARGET_TIMEOUT_SECONDS, FaultInjector
from faults.history import History, Submit, check
from faults.load import PER_SECOND, Load, Picture, good, hanging, pictures
from faults.observer import Observer
from faults.plan import RUN_SECONDS, plan
from faults.summary import summary

PATIENCE_SECONDS = 60.0
"""Maximum time without the end of an ImageJob, after the last fault. An image that makes its worker
hang takes two attempts of TIMEOUT_SECONDS each."""

BATCH_PATIENCE_SECONDS = 120.0
"""Maximum time without a new status of an ImageBatch, after the last fault. Images in flight during
a fault, and harmful ones, are tried alone, one after the other, after waits."""

MAX_WAIT_SECONDS = 900.0
"""Maximum time to wait for the end of all objects, however much progress they make. On a machine
that was used for 20 other processes, they took five minutes."""

AFTERWARD_SECONDS = 5.0
"""How long the load continues after the last fault, to show that the system has recovered."""

BURST_PER_SECOND = 100.0
"""Number of images to submit per second so that they arrive almost simultaneously."""

ENDING_SECONDS = 30.0
"""Maximum time until a retired worker ends. The worker must end well before its grace period (90 s)
expires, although its threads never end."""

POLL_SECONDS = 0.1
"""Interval between two checks of a condition."""


@pytest.mark.parametrize(
    "spec", [{}, {"timeoutSeconds": 1}], ids=["default timeout", "short timeout"]
)
async def test_workers_with_only_hung_slots_are_replaced_and_end(
    url: str, spec: dict[str, int]
) -> None:
    work = [*hanging(rig.WORKERS * rig.CONCURRENCY, **spec), good(1, random.Random(0))]  # noqa: S311

    async with Kube.connect("faults") as kube, httpx.AsyncClient(base_url=url, timeout=10) as http:
        async with running(kube, http, work, f"hang-{len(spec)}") as (load, observer):
            await load.run(work, BURST_PER_SECOND)
            await wait_until_all_ended(load, observer)

        statuses = [each.status for each in observer.observations]
        hung = {status["worker"] for status in statuses if status["phase"] == "failed"}
        await rig.wait_until_workers_end(kube, hung, ENDING_SECONDS)

    history = History(load.submits, observer.observations)
    ends = [observations[-1].status for observations in history.by_job().values()]
    reasons = Counter(status.get("error", {}).get("reason", status["phase"]) for status in ends)
    assert reasons == {"AttemptsExhausted": len(work) - 1, "done": 1}


async def test_promises_hold_under_faults(
    url: str, node: str, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print(f"\nSEED={seed}")

    async with (
        Kube.connect("faults") as kube,
        httpx.AsyncClient(base_url=url, timeout=10) as http,
        database_rig.evicting_early(kube),
    ):
        run = await Run.start(kube, http, node)
        history, batches, archive = await run.observe(seed)

    with capsys.disabled():
        print(summary(history, run.injector.injected, run.retries))
        print(batch_summary(batches))
        print(archive_summary(history, archive, run.injector.injected))

    broken = [
        *check(history),
        *check_batches(batches),
        *check_archive(history, archive),
        *none_described_meanwhile(history, run.injector.injected),
    ]
    listed = "\n".join(broken[:50])
    assert not broken, f"{len(broken)} promises broken; repeat with SEED={seed}:\n{listed}"


@dataclass
class Run:
    """A run of all faults under load, and what is observed of it."""

    kube: Kube
    http: httpx.AsyncClient
    psql: Psql
    database: DatabaseFaults
    injector: FaultInjector
    older: set[str]
    """Uids of the ImageJobs that had rows before the run."""
    retries: int = 0

    @classmethod
    async def start(cls, kube: Kube, http: httpx.AsyncClient, node: str) -> Self:
        """Connect to PostgreSQL, and note what it has."""
        psql = await database_rig.connect(kube)
        await database_rig.forget_evicted(psql)
        older = await database_rig.archived_uids(psql)
        database = DatabaseFaults(psql)
        return cls(kube, http, psql, database, FaultInjector(kube, node, database), older)

    async def observe(self, seed: int) -> tuple[History, BatchHistory, Archive]:
        """Inject all faults under load, and return what was observed."""
        seconds = RUN_SECONDS + TARGET_TIMEOUT_SECONDS + AFTERWARD_SECONDS
        work = pictures(seed, int(seconds * PER_SECOND))
        many = campaign(seed, f"{seed}-{int(time.time())}")
        await batch_rig.prepare(self.kube, self.http, many)

        async with (
            running(self.kube, self.http, work, str(seed)) as (load, observer),
            observing(self.kube, many) as batch_observer,
        ):
            await self._inject(seed, load, work, many)
            async with asyncio.TaskGroup() as tasks:
                archived = tasks.create_task(self._seconds_to_archive(observer))
                await wait_until_all_ended(load, observer)
                await while_progressing(
                    lambda: batch_observer.unfinished,
                    lambda: len(batch_observer.observations),
                    BATCH_PATIENCE_SECONDS,
                )

            archive = await self._archive(load, observer, many)
            archive.archived_after = archived.result()

        self.retries = load.retries
        batches = await batch_history(self.kube, self.http, many, batch_observer)
        batches.last_fault = self.last_fault
        batches.allowed_again = allowed_again(
            self.injector.injected, batch_rig.WORKERS, batch_rig.CONCURRENCY
        )
        return await self._history(load, observer, archive), batches, archive

    @property
    def last_fault(self) -> float:
        """Time at which the last fault ended."""
        return max(at + fault.seconds for at, fault in self.injector.injected)

    async def _inject(self, seed: int, load: Load, work: list[Picture], many: Campaign) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(load.run(work))
            for batch in many.batches:
                tasks.create_task(batch_rig.create(self.kube, batch))
            await self.injector.run(plan(seed))
            await asyncio.sleep(AFTERWARD_SECONDS)
            load.stopped = True

    async def _seconds_to_archive(self, observer: Observer) -> float:
        return await database_rig.seconds_to_archive(
            self.psql, observer, self.last_fault, self.database.copied
        )

    async def _archive(self, load: Load, observer: Observer, many: Campaign) -> Archive:
        """Wait until the archiver has nothing left to do, and return what it has written."""
        images = {it.planned.name: len(it.planned.expected) for it in many.batches}
        batch_rows = await database_rig.wait_for_batch_rows(self.psql, images, CATCH_UP_SECONDS)
        left = await database_rig.wait_for_evictions(self.kube)

        # First etcd, then PostgreSQL: a row is written before its ImageJob is evicted.
        live = await database_rig.live(self.kube)
        return Archive(
            live=live,
            rows=rows_of(await database_rig.rows(self.psql)),
            older=frozenset(self.older | observer.older_uids),
            statuses=await database_rig.statuses(self.http, load.submits),
            batch_rows=batch_rows,
            batch_images=images,
            finished_left=left,
            max_finished=database_rig.MAX_FINISHED,
        )

    async def _history(self, load: Load, observer: Observer, archive: Archive) -> History:
        evicted = await database_rig.evicted_before_restore(self.psql)
        return History(
            load.submits,
            observer.observations,
            results=await results(self.http, load.submits),
            objects=await rig.objects(),
            archived=archive.uids,
            lost=archive.lost(evicted, self.database.copied),
            last_fault=self.last_fault,
            patience=PATIENCE_SECONDS,
        )


@asynccontextmanager
async def running(
    kube: Kube, http: httpx.AsyncClient, work: list[Picture], name: str
) -> AsyncIterator[tuple[Load, Observer]]:
    """Prepare the Describer and the inbox, and observe all ImageJobs while the block runs."""
    await rig.ensure_faulty_describer(kube, http)
    await rig.fill_inbox(work)

    observer = Observer(kube)
    watching = asyncio.create_task(observer.run())
    await until(lambda: observer.ready, PATIENCE_SECONDS)

    yield Load(f"run-{name}-{int(time.time())}", http, kube), observer

    watching.cancel()


@asynccontextmanager
async def observing(kube: Kube, many: Campaign) -> AsyncIterator[BatchObserver]:
    """Observe the ImageBatches while the block runs."""
    observer = BatchObserver(kube, {batch.planned.name for batch in many.batches})
    watching = asyncio.create_task(observer.run())

    yield observer

    watching.cancel()


async def batch_history(
    kube: Kube, http: httpx.AsyncClient, many: Campaign, observer: BatchObserver
) -> BatchHistory:
    """Return what was observed of the ImageBatches, and what they have left behind."""
    return BatchHistory(
        planned=[batch.planned for batch in many.batches],
        observations=observer.observations,
        results=await batch_rig.results(http, many),
        shards_left=await batch_rig.shards_left(kube, set(observer.uids.values())),
        asked=await batch_rig.asked(kube),
        patience=BATCH_PATIENCE_SECONDS,
    )


async def wait_until_all_ended(load: Load, observer: Observer) -> None:
    """Wait until all submitted ImageJobs have ended, or none has for PATIENCE_SECONDS."""
    submitted = {submit.job for submit in load.submits}
    await while_progressing(
        lambda: observer.unfinished(submitted),
        lambda: len(observer.unfinished(submitted)),
        PATIENCE_SECONDS,
    )


async def results(http: httpx.AsyncClient, submits: list[Submit]) -> dict[str, Json | str]:
    """Return the result of each ImageJob that must have one, or the text of the error response."""
    found: dict[str, Json | str] = {}

    for submit in submits:
        if submit.expected.phase == "done":
            answer = await http.get(f"/result/{submit.job}")
            found[submit.job] = answer.json() if answer.status_code == 200 else answer.text

    return found


async def while_progressing(
    left: Callable[[], set[str]], progress: Callable[[], int], patience: float
) -> None:
    """Wait while objects are left and `progress` changes at least once in `patience` seconds.

    The caller must check whether any are left.
    """
    last, waiting_since = progress(), time.monotonic()
    deadline = waiting_since + MAX_WAIT_SECONDS

    while left() and time.monotonic() < min(waiting_since + patience, deadline):
        await asyncio.sleep(POLL_SECONDS)
        if (now := progress()) != last:
            last, waiting_since = now, time.monotonic()


async def until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait until the condition holds or `seconds` have passed.

    The caller must check whether the condition holds.
    """
    for _ in range(round(seconds / POLL_SECONDS)):
        if condition():
            return
        await asyncio.sleep(POLL_SECONDS)
