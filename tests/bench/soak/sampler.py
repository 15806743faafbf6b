"""Read the state of the cluster at regular intervals during a soak test."""

import asyncio
import time
from collections.abc import Callable

import aiohttp
from vision_node_contract.clients.bucket import StoreUnavailableError

from bench.errors import BenchError
from bench.soak.results import Sample, Soak
from bench.soak.sources import Source
from cluster.errors import ClusterError

OBJECTS_EVERY = 6
"""Objects in the bucket are counted only in every sixth sample, because MinIO reads a folder for
each of them."""

READ_SECONDS = 60.0
"""Timeout of a reading."""

MAX_FAILURES = 10
"""Number of failed readings in a row after which the test is stopped, because it would show
nothing."""

REPORT_SECONDS = 60.0
"""Seconds between two progress messages."""

UNREACHABLE = (BenchError, ClusterError, StoreUnavailableError, aiohttp.ClientError, OSError)
CUT_OFF = (ValueError, KeyError)
"""Failures of a reading that a later one may not have. TimeoutError is an OSError."""


class Sampler:
    """Appends samples to the results of a soak test."""

    def __init__(
        self, source: Source, soak: Soak, sample_seconds: float, say: Callable[[str], None]
    ) -> None:
        self._source = source
        self._soak = soak
        self._sample_seconds = sample_seconds
        self._say = say
        self._started = time.monotonic()
        self._stopped = asyncio.Event()
        self._taken = 0
        self._failures = 0
        self._reported = 0.0

    @property
    def seconds(self) -> float:
        """Seconds since the start of the load."""
        return time.monotonic() - self._started

    def stop(self) -> None:
        """Let `run` end after its current sample."""
        self._stopped.set()

    async def run(self) -> None:
        """Take samples until `stop` is called.

        Raises:
            BenchError: Too many readings in a row have failed.
        """
        while not self._stopped.is_set():
            await self.take()
            try:
                await asyncio.wait_for(self._stopped.wait(), self._sample_seconds)
            except TimeoutError:
                continue

    async def take(self, *, count_objects: bool = False) -> Sample | None:
        """Take a sample, and return it, or None if the reading has failed.

        Raises:
            BenchError: Too many readings in a row have failed.
        """
        due = self._taken % OBJECTS_EVERY == 0
        self._taken += 1
        started = self.seconds

        try:
            async with asyncio.timeout(READ_SECONDS):
                reading = await self._source.read(count_objects=count_objects or due)
        except (*UNREACHABLE, *CUT_OFF) as error:
            self._record_failure(error)
            return None

        self._failures = 0
        tally = self._soak.tally
        retries = sum(tally.retries.values())
        sample = Sample(started, tally.done, tally.problems, retries, reading)
        self._soak.samples.append(sample)
        self._report(sample)

        return sample

    def _record_failure(self, error: Exception) -> None:
        self._soak.failed_samples += 1
        self._failures += 1
        self._say(f"  a sample could not be read: {error!r}")

        if self._failures >= MAX_FAILURES:
            raise BenchError(
                f"soak: stopped, because {self._failures} samples in a row could not be read. "
                f"The last one: {error!r}"
            ) from error

    def _report(self, sample: Sample) -> None:
        if sample.seconds < self._reported:
            return

        self._reported = sample.seconds + REPORT_SECONDS
        self._say(
            f"  {sample.seconds:.0f} s: {sample.done:,} images done, {sample.problems:,} problems, "
            f"{sample.retries:,} repeated requests, {sample.reading.imagejobs:,} ImageJobs"
        )
