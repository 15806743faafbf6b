"""`python -m bench.operator.flood`: measure how a deleted Describer's queue delays another one.

Thousands of queued ImageJobs name a Describer that does not exist, so the operator has to fail each
of them. Meanwhile, one ImageJob arrives for another Describer, which has a free worker. The
operator runs as is, with a fake API server that answers each write after 5 ms.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from vision_node_contract.json_types import Json
from vision_node_contract.names import DESCRIBER_LABEL
from vision_node_operator.decisions.actions import Assign, Fail, Write
from vision_node_operator.runtime.reconciler import Reconciler
from vision_node_operator.settings import Settings
from vision_node_operator.state.object_versions import Kind
from vision_node_operator.state.worker_objects import JOB_UID_LABEL, TEMPLATE_LABEL

from bench.report.tables import table

QUEUED = (0, 2_000, 10_000)
"""ImageJobs of the deleted Describer."""

WRITE_SECONDS = 0.005
"""Time for one write, as with a fast API server."""

AGE = timedelta(minutes=10)
"""Age of the queued ImageJobs: longer than the grace period after which the operator fails them."""

WARM_UP_SECONDS = 0.3
"""Time between the start of the operator and the arrival of the other ImageJob."""

TIMEOUT_SECONDS = 120.0
POLL_SECONDS = 0.01

SETTINGS = Settings("vision-node", owner_name="describers", job_prefix="vision-node")
POD_TEMPLATE: Json = {"spec": {"containers": [{"name": "worker"}]}}
DESCRIBER: Json = {
    "metadata": {"name": "metadata", "resourceVersion": "1"},
    "spec": {"maxWorkers": 1},
}
WORKER = "worker-0"


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement."""

    queued: int
    """ImageJobs of the deleted Describer."""
    seconds: float | None
    """Time until the other Describer's ImageJob was assigned; None if it took too long."""
    failed: int
    """ImageJobs of the deleted Describer that the operator failed in this time."""


class FakeServer:
    """An API server that accepts every write after a fixed time, and has no objects to list."""

    def __init__(self) -> None:
        self.assigned_at: float | None = None
        self.failed = 0
        self._version = 10_000_000

    async def list_pages(self, *_: object) -> AsyncIterator[tuple[list[Json], str]]:
        """Yield one empty page."""
        yield [], "0"

    async def perform(self, action: Write, _now: datetime) -> tuple[Kind, Json | None]:
        """Accept the write, and return the written object like the writer does."""
        if not isinstance(action, Assign | Fail):
            return "describers", DESCRIBER

        await asyncio.sleep(WRITE_SECONDS)
        name, describer = action.job.metadata.name, action.job.spec.describer
        self._version += 1

        if isinstance(action, Assign):
            self.assigned_at = time.monotonic()
            status: Json = {"phase": "processing", "worker": action.worker, "attempts": 1}
        else:
            self.failed += 1
            error = {"reason": action.reason, "message": action.message, "retryable": False}
            status = {"phase": "failed", "error": error}

        return "imagejobs", _imagejob(name, self._version, describer, status)


class IdleGarbageCollector:
    """A garbage collector that has nothing to do."""

    async def sweep_now_and_then(self) -> None:
        """Wait until cancelled."""
        await asyncio.Event().wait()

    def collect(self, *_: object) -> None:
        """Do nothing: no object is stored."""


def measure() -> list[Row]:
    """Return the delay of a single ImageJob for each length of the deleted Describer's queue."""
    return [asyncio.run(_measure(queued)) for queued in QUEUED]


async def _measure(queued: int) -> Row:
    server = FakeServer()
    reconciler = _reconciler_with_a_free_worker(server)
    for n in range(queued):
        reconciler.observe("imagejobs", "ADDED", _imagejob(f"deleted-{n:05}", 100 + n, "deleted"))

    loop = asyncio.create_task(reconciler.run())
    await asyncio.sleep(WARM_UP_SECONDS)

    start = time.monotonic()
    reconciler.observe("imagejobs", "ADDED", _imagejob("single", 9_000_000, "metadata"))
    while server.assigned_at is None and time.monotonic() - start < TIMEOUT_SECONDS:
        if loop.done():
            break
        await asyncio.sleep(POLL_SECONDS)

    seconds = None if server.assigned_at is None else server.assigned_at - start
    row = Row(queued, seconds, server.failed)

    loop.cancel()
    await asyncio.wait([loop])
    return row


def _reconciler_with_a_free_worker(server: Any) -> Reconciler:
    """Return the operator's loop with fakes: `server` is its API server and its writer."""
    garbage_collector: Any = IdleGarbageCollector()
    reconciler = Reconciler(server, SETTINGS, server, garbage_collector, POD_TEMPLATE)
    reconciler.observe("describers", "ADDED", DESCRIBER)

    now = datetime.now(UTC).isoformat()
    labels = {
        DESCRIBER_LABEL: "metadata",
        TEMPLATE_LABEL: next(reconciler.state.describers.pools()).template_hash,
    }
    job: Json = {
        "name": "vision-node-metadata-0",
        "uid": "job-uid",
        "resourceVersion": "1",
        "creationTimestamp": now,
        "labels": labels,
    }
    pod: Json = {"name": WORKER, "resourceVersion": "1", "labels": {JOB_UID_LABEL: "job-uid"}}
    lease: Json = {"name": WORKER, "resourceVersion": "1"}

    reconciler.observe("jobs", "ADDED", {"metadata": job})
    reconciler.observe("pods", "ADDED", {"metadata": pod, "status": {"phase": "Running"}})
    reconciler.observe("leases", "ADDED", {"metadata": lease, "spec": {"renewTime": now}})
    return reconciler


def _imagejob(name: str, version: int, describer: str, status: Json | None = None) -> Json:
    return {
        "metadata": {
            "name": name,
            "uid": name,
            "resourceVersion": str(version),
            "creationTimestamp": (datetime.now(UTC) - AGE).isoformat(),
        },
        "spec": {"image": {"key": f"images/{name}"}, "describer": describer},
        "status": {"phase": "queued", **(status or {})},
    }


def main() -> None:
    """Measure, and print a table."""
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
