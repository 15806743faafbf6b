"""Measure how a flood of writes that are not urgent delays another Describer's ImageJob.

Run this module with `python -m bench.operator.flood`. Thousands of ImageJobs have to be marked as
failed, because they were cancelled or because their Describer was deleted, or have to be deleted,
because they have expired. Meanwhile, one ImageJob arrives for another Describer, which has a free
worker. The measurement uses the real operator with a fake API server that takes 5 ms for each
write.
"""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from vision_node_contract.json_types import Json
from vision_node_operator.decisions.actions import Assign, Expire, Fail, Write
from vision_node_operator.state.object_versions import Kind
from vision_node_operator.state.state import State

from bench.operator.fakes import (
    FakeCluster,
    at_version,
    imagejob,
    reconciler_with_idle_workers,
)
from bench.report.tables import table

FLOODS = ("of a deleted Describer", "cancelled", "expired")
"""Why the ImageJobs have to be written: one reason for each measurement."""

NUMBER = 20_000
"""Number of ImageJobs that have to be written."""

WRITE_SECONDS = 0.005
"""Seconds per write. This is about as long as a fast API server takes."""

AGE = timedelta(minutes=30)
"""Age of the ImageJobs. The operator fails only ImageJobs that are older than a grace period."""

WARM_UP_SECONDS = 0.3
"""Seconds from the operator's start until the ImageJob of the other Describer arrives."""

TIMEOUT_SECONDS = 120.0
POLL_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Row:
    """Results of one measurement."""

    flood: str
    """Why the ImageJobs had to be written."""
    number: int
    """Number of ImageJobs that had to be written."""
    seconds: float | None
    """Seconds until the other Describer's ImageJob was assigned; None after a timeout."""
    written: int
    """Number of ImageJobs that the operator had written by then."""


class FakeServer(FakeCluster):
    """An API server that accepts each write to an ImageJob after a fixed time."""

    def __init__(self) -> None:
        self.assigned_at: float | None = None
        self.written = 0
        self.state: State | None = None
        self._version = 10_000_000

    async def perform(self, action: Write, now: datetime) -> tuple[Kind, Json | None]:
        """Accept the write, and return the written object as the real writer does."""
        if not isinstance(action, Assign | Fail | Expire):
            return await super().perform(action, now)

        await asyncio.sleep(WRITE_SECONDS)
        self._version += 1

        if isinstance(action, Expire):
            self.written += 1
            if self.state:
                self.state.forget("imagejobs", action.name, self._version, now)
            return "imagejobs", None

        if isinstance(action, Assign):
            self.assigned_at = time.monotonic()
            status: Json = {"phase": "processing", "worker": action.worker, "attempts": 1}
        else:
            self.written += 1
            error = {"reason": action.reason, "message": action.message, "retryable": False}
            status = {"phase": "failed", "error": error}

        name, describer_name = action.job.metadata.name, action.job.spec.describer
        written = imagejob(name, describer_name, _created(), **status)
        return "imagejobs", at_version(written, self._version)


def measure(number: int = NUMBER) -> list[Row]:
    """Measure the delay of a single ImageJob without a flood, and in each flood."""
    floods = [("none", 0), *((flood, number) for flood in FLOODS)]
    return [asyncio.run(_measure(*each)) for each in floods]


async def _measure(flood: str, number: int) -> Row:
    server = FakeServer()
    reconciler = reconciler_with_idle_workers(server, workers=1)
    server.state = reconciler.state
    for n in range(number):
        reconciler.observe("imagejobs", "ADDED", at_version(_flooding(flood, n), 100 + n))

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
    row = Row(flood, number, seconds, server.written)

    loop.cancel()
    await asyncio.wait([loop])
    return row


def _flooding(flood: str, n: int) -> Json:
    """Return an ImageJob that has to be written."""
    name = f"flood-{n:05}"
    match flood:
        case "expired":
            ended = {"attempts": 1, "completionTime": _created().isoformat()}
            body = imagejob(name, "metadata", _created(), phase="done", **ended)
            body["spec"]["ttlSecondsAfterFinished"] = 0
        case "cancelled":
            body = imagejob(name, "metadata", _created())
            body["spec"]["cancel"] = True
        case _:
            body = imagejob(name, "deleted", _created())

    return body


def _created() -> datetime:
    return datetime.now(UTC) - AGE


def main() -> None:
    """Measure, and print the results as a table."""
    head = ("ImageJobs to be written", "Number", "Single image assigned after", "Written by then")
    rows = [
        (
            row.flood,
            f"{row.number:,}",
            f"> {TIMEOUT_SECONDS:g} s" if row.seconds is None else f"{row.seconds:.2f} s",
            f"{row.written:,}",
        )
        for row in measure()
    ]
    print(table(head, rows))


if __name__ == "__main__":
    main()
