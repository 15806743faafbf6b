"""Measure how the queue of a deleted Describer delays an ImageJob of another Describer.

Run this module with `python -m bench.operator.flood`. Thousands of queued ImageJobs name a
Describer that does not exist, so the operator must mark each of them as failed. Meanwhile, one
ImageJob arrives for another Describer, which has a free worker. The measurement uses the real
operator with a fake API server that takes 5 ms for each write.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from vision_node_contract.json_types import Json
from vision_node_operator.decisions.actions import Assign, Fail, Write
from vision_node_operator.state.object_versions import Kind

from bench.operator.fakes import (
    FakeCluster,
    at_version,
    imagejob,
    reconciler_with_idle_workers,
)
from bench.report.tables import table

QUEUED = (0, 2_000, 10_000)
"""Numbers of ImageJobs of the deleted Describer, one for each measurement."""

WRITE_SECONDS = 0.005
"""Seconds per write. This is about as long as a fast API server takes."""

AGE = timedelta(minutes=10)
"""Age of the ImageJobs. The operator fails only ImageJobs that are older than a grace period."""

WARM_UP_SECONDS = 0.3
"""Seconds from the operator's start until the ImageJob of the other Describer arrives."""

TIMEOUT_SECONDS = 120.0
POLL_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Row:
    """Results of one measurement."""

    queued: int
    """Number of ImageJobs of the deleted Describer."""
    seconds: float | None
    """Seconds until the other Describer's ImageJob was assigned; None after a timeout."""
    failed: int
    """Number of ImageJobs that the operator had marked as failed by then."""


class FakeServer(FakeCluster):
    """An API server that accepts every write to an ImageJob after a fixed time."""

    def __init__(self) -> None:
        self.assigned_at: float | None = None
        self.failed = 0
        self._version = 10_000_000

    async def perform(self, action: Write, now: datetime) -> tuple[Kind, Json | None]:
        """Accept the write, and return the written object as the real writer does."""
        if not isinstance(action, Assign | Fail):
            return await super().perform(action, now)

        await asyncio.sleep(WRITE_SECONDS)
        self._version += 1

        if isinstance(action, Assign):
            self.assigned_at = time.monotonic()
            status: Json = {"phase": "processing", "worker": action.worker, "attempts": 1}
        else:
            self.failed += 1
            error = {"reason": action.reason, "message": action.message, "retryable": False}
            status = {"phase": "failed", "error": error}

        name, describer_name = action.job.metadata.name, action.job.spec.describer
        written = imagejob(name, describer_name, _created(), **status)
        return "imagejobs", at_version(written, self._version)


def measure(queued: Sequence[int] = QUEUED) -> list[Row]:
    """Measure the delay of a single ImageJob for each length of the deleted Describer's queue."""
    return [asyncio.run(_measure(number)) for number in queued]


async def _measure(queued: int) -> Row:
    server = FakeServer()
    reconciler = reconciler_with_idle_workers(server, workers=1)
    for n in range(queued):
        deleted = imagejob(f"deleted-{n:05}", "deleted", _created())
        reconciler.observe("imagejobs", "ADDED", at_version(deleted, 100 + n))

    loop = asyncio.create_task(reconciler.run())
    await asyncio.sleep(WARM_UP_SECONDS)

    start = time.monotonic()
    single = imagejob("single", "metadata", _created())
    reconciler.observe("imagejobs", "ADDED", at_version(single, 9_000_000))
    while server.assigned_at is None and time.monotonic() - start < TIMEOUT_SECONDS:
        if loop.done():
            loop.result()  # raise the error that ended the operator
        await asyncio.sleep(POLL_SECONDS)

    seconds = None if server.assigned_at is None else server.assigned_at - start
    row = Row(queued, seconds, server.failed)

    loop.cancel()
    await asyncio.wait([loop])
    return row


def _created() -> datetime:
    return datetime.now(UTC) - AGE


def main() -> None:
    """Measure, and print the results as a table."""
    head = ("Queued for the deleted Describer", "Single image assigned after", "Failed meanwhile")
    rows = [
        (
            f"{row.queued:,}",
            f"> {TIMEOUT_SECONDS:g} s" if row.seconds is None else f"{row.seconds:.2f} s",
            f"{row.failed:,}",
        )
        for row in measure()
    ]
    print(table(head, rows))


if __name__ == "__main__":
    main()
