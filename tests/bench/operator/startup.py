"""Measure the operator's startup when many finished ImageJobs are retained.

Run this module with `python -m bench.operator.startup`. The operator decides as soon as it has read
the unfinished ImageJobs, and then lists all of them in the background. Here, a fake API server
returns them page by page. Each measurement runs in its own process, so that other measurements do
not affect its memory.
"""

import asyncio
import base64
import gc
import hashlib
import json
import multiprocessing
import os
import random
import resource
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvloop
from vision_node_contract.clients.kube import Selectors
from vision_node_contract.json_types import Json
from vision_node_contract.names import PLURAL
from vision_node_operator.decisions.decide import decide

from bench.operator.fakes import (
    SETTINGS,
    FakeCluster,
    at_version,
    describer,
    imagejob,
    reconciler_of,
)
from bench.report.tables import table

RETAINED = (0, 30_000, 300_000)
"""Numbers of retained ImageJobs, one for each measurement."""

UNFINISHED = 100
"""Number of queued ImageJobs, in addition to the retained ones."""

PAGE = 500
"""Number of ImageJobs per page that the operator requests."""

POLL_SECONDS = 0.05

TTL_SECONDS = 604_800
"""Time to live of the ImageJobs (7 days), so that none of them has expired."""


@dataclass(frozen=True, slots=True)
class Row:
    """Results of one measurement."""

    retained: int
    """Number of retained ImageJobs."""
    first_seconds: float
    """CPU time until the first decision has been made."""
    first_mb: float
    """Increase of the process's memory by then, in megabytes (10^6 bytes)."""
    all_seconds: float
    """CPU time until all ImageJobs are known."""
    all_mb: float
    """Increase of the process's memory by then."""
    peak_mb: float
    """The highest memory of the process, its start included."""


class FakeServer(FakeCluster):
    """An API server with retained ImageJobs. It measures its own CPU time, which is subtracted."""

    def __init__(self, retained: int) -> None:
        self.own_seconds = 0.0
        self._retained = retained

    async def list_pages(
        self, path: str, selectors: Selectors | None = None, **_: object
    ) -> AsyncIterator[tuple[list[Json], str]]:
        """Yield the objects at `path`, page by page."""
        version = str(self._retained + UNFINISHED + 1)
        if path.endswith("/describers"):
            yield [at_version(describer("metadata", 2), 1)], version
        elif path.endswith(f"/{PLURAL}"):
            retained = 0 if selectors and selectors.fields else self._retained
            for page in self._pages(retained):
                yield page, version
        else:
            yield [], version

    def _pages(self, retained: int) -> Iterator[list[Json]]:
        """Yield the retained ImageJobs, and then the unfinished ones, as parsed from JSON."""
        for first in range(0, retained, PAGE):
            numbers = range(first, min(first + PAGE, retained))
            yield self._parsed([_imagejob(number) for number in numbers])

        now = datetime.now(UTC)
        queued = [imagejob(f"queued-{n}", "metadata", now) for n in range(UNFINISHED)]
        versions = range(self._retained + 1, self._retained + 1 + UNFINISHED)
        yield self._parsed([at_version(*each) for each in zip(queued, versions, strict=True)])

    def _parsed(self, bodies: list[Json]) -> list[Json]:
        start = time.process_time()
        text = json.dumps({"items": bodies}).encode()
        self.own_seconds += time.process_time() - start
        page: list[Json] = json.loads(text)["items"]
        return page


