"""Describe the images of one shard, as many at a time as there are slots, and fetch some ahead."""

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from vision_node_contract.batch_objects import BatchFolder, LineError, ManifestLine, ResultLine
from vision_node_contract.clients.bucket import Bucket, StoreUnavailableError
from vision_node_contract.clients.kube import backoff
from vision_node_contract.models.description import Options, Result, Usage
from vision_node_contract.models.imagejob import Stop
from vision_node_contract.models.reasons import Reason
from vision_node_contract.models.shard import Shard

from ..describe_slots import DescribeSlots, StartInterval
from ..describers import Remote
from ..image_describer import Failure, ImageDescriber
from ..image_task import ImagePart, ImageTask
from .checkpoints import Checkpoints
from .deferred_images import DeferredImages, ImageAttempts
from .failure_action import (
    DeferImage,
    FailImage,
    FailureAction,
    RetryImage,
    StopShard,
    decide_after_failure,
)
from .image_runner import ImageRunner
from .manifest import ManifestReader, ManifestUnreadableError
from .results import ShardResults, error_line, line_error, result_line, stop, valid_error

log = logging.getLogger(__name__)

FETCHED_AHEAD = 4
"""Number of images that are fetched, or wait with their file, while others are being described.
With fewer, the describing threads would wait for the bucket; more would only use memory."""

GUESSED_BYTES = 4 << 20
"""File size to assume if the manifest does not state one. Most photographs are smaller; a larger
file is fetched again. If the maximum size were assumed, images would be fetched one by one."""

RETRY_SECONDS = (1.0, 10.0)
"""Initial and longest delay in seconds between two attempts at an image. It is short, because the
operator considers a shard without progress lost."""

STOP_SECONDS = 20.0
"""Maximum seconds to wait for images that are being described when a shard must stop. The operator
gives up a cancelled shard after 30 s, and a worker has 80 s to finish."""

HUNG_SHARE = 0.95
"""Share of an image's timeout after which the shard ends without it. It is more than an
asynchronous describer gets, and leaves time to commit before the operator considers the shard
lost."""

STEP_SECONDS = 5.0
"""Maximum seconds between two steps of an image that waits for its next attempt."""

MAX_STORING_SECONDS = 90.0
"""Maximum seconds for which a shard counts as advancing while its outcome is being stored. The
results take up to 45 s, and the API server may be away for a while."""

MAX_CHECK_SECONDS = 1.0
"""Maximum seconds between two checks for images that take too long."""


@dataclass(frozen=True, slots=True)
class ShardTools:
    """Objects that all shards of a worker share."""

    bucket: Bucket
    images: ImageDescriber
    manifests: ManifestReader
    slots: DescribeSlots


