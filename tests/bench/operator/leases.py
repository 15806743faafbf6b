"""Measure the operator's CPU time while all workers are idle and only renew their Leases."""

import asyncio
import time
from datetime import UTC, datetime

import uvloop
from vision_node_contract.leases import RENEW_SECONDS
from vision_node_contract.names import DESCRIBER_LABEL

from bench.operator.fakes import FakeCluster, at_version, lease, reconciler_with_idle_workers
from bench.report.tables import digits, table

WORKERS = (10, 50, 100, 200, 500)
"""Numbers of workers, one for each measurement."""


def report() -> str:
    """Run the measurement for each worker count in WORKERS, and return a table of the results."""
    rows = []
    for workers in WORKERS:
        share = uvloop.run(cpu_share(workers))
        each = 1000 * share * RENEW_SECONDS / workers
        rows.append([f"{workers}", f"{100 * share:.1f} %", digits(each)])

    return table(["idle workers", "share of one core", "ms per renewal"], rows)


async def cpu_share(workers: int) -> float:
    """Return the share of one core (0 to 1) that the operator uses while workers renew Leases."""
    reconciler = reconciler_with_idle_workers(FakeCluster(), workers)
    labels = {DESCRIBER_LABEL: "metadata"}
    task = asyncio.create_task(reconciler.run())
    await asyncio.sleep(0.2)  # wait for the first round

    cpu, start = time.process_time(), time.monotonic()
    for number in range(workers):
        due = start + RENEW_SECONDS * (number + 1) / workers
        await asyncio.sleep(max(0, due - time.monotonic()))
        renewed = lease(f"w{number}", labels, datetime.now(UTC))
        reconciler.observe("leases", "MODIFIED", at_version(renewed, 10 * workers + number))

    share = (time.process_time() - cpu) / (time.monotonic() - start)
    task.cancel()
    return share