def measure(retained: Sequence[int] = RETAINED) -> list[Row]:
    """Measure the operator's startup for each number of retained ImageJobs."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as processes:
        return list(processes.map(_measure, retained))


def _measure(retained: int) -> Row:
    return uvloop.run(_start(retained))


async def _start(retained: int) -> Row:
    server = FakeServer(retained)
    reconciler = reconciler_of(server)
    gc.collect()
    memory, start = _memory_mb(), time.process_time()

    await reconciler.resync()
    decide(reconciler.state, SETTINGS, datetime.now(UTC))
    first_seconds, first_mb = _since(start, server), _memory_mb() - memory

    task = asyncio.create_task(reconciler.run())
    while len(reconciler.state.job_queue.finished) < retained:  # noqa: ASYNC110 (no event)
        await asyncio.sleep(POLL_SECONDS)

    all_seconds = _since(start, server)
    task.cancel()
    gc.collect()
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return Row(retained, first_seconds, first_mb, all_seconds, _memory_mb() - memory, peak_mb)


def _since(start: float, server: FakeServer) -> float:
    """Return the CPU time since `start`, without that of the fake API server."""
    return time.process_time() - start - server.own_seconds


def _memory_mb() -> float:
    """Return the resident memory of this process in megabytes (10^6 bytes)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _imagejob(number: int) -> Json:
    """Return an ImageJob that was completed at a random time and has not expired yet."""
    digest = hashlib.sha256(str(number).encode()).digest()[:20]
    uid = base64.b32encode(digest).decode().lower()
    age = timedelta(seconds=random.Random(number).random() * TTL_SECONDS * 0.99)  # noqa: S311
    done = (datetime.now(UTC) - age).isoformat()

    return {
        "apiVersion": "vision-node.dev/v1alpha1",
        "kind": "ImageJob",
        "metadata": {
            "name": f"job-{uid}",
            "namespace": "vision-node",
            "uid": uid,
            "resourceVersion": str(number + 1),
            "generation": 1,
            "creationTimestamp": done,
            "managedFields": [_managed_fields(done)] * 2,
        },
        "spec": {
            "image": {
                "key": f"images/{uid}",
                "sha256": "0" * 64,
                "mediaType": "image/jpeg",
                "sizeBytes": 500_000,
                "width": 1920,
                "height": 1080,
                "fileName": "photo.jpg",
            },
            "describer": "metadata",
            "priority": 0,
            "ttlSecondsAfterFinished": TTL_SECONDS,
            "cancel": False,
        },
        "status": {
            "phase": "done",
            "attempts": 1,
            "worker": "vision-node-metadata-0-abcde",
            "startTime": done,
            "completionTime": done,
            "duration": "0.03s",
            "conditions": [
                _condition("Assigned", "WorkerAssigned", "assigned to a worker", done),
                _condition("Complete", "Described", "the image has been described", done),
            ],
            "result": {"describer": "metadata", "summary": "s" * 200, "inline": _inline_result()},
        },
    }


def _managed_fields(when: str) -> Json:
    return {
        "manager": "vision-node",
        "operation": "Update",
        "apiVersion": "vision-node.dev/v1alpha1",
        "time": when,
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {}},
    }


def _condition(kind: str, reason: str, message: str, when: str) -> Json:
    return {
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": message,
        "lastTransitionTime": when,
        "observedGeneration": 1,
    }


def _inline_result() -> Json:
    return {
        "description": "Image Description:\n" + "x" * 500,
        "alt": "a" * 100,
        "caption": "c" * 80,
        "describer": "metadata",
        "seconds": 0.02,
        "facts": {"a": 1, "b": [1, 2, 3]},
        "tags": ["x"] * 5,
        "language": "en",
        "text": "",
    }


def main() -> None:
    """Measure, and print the results as a table."""
    head = (
        "Finished ImageJobs",
        "First decision after",
        "Memory by then",
        "All known after",
        "Memory by then",
        "Highest memory of the process",
    )
    rows = [
        (
            f"{row.retained:,}",
            f"{1000 * row.first_seconds:,.0f} ms",
            f"{row.first_mb:.1f} MB",
            f"{row.all_seconds:.1f} s",
            f"{row.all_mb:.0f} MB",
            f"{row.peak_mb:.0f} MB",
        )
        for row in measure()
    ]
    print(table(head, rows))


if __name__ == "__main__":
    main()