class ShardRun:
    """Describes the images of one shard, until all have ended or the shard must stop."""

    def __init__(self, shard: Shard, tools: ShardTools) -> None:
        self.results = ShardResults(shard.range)
        self.suspects: set[int] = set()
        """Indexes of images whose threads did not return in time."""
        self.stopped: Stop | None = None
        """Why the shard ends early; None if it does not, or if the worker is being stopped."""

        self.steps = 0
        """Number of times that an attempt has begun, got its slot, passed to the fallback or ended,
        or that an image which waits for its next attempt has been seen to do so. It shows the
        operator that the shard advances, even while no image ends."""

        self._shard = shard
        self._tools = tools
        self._images = tools.images
        self._indexes: Iterator[int] = iter(range(shard.range.first, shard.range.last + 1))
        self._start_interval = StartInterval(shard.spec.images.min_interval_seconds or 0.0)
        self._folder = BatchFolder(tools.bucket.folders, shard.spec.images.batch_uid)
        self._checkpoints: Checkpoints | None = None
        if isinstance(tools.images.describer, Remote):
            self._checkpoints = Checkpoints(tools.bucket, self._folder)

        spec, settings = shard.spec, tools.images.settings
        self._timeout_seconds = spec.timeout_seconds or settings.timeout_seconds
        self._max_attempts = spec.max_attempts or settings.max_attempts
        self._deferred = DeferredImages(tools.images)
        self._runners: list[ImageRunner] = []
        self._stopping = asyncio.Event()
        self._stop_deadline = float("inf")

    def stop(self, reason: Stop | None = None) -> None:
        """Start no more images, and end soon. Only the first call's reason is kept."""
        if self._stopping.is_set():
            return

        for runner in self._runners:
            runner.drop_if_idle()

        self.stopped = reason
        self._stop_deadline = asyncio.get_running_loop().time() + STOP_SECONDS
        self._stopping.set()

    async def run(self) -> None:
        """Describe the images.

        If cancelled, this method returns immediately, although threads may still be running.
        """
        if not await self._find_checkpoints():
            return

        count = min(self._shard.range.size, self._images.settings.concurrency + FETCHED_AHEAD)
        self._deferred.begin(count)
        self._runners = [self._new_runner() for _ in range(count)]
        try:
            await self._supervise()
        finally:
            self._leave()

        for runner in self._runners:
            if runner.task.done() and not runner.task.cancelled():
                runner.task.result()  # raises unexpected errors

    async def _find_checkpoints(self) -> bool:
        try:
            if self._checkpoints and not self._stopping.is_set():
                await self._checkpoints.find(self._shard.range)
        except StoreUnavailableError as error:
            self.stop(stop(Failure(error.reason, str(error))))
            return False

        return True

    def _new_runner(self) -> ImageRunner:
        slots = self._tools.slots
        interval = self._start_interval
        runner = ImageRunner(lambda: slots.acquire(interval), self._advance, slots.release)
        runner.task = asyncio.create_task(self._run_images(runner))
        return runner

    def _advance(self) -> None:
        self.steps += 1

    async def _supervise(self) -> None:
        """Wait until the runners have ended; end or abandon them when the shard must stop."""
        stopping = asyncio.create_task(self._stopping.wait())
        seconds = min(MAX_CHECK_SECONDS, self._timeout_seconds / 20)
        try:
            while running := [it for it in self._runners if it.is_awaited]:
                tasks = {it.task for it in running}
                waited = tasks if self._stopping.is_set() else tasks | {stopping}
                await asyncio.wait(waited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
                self._check(running)
        finally:
            stopping.cancel()

    def _check(self, running: list[ImageRunner]) -> None:
        """Stop if an image takes too long. If the shard must stop, cancel what can be dropped."""
        now = asyncio.get_running_loop().time()
        too_early = now - HUNG_SHARE * self._timeout_seconds
        for runner in running:
            is_late = runner.busy_since is not None and runner.busy_since <= too_early
            if is_late and runner.line and runner.line.index not in self.results:
                runner.abandon()
                self._give_up(runner.line)

        if not self._stopping.is_set():
            return

        for runner in running:
            runner.drop_if_idle()
            if now >= self._stop_deadline:
                runner.abandon()

    def _give_up(self, line: ManifestLine) -> None:
        """Stop the shard, because the thread of an image does not return.

        If the image is being tried alone, it fails. Otherwise, it will be tried alone.
        """
        seconds = HUNG_SHARE * self._timeout_seconds
        message = f"image {line.index}: the describer has not returned within {seconds:g} s"
        failure = Failure(Reason.ATTEMPT_TIMED_OUT, message)
        log.error("shard %s: %s", self._shard.metadata.name, message)

        if self._shard.is_alone:
            self._add_error(line, line_error(failure))
            self.stop()
            return

        self.suspects.add(line.index)
        self.stop(stop(failure))

    def _leave(self) -> None:
        """Cancel what is still running, and watch the threads that keep running."""
        left = [it for it in self._runners if not it.task.done()]
        for runner in left:
            runner.cancel()
        if left:
            name = f"shard {self._shard.metadata.name}"
            tasks = [it.task for it in left]
            self._images.threads.watch(tasks, name, self._images.settings.timeout_seconds)

    async def _run_images(self, runner: ImageRunner) -> None:
        """Describe one image after the other."""
        folder = self._shard.spec.images.manifest
        try:
            while (index := self._next_index()) is not None:
                runner.line = line = await self._tools.manifests.line(folder, index)
                await self._describe(line, runner)
        except ManifestUnreadableError as error:
            self.stop(stop(Failure(Reason.MANIFEST_UNREADABLE, str(error))))
        except StoreUnavailableError as error:
            self.stop(stop(Failure(error.reason, str(error))))
        finally:
            self._deferred.end()

    def _next_index(self) -> int | None:
        if self._stopping.is_set() or self.results.is_full:
            return None
        return next(self._indexes, None)

    async def _describe(self, line: ManifestLine, runner: ImageRunner) -> None:
        """Describe an image in up to `max_attempts` attempts, unless its outcome is known."""
        if line.error or line.key is None:
            missing = LineError(reason=Reason.MANIFEST_LINE_INVALID, message="the line has no key")
            self._add_error(line, valid_error(line.error or missing))
            return
        if await self._take_checkpoint(line):
            return

        attempts = ImageAttempts(line)
        for attempt in itertools.count(1):
            attempts.latest = attempt
            task = self._task(line, line.key, attempt, runner)
            action = await self._attempt(task, attempts, runner)
            if isinstance(action, DeferImage):
                action = await self._wait_for_others(attempts, action.failure)
            if not isinstance(action, RetryImage):
                return

            await self._wait(action.seconds + backoff(attempt - 1, *RETRY_SECONDS))

    async def _wait_for_others(
        self, attempts: ImageAttempts, failure: Failure
    ) -> FailureAction | None:
        """Wait until other images show whether this one is to blame. Return what follows."""
        if not await self._deferred.wait(attempts):
            self._stop_at_last(attempts.line, failure)
            return None

        if not attempts.had_second_chance:
            attempts.had_second_chance = True
            return RetryImage(0.0)

        action = self._action_after(attempts, failure)
        if isinstance(action, FailImage):
            await self._save(attempts.line, self._add_error(attempts.line, line_error(failure)))
        return action

    def _stop_at_last(self, line: ManifestLine, failure: Failure) -> None:
        """Stop the shard, because no other image is left to show who is to blame.

        If all others have ended, and some have been described, the image is tried alone.
        """
        if self.results.is_full or self._stopping.is_set():  # others follow in the next shard
            return

        if self.results.done and len(self.results) == self._shard.range.size - 1:
            self.suspects.add(line.index)
        self.stop(stop(_of_all(line, failure)))

    @asynccontextmanager
    async def storing(self) -> AsyncIterator[None]:
        """Show that the shard advances while its outcome is being stored, but not for ever."""
        ticking = asyncio.create_task(self._wait(MAX_STORING_SECONDS))
        try:
            yield
        finally:
            ticking.cancel()

    async def _wait(self, seconds: float) -> None:
        """Wait before the next attempt at an image."""
        while seconds > 0:
            await asyncio.sleep(min(seconds, STEP_SECONDS))
            seconds -= STEP_SECONDS
            self.steps += 1

    def _task(self, line: ManifestLine, key: str, attempt: int, runner: ImageRunner) -> ImageTask:
        metadata = self._shard.metadata
        return ImageTask(
            name=f"image {line.index} of shard {metadata.name}",
            uid=f"{metadata.uid}/{line.index}",
            number=attempt,
            key=key,
            etag=line.etag,
            size_bytes=line.size or GUESSED_BYTES,
            options=_merged(self._shard.spec.options, line.options),
            attempt=attempt,
            max_attempts=self._max_attempts,
            timeout_seconds=self._timeout_seconds,
            part=ImagePart.of(line),
            wait_for_slot=runner.wait_for_slot,
        )

    async def _attempt(
        self, task: ImageTask, attempts: ImageAttempts, runner: ImageRunner
    ) -> FailureAction | None:
        """Make an attempt, and add its outcome. Return what follows if it has failed.

        The runner keeps its slot until then: if the shard must stop, no other image may start.
        """
        line = attempts.line
        self._advance()
        try:
            data, action = await self._describe_once(task, attempts)
            match action:
                case StopShard(failure):
                    self.stop(stop(failure))
                case FailImage(failure):
                    data = self._add_error(line, line_error(failure))

            if data:
                await self._save(line, data)
            return action
        finally:
            try:
                await self._images.wait_for_threads(task)
            finally:
                self._advance()
                runner.leave_slot()
                self._deferred.attempt_ended()

    async def _describe_once(
        self, task: ImageTask, attempts: ImageAttempts
    ) -> tuple[bytes | None, FailureAction | None]:
        """Return the image's line, or what follows from the failure."""
        try:
            return self._add_result(attempts.line, await self._images.describe(task)), None
        except Exception as error:  # noqa: BLE001 (it is handled or logged)
            failure = self._images.explain(task, error)

        attempts.record(failure)
        action = self._action_after(attempts, failure)
        if isinstance(action, DeferImage) and not self._deferred.defer(attempts):
            action = StopShard(_of_all(attempts.line, failure))
        return None, action

    def _action_after(self, attempts: ImageAttempts, failure: Failure) -> FailureAction:
        return decide_after_failure(
            failure,
            attempt=attempts.latest,
            max_attempts=self._max_attempts,
            others_succeed=self._deferred.others_succeed(attempts),
        )

    async def _save(self, line: ManifestLine, data: bytes) -> None:
        """Store the line of an image that has ended, if its describer asks a provider."""
        if self._checkpoints:
            await self._checkpoints.save(line.index, data)

    def _add_result(self, line: ManifestLine, result: Result) -> bytes:
        data = result_line(line, result)
        self.results.add_result(line.index, data, result.usage)
        return data

    def _add_error(self, line: ManifestLine, error: LineError) -> bytes:
        data = error_line(line, error)
        self.results.add_error(line, data, error)
        return data

    async def _take_checkpoint(self, line: ManifestLine) -> bool:
        """Use the answer that an earlier worker has received. Return whether there is one."""
        found = await self._checkpoints.load(line) if self._checkpoints else None
        if found is None:
            return False

        data, known = found
        if known.error:
            self.results.add_error(line, data, valid_error(known.error))
        else:
            self.results.add_result(line.index, data, _usage(known))
        return True


def _of_all(line: ManifestLine, failure: Failure) -> Failure:
    """Return an image's failure as the problem of its describer or bucket."""
    reason = failure.reason
    if reason is Reason.ATTEMPT_TIMED_OUT:  # of an asynchronous describer, which waits for others
        reason = Reason.PROVIDER_UNAVAILABLE

    message = f"image {line.index}: {failure.message}"
    return failure._replace(reason=reason, message=message)


def _merged(batch: Options | None, own: Options | None) -> Options:
    """Return the options of a batch, overridden by those that an image has of its own."""
    common = batch or Options()
    return common.model_copy(update=own.model_dump(exclude_none=True)) if own else common


def _usage(line: ResultLine) -> Usage | None:
    usage = (line.result or {}).get("usage")
    try:
        return Usage.model_validate(usage) if usage else None
    except ValueError:
        return None
