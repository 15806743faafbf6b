"""Read the operator's objects: first what decisions need, then all ImageJobs in the background.

Most ImageJobs in a namespace are finished, and decisions about the others don't need them. So the
operator decides as soon as it has read the unfinished ones. The finished ones are read page by page
afterward, for their expiry and for the images that they name.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime

from vision_node_contract.clients.kube import (
    Kube,
    KubeError,
    NotFoundError,
    Selectors,
    UnavailableError,
    backoff,
)
from vision_node_contract.json_types import Json
from vision_node_contract.leases import leases_path
from vision_node_contract.names import (
    BATCH_LABEL,
    BATCH_PLURAL,
    COMPONENT_LABEL,
    DESCRIBER_LABEL,
    DESCRIBER_PLURAL,
    PLURAL,
    WORKER_COMPONENT,
    path_of,
)

from ..state.object_versions import Kind
from ..state.state import State
from .clock import utcnow
from .freshness import Heartbeat

log = logging.getLogger(__name__)

SLICE = 50
"""Number of ImageJobs of a page that the background list takes in at once. That takes about 3 ms,
after which a waiting decision comes first."""

REST = 10
"""How long to wait after a background list, as a multiple of the time that it took. So such lists
take at most a tenth of the time, however many ImageJobs there are."""

RETRY_SECONDS = (1.0, 60.0)
"""First and longest pause after a background list or read that failed, with full jitter."""

MAX_READS = 8
"""Maximum number of single ImageJobs that are read at the same time."""

PROGRESS_SECONDS = 5.0
"""Minimum time between two lines in the log about the progress of a background list."""

# The component label alone is not enough, because other products' workers may have it too.
WORKERS_ONLY = Selectors(labels=f"{COMPONENT_LABEL}={WORKER_COMPONENT},{DESCRIBER_LABEL}")

SHARDS = Selectors(labels=BATCH_LABEL)

UNFINISHED = Selectors(fields="status.phase!=done,status.phase!=failed")


class ObjectLists:
    """Lists objects into the state, and sets `changed` when a list is complete."""

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        state: State,
        changed: asyncio.Event,
        heartbeat: Heartbeat,
        *,
        has_imagebatches: bool = False,
    ) -> None:
        self._has_imagebatches = has_imagebatches
        self.last_heard: dict[Kind, datetime] = {}
        """When the last event or complete list of each kind arrived."""
        self._kube = kube
        self._namespace = namespace
        self._state = state
        self._changed = changed
        self._heartbeat = heartbeat
        self._imagejobs_path = path_of(PLURAL, namespace)
        self._reading = asyncio.Lock()
        self._was_read = asyncio.Event()
        self._found_unconfirmed = asyncio.Event()
        self._losses = 0
        """How often changes were missed."""
        self._incomplete = asyncio.Event()
        """Set while not all ImageJobs are known."""
        self._incomplete.set()

    async def read(self) -> None:
        """List everything that decisions need, and have the rest listed in the background.

        Only one such list is read at a time. Otherwise a slow list could restore objects that a
        later list has shown to be deleted.

        Raises:
            KubeError: Listing failed.
        """
        async with self._reading:
            try:
                await self._read()
            finally:
                if self._state.unconfirmed:
                    self._found_unconfirmed.set()

        self._was_read.set()
        self._changed.set()

    def record_loss(self) -> None:
        """Record that changes of ImageJobs may have been missed.

        ImageJobs that were created and finished meanwhile are on no list of unfinished ones, so all
        ImageJobs are listed without a pause.
        """
        self._losses += 1
        self._state.knows_all_imagejobs = False
        self._state.knows_all_shards = False
        self._incomplete.set()

    async def run(self) -> None:
        """Read the rest in the background until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._list_repeatedly())
            tasks.create_task(self._confirm_repeatedly())

    async def _read(self) -> None:
        """List the kinds in an order in which no object that another one names seems to be missing.

        Pods are listed after ImageJobs: if the pod of an ImageJob's worker is missing from the
        list, the pod no longer exists.
        """
        namespace = self._namespace
        describers = path_of(DESCRIBER_PLURAL, namespace)
        await self._sweep("describers", describers, Selectors())
        await self._sweep("leases", leases_path(namespace), WORKERS_ONLY)
        await self._sweep("jobs", f"/apis/batch/v1/namespaces/{namespace}/jobs", WORKERS_ONLY)

        names, version = await self._list("imagejobs", self._imagejobs_path, UNFINISHED)
        self._state.sweep_unfinished(names, version)
        if self._has_imagebatches:
            await self._read_batches()

        await self._sweep("pods", f"/api/v1/namespaces/{namespace}/pods", WORKERS_ONLY)

    async def _read_batches(self) -> None:
        """List all shards, finished ones included, and then all ImageBatches.

        The order matters: a shard whose ImageBatch is missing from the later list is deleted. The
        watch begins at the list of unfinished ImageJobs, which is older, so it misses no change.
        """
        names, version = await self._list("imagejobs", self._imagejobs_path, SHARDS)
        self._state.sweep_shards(names, version, utcnow())

        try:
            await self._sweep("imagebatches", path_of(BATCH_PLURAL, self._namespace), Selectors())
        except UnavailableError:
            raise
        except KubeError as error:
            # Single images must not wait for the CRD, which another release may install later.
            self._state.knows_all_shards = False
            log.warning("ImageBatches can't be listed, so none is described: %s", error)
        else:
            self._state.knows_all_shards = True

    async def _sweep(self, kind: Kind, path: str, selectors: Selectors) -> None:
        names, version = await self._list(kind, path, selectors)
        self._state.sweep(kind, names, version, utcnow())

    async def _list(self, kind: Kind, path: str, selectors: Selectors) -> tuple[set[str], int]:
        """Take in the objects at `path`; return their names and the list's version."""
        names: set[str] = set()
        async for bodies, version in self._kube.list_pages(path, selectors):  # noqa: B007
            self._heartbeat.beat()
            names.update(_name(body) for body in bodies)
            for body in bodies:
                self._state.observe(kind, body, utcnow())

        self.last_heard[kind] = utcnow()
        return names, int(version)

    async def _list_repeatedly(self) -> None:
        failures = 0
        while True:
            await self._was_read.wait()
            self._was_read.clear()
            started = time.monotonic()
            try:
                await self._list_all_imagejobs()
            except KubeError as error:
                log.warning("listing the finished ImageJobs failed, trying again: %s", error)
                self._was_read.set()
                failures += 1
                await asyncio.sleep(backoff(failures, *RETRY_SECONDS))
            else:
                failures = 0
                await self._rest(REST * (time.monotonic() - started))

    async def _rest(self, seconds: float) -> None:
        """Pause before the next list of all ImageJobs, unless changes are missed meanwhile."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._incomplete.wait()

    async def _list_all_imagejobs(self) -> None:
        """Take in all ImageJobs page by page, and forget those that no longer exist.

        The list is not filtered, so that what is missing from it has been deleted. In memory, only
        the names are kept that were known before and that no page has contained so far.
        """
        versions, losses = self._state.versions, self._losses
        versions.begin_long_list("imagejobs")
        try:
            await self._take_in(versions.names("imagejobs"))
        finally:
            versions.end_long_list("imagejobs")

        if losses == self._losses:
            self._state.knows_all_imagejobs = True
            self._incomplete.clear()
        self._changed.set()

    async def _take_in(self, unlisted: set[str]) -> None:
        progress, first_version = Progress(), 0
        pages = self._kube.list_pages(self._imagejobs_path, consistent=False)

        async for bodies, version in pages:
            first_version = first_version or int(version)
            unlisted.difference_update(_name(body) for body in bodies)
            for part in _slices(bodies):
                for body in part:
                    self._state.observe("imagejobs", body, utcnow())
                await asyncio.sleep(0)

            progress.add(len(bodies))

        # The first page is the oldest one. An object that is older than it and on no page was gone
        # when the page that would have contained it was read.
        self._state.forget_missing("imagejobs", unlisted, first_version, utcnow())
        self.last_heard["imagejobs"] = utcnow()
        progress.log_total()

    async def _confirm_repeatedly(self) -> None:
        failures = 0
        while True:
            await self._found_unconfirmed.wait()
            self._found_unconfirmed.clear()
            if await self._confirm_all():
                failures = 0
                continue

            self._found_unconfirmed.set()
            failures += 1
            await asyncio.sleep(backoff(failures, *RETRY_SECONDS))

    async def _confirm_all(self) -> bool:
        """Read each unconfirmed ImageJob; return whether all could be read."""
        names = iter([*self._state.unconfirmed])
        async with asyncio.TaskGroup() as tasks:
            readers = [tasks.create_task(self._confirm(names)) for _ in range(MAX_READS)]

        self._changed.set()
        return all(reader.result() for reader in readers)

    async def _confirm(self, names: Iterator[str]) -> bool:
        for name in names:
            try:
                await self._read_imagejob(name)
            except KubeError as error:
                log.warning("reading ImageJob %s failed, trying again: %s", name, error)
                return False

        return True

    async def _read_imagejob(self, name: str) -> None:
        """Take in an ImageJob's current state, unless an event has reported it meanwhile."""
        job = self._state.job_queue.unfinished.get(name)
        if job is None or name not in self._state.unconfirmed:
            return

        try:
            body = await self._kube.request("GET", f"{self._imagejobs_path}/{name}")
        except NotFoundError:
            version = int(job.metadata.resource_version)
            self._state.forget("imagejobs", name, version, utcnow())
        else:
            self._state.observe("imagejobs", body, utcnow())

        self._state.unconfirmed.discard(name)


class Progress:
    """Logs how many ImageJobs a list has read, at most every few seconds."""

    def __init__(self) -> None:
        self._total = 0
        self._started = self._logged = time.monotonic()

    def add(self, number: int) -> None:
        """Count ImageJobs that have been read."""
        self._total += number
        if time.monotonic() - self._logged >= PROGRESS_SECONDS:
            self._logged = time.monotonic()
            log.info("read %s ImageJobs so far", f"{self._total:,}")

    def log_total(self) -> None:
        """Log the end of the list, if it took so long that its progress was logged."""
        if self._logged > self._started:
            seconds = time.monotonic() - self._started
            log.info("read all %s ImageJobs in %.0f s", f"{self._total:,}", seconds)


def _name(body: Json) -> str:
    name: str = body["metadata"]["name"]
    return name


def _slices(bodies: list[Json]) -> Iterable[list[Json]]:
    return (bodies[first : first + SLICE] for first in range(0, len(bodies), SLICE))
