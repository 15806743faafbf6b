"""Measure the CPU time of an operator whose workers are idle and only renew their Leases."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import uvloop
from vision_node_contract.json_types import Json
from vision_node_contract.leases import RENEW_SECONDS
from vision_node_contract.names import DESCRIBER_LABEL
from vision_node_operator.runtime.reconciler import Reconciler
from vision_node_operator.state.object_versions import Kind

from bench.operator.rounds import POD_TEMPLATE, SETTINGS, describer, lease, worker
from bench.report.tables import digits, table

WORKERS = (10, 50, 100, 200, 400)


class FakeCluster:
    """A cluster in which nothing changes: lists are empty, and every write succeeds."""

    async def list_pages(self, *_: object) -> AsyncIterator[tuple[list[Json], str]]:
        """Return an empty list."""
        yield [], "0"

    async def perform(self, *_: object) -> tuple[Kind, None]:
        """Perform no action."""
        return "jobs", None

    async def sweep_periodically(self) -> None:
        """Wait until cancelled."""
        await asyncio.Event().wait()


def report() -> str:
    """Measure each number of workers in WORKERS; return a table."""
    rows = []
    for workers in WORKERS:
        share = uvloop.run(cpu_share(workers))
        each = 1000 * share * RENEW_SECONDS / workers
        rows.append([f"{workers}", f"{100 * share:.1f} %", digits(each)])

    return table(["idle workers", "of one core", "ms a renewal"], rows)


async def cpu_share(workers: int) -> float:
    """Return the operator's share of one core while each worker renews its Lease once."""
    reconciler = _reconciler(workers)
    labels = {DESCRIBER_LABEL: "metadata"}
    task = asyncio.create_task(reconciler.run())
    await asyncio.sleep(0.2)  # the first round

    cpu, start = time.process_time(), time.monotonic()
    for number in range(workers):
        due = start + RENEW_SECONDS * (number + 1) / workers
        await asyncio.sleep(max(0, due - time.monotonic()))
        renewed = lease(f"w{number}", labels, datetime.now(UTC))
        renewed["metadata"]["resourceVersion"] = str(10 * workers + number)
        reconciler.observe("leases", "MODIFIED", renewed)

    share = (time.process_time() - cpu) / (time.monotonic() - start)
    task.cancel()
    return share


def _reconciler(workers: int) -> Reconciler:
    """Return a reconciler that knows a Describer with this number of idle workers."""
    cluster: Any = FakeCluster()
    reconciler = Reconciler(cluster, SETTINGS, cluster, cluster, POD_TEMPLATE)
    pool = describer("metadata", workers)
    pool["metadata"]["resourceVersion"] = "1"
    pool["spec"]["minWorkers"] = workers
    reconciler.observe("describers", "ADDED", pool)

    template_hash = next(reconciler.state.describers.pools()).template_hash
    for number in range(workers):
        for kind, body in worker(f"w{number}", "metadata", template_hash, datetime.now(UTC)):
            body["metadata"]["resourceVersion"] = "1"
            reconciler.observe(kind, "ADDED", body)

    return reconciler
