"""Measure the operator's startup when many ImageJobs are retained.

Run this module with `python -m bench.operator.startup`. During startup, the operator lists all
ImageJobs in its namespace. These include ImageJobs that are done and are retained until their time
to live has passed. Here, a fake API server returns them page by page. Each measurement runs in its
own process, so that other measurements do not affect its memory.
"""

import base64
import gc
import hashlib
import json
import multiprocessing
import os
import random
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvloop
from vision_node_contract.json_types import Json
from vision_node_contract.names import PLURAL
from vision_node_operator.decisions.decide import decide

from bench.operator.fakes import SETTINGS, FakeCluster, at_version, describer, reconciler_of
from bench.report.tables import table

RETAINED = (0, 10_000, 50_000)
"""Numbers of retained ImageJobs, one for each measurement."""

PAGE = 500
"""Number of ImageJobs per page that the operator requests."""

TTL_SECONDS = 604_800
"""Time to live of the ImageJobs (7 days), so that none of them has expired."""


@dataclass(frozen=True, slots=True)
class Row:
    """Results of one measurement."""

    retained: int
    """Number of retained ImageJobs."""
    parse_seconds: float
    """CPU time for parsing the JSON of all pages."""
    observe_seconds: float
    """CPU time for validating the ImageJobs and adding them to the operator's state."""
    memory_mb: float
    """Increase of the process's memory in megabytes (10^6 bytes)."""
    decide_ms: float
    """CPU time of the first decision."""

    @property
    def cpu_seconds(self) -> float:
        """CPU time for reading the whole list."""
        return self.parse_seconds + self.observe_seconds


class FakeServer(FakeCluster):
    """An API server with retained ImageJobs. It measures its own CPU time, which is subtracted."""

    def __init__(self, retained: int) -> None:
        self.own_seconds = 0.0
        self.parse_seconds = 0.0
        self._retained = retained

    async def list_pages(self, path: str, *_: object) -> AsyncIterator[tuple[list[Json], str]]:
        """Yield the objects at `path`, page by page."""
        if path.endswith("/describers"):
            yield [at_version(describer("metadata", 2), 1)], "1"
        elif path.endswith(f"/{PLURAL}"):
            for page in self._pages():
                yield page, str(self._retained + 1)
        else:
            yield [], "1"

    def _pages(self) -> Iterator[list[Json]]:
        if not self._retained:
            yield []

        for first in range(0, self._retained, PAGE):
            start = time.process_time()
            numbers = range(first, min(first + PAGE, self._retained))
            text = json.dumps({"items": [_imagejob(number) for number in numbers]}).encode()
            built = time.process_time()
            page: list[Json] = json.loads(text)["items"]
            self.own_seconds += built - start
            self.parse_seconds += time.process_time() - built
            yield page


def measure(retained: Sequence[int] = RETAINED) -> list[Row]:
    """Measure the operator's startup for each number of retained ImageJobs."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as processes:
        return list(processes.map(_measure, retained))


def _measure(retained: int) -> Row:
    server = FakeServer(retained)
    reconciler = reconciler_of(server)

    gc.collect()
    memory = _memory_mb()
    start = time.process_time()
    uvloop.run(reconciler.resync())
    spent = time.process_time() - start
    gc.collect()
    memory = _memory_mb() - memory

    start = time.process_time()
    decide(reconciler.state, SETTINGS, datetime.now(UTC))
    decide_ms = (time.process_time() - start) * 1000

    observe_seconds = spent - server.own_seconds - server.parse_seconds
    return Row(retained, server.parse_seconds, observe_seconds, memory, decide_ms)


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
        "Retained ImageJobs",
        "CPU time of the list",
        "per ImageJob",
        "Memory",
        "First decision",
    )
    rows = [
        (
            f"{row.retained:,}",
            f"{row.cpu_seconds:.2f} s",
            f"{row.cpu_seconds / row.retained * 1e6:.0f} µs" if row.retained else "–",
            f"{row.memory_mb:.1f} MB",
            f"{row.decide_ms:.1f} ms",
        )
        for row in measure()
    ]
    print(table(head, rows))


if __name__ == "__main__":
    main()
