"""One attempt at one ImageJob: fetch, describe, commit."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from inspect import iscoroutinefunction
from typing import Any, ParamSpec, TypeVar, cast

from vision_node_contract.bucket_keys import INLINE_RESULT_BYTES, ResultObject
from vision_node_contract.clients.bucket import Bucket, ObjectNotFoundError, StoreUnavailableError
from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.clients.kube import (
    ConflictError,
    KubeError,
    NotFoundError,
    UnavailableError,
    backoff,
)
from vision_node_contract.models import transitions
from vision_node_contract.models.description import Description, Options, Result
from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.models.reasons import DescribeError, Reason
from vision_node_contract.models.transitions import StatusPatch

from .describers import Describer, Remote
from .describers.fallback import instead_of, may_stand_in
from .describers.file_warnings import warn_of_truncation
from .describers.imaging.picture import is_truncated
from .describers.interface import attempt_seconds
from .memory import FETCH_COPIES, Budgets
from .settings import Settings
from .termination_message import LastWords
from .threads import in_thread

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)

COMMIT_RETRY_SECONDS = (0.1, 5.0)
"""First and longest wait before a commit that the API server did not answer is tried again."""

SHARE_OF_ATTEMPT = 0.9
"""Of an attempt's time, for a describer that waits for others; the rest is for storing and
committing."""

Outcome = Callable[[ImageJob], StatusPatch]
"""What came of an attempt, as the patch for the ImageJob as it then is."""


class Attempts:
    """Makes attempts with one describer; any number at once, describing bounded by `executor`."""

    def __init__(
        self,
        imagejobs: ImageJobClient,
        store: Bucket,
        describer: Describer,
        executor: Executor,
        settings: Settings,
        fallback: Describer | None = None,
    ) -> None:
        self._imagejobs = imagejobs
        self._store = store
        self._describer = describer
        self._fallback = fallback
        self._executor = executor
        self._settings = settings
        self._budgets = Budgets.of(settings.memory_limit_bytes, settings.max_image_bytes)
        self._begun: dict[tuple[str, int], list[asyncio.Task[Any]]] = {}
        """By attempt: tasks whose threads may continue after the attempt is given up."""
        self._last_words = LastWords()
        self.hangs = asyncio.Event()
        """Set when a thread goes on for the Describer's timeout after its attempt was given up. It
        keeps its memory, and what waits for that runs out of time, while smaller images go on to be
        described."""

    async def attempt(self, job: ImageJob) -> None:
        """Describe the image of `job`, which is assigned to this worker, and commit the outcome; never raise.

        An attempt that ran out of time commits that at once, but ends only when its threads have
        ended: their memory is still in use, and a worker whose threads hang has to notice.
        """
        try:
            outcome = await self._outcome(job)
            await self._commit(job, outcome)
        except Exception:
            # Whatever it is, the others go on; the operator requeues this one at its deadline.
            log.exception("ImageJob %s: attempt given up", job.metadata.name)
        finally:
            await self._until_ended(job)

    async def _outcome(self, job: ImageJob) -> Outcome:
        try:
            return await self._describe(job)
        except DescribeError as error:
            return _failure(error.reason, error.message, error.retry_after)
        except ObjectNotFoundError:
            key = job.spec.image.key
            return _failure(
                Reason.IMAGE_NOT_FOUND, f"no object {key} is in the bucket; put it there first"
            )
        except StoreUnavailableError as error:
            return _failure(error.reason, str(error))
        except MemoryError:
            return _failure(
                Reason.OUT_OF_MEMORY, "the image needs more memory than the worker may have"
            )
        except Exception as error:
            log.exception(
                "ImageJob %s: describer %s failed", job.metadata.name, self._settings.describer
            )
            return _failure(
                Reason.DESCRIBER_FAILED, f"{self._settings.describer}: {type(error).__name__}"
            )

    async def _describe(self, job: ImageJob) -> Outcome:
        started = time.monotonic()
        describer, description = await self._described(job)
        result = Result(
            **description.model_dump(by_alias=True),
            describer=describer,
            seconds=round(time.monotonic() - started, 4),
        )

        return await self._keep(job, result)

    async def _described(self, job: ImageJob) -> tuple[str, Description]:
        """Return who described the image, and how: the describer, or its fallback when it may stand in."""
        options = job.spec.options or Options()
        name, fallback = self._settings.describer, self._settings.fallback
        try:
            return name, await self._run(self._describer, job)
        except DescribeError as error:
            attempt = job.status.attempts - job.status.losses
            most = job.spec.max_attempts or self._settings.max_attempts
            may = may_stand_in(error, options, attempt=attempt, max_attempts=most)
            if not (may and fallback and self._fallback):
                raise
            log.warning("ImageJob %s: %s stands in: %s", job.metadata.name, fallback, error.message)
            return fallback, instead_of(name, error, await self._run(self._fallback, job))

    async def _run(self, describer: Describer, job: ImageJob) -> Description:
        options = job.spec.options or Options()
        description, truncated = await self._ask(describer, job, options)
        if not truncated:
            return description
        log.warning("ImageJob %s: the file ends too early", job.metadata.name)
        return warn_of_truncation(description, options)

    async def _ask(
        self, describer: Describer, job: ImageJob, options: Options
    ) -> tuple[Description, bool]:
        """Call the describer; return its description, and whether the file is truncated."""
        call = describer.describe
        if not iscoroutinefunction(call):
            plain = cast("Callable[[bytes, Options], Description]", call)
            return await self._looked_at(
                describer, job, lambda image: self._in_thread(plain, image, options)
            )

        seconds = job.spec.timeout_seconds or self._settings.timeout_seconds
        attempt_seconds.set(seconds)
        async with _limited(seconds):
            if not isinstance(describer, Remote):
                work = self._looked_at(describer, job, lambda image: call(image, options))
                return await self._abandonable(job, work)
            prepare = describer.prepare
            work = self._looked_at(
                describer, job, lambda image: self._in_thread(prepare, image, options)
            )
            # The file is released before the wait for the answer; a fallback fetches it again.
            prepared, truncated = await self._abandonable(job, work)
            return await describer.ask(prepared, options), truncated

    async def _looked_at(
        self, describer: Describer, job: ImageJob, call: Callable[[bytes], Awaitable[T]]
    ) -> tuple[T, bool]:
        """Return the result of `call` on the image, and whether the file is truncated.

        Memory for the file and for decoding is held until the call, or its thread, has ended.
        """
        async with self._file(job) as image:
            with self._last_words.describing(job.metadata.uid):
                wanted, truncated = await self._in_thread(_look, describer, image)
            async with self._decoding(job, wanted):
                return await call(image), truncated

    async def _abandonable(self, job: ImageJob, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of `work`. When cancelled, continue at once, even if its thread still runs."""
        task = asyncio.create_task(work)
        self._begun.setdefault(_key(job), []).append(task)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.cancel()
            raise

    async def _until_ended(self, job: ImageJob) -> None:
        """Wait for threads of an attempt that was given up, and tell of one that hangs."""
        tasks = self._begun.pop(_key(job), None)
        if not tasks:
            return

        patience = self._settings.timeout_seconds
        _, running = await asyncio.wait(tasks, timeout=patience)
        if running:
            name = job.metadata.name
            log.error(
                "the worker hangs: ImageJob %s was given up, and its thread runs since for %g s",
                name,
                patience,
            )
            self.hangs.set()
            await asyncio.wait(running)

    @asynccontextmanager
    async def _decoding(self, job: ImageJob, wanted: int) -> AsyncIterator[None]:
        """Hold `wanted` bytes of memory, and say what may be the image's fault."""
        async with self._budgets.decoding.room(wanted):
            with self._last_words.describing(job.metadata.uid):
                yield

    async def _in_thread(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await in_thread(self._executor, call, *args, **kwargs)

    @asynccontextmanager
    async def _file(self, job: ImageJob) -> AsyncIterator[bytes]:
        """Fetch the image, and hold memory for its file.

        The size in the ImageJob is untrusted: a larger file is fetched again, with more memory.
        """
        key, most = (
            job.spec.image.key,
            min(self._settings.max_image_bytes, self._budgets.largest_file_bytes),
        )
        stated = min(job.spec.image.size_bytes or most, most)

        for expected in dict.fromkeys((stated, most)):
            async with self._budgets.files.room(FETCH_COPIES * expected) as room:
                image = await self._store.get(key, expected)
                if len(image) <= expected:
                    room.shrink(len(image))
                    yield image
                    return

                del image  # its memory is no longer held

        raise self._too_large(key, most)

    def _too_large(self, key: str, most: int) -> DescribeError:
        advice = "make it smaller"
        if most < self._settings.max_image_bytes:
            advice = f"{advice}, or raise the describer's memory limit, which is too low for larger files"
        return DescribeError(Reason.IMAGE_TOO_LARGE, f"{key} is larger than {most} bytes; {advice}")

    async def _keep(self, job: ImageJob, result: Result) -> Outcome:
        """Return the outcome `done`, with the result in it or, when that is too large, in the bucket."""
        data = json.dumps(result.to_json(), ensure_ascii=False, separators=(",", ":")).encode()
        stored = ResultObject.of(job, data) if len(data) > INLINE_RESULT_BYTES else None
        if stored:
            await self._store.put(stored.key, data, "application/json", stored.sha256)
        return lambda current: transitions.complete(
            current, result=result, stored=stored, now=datetime.now(UTC)
        )

    async def _commit(self, job: ImageJob, outcome: Outcome) -> None:
        """Write the outcome, unless the assignment is no longer ours.

        Raises:
            KubeError: refused for good, and the report of the refusal, too.
        """
        failures, refused = 0, False
        current: ImageJob | None = job
        while current is not None:
            try:
                await self._imagejobs.patch_status(current, outcome(current))
            except UnavailableError:
                await asyncio.sleep(backoff(failures, *COMMIT_RETRY_SECONDS))
                failures += 1
            except (ConflictError, NotFoundError):
                pass
            except KubeError as error:
                if refused:
                    raise
                refused, outcome = (
                    True,
                    _failure(Reason.DESCRIBER_FAILED, f"result refused: {error.message}"),
                )
            else:
                return

            current = await self._still_ours(job)

    async def _still_ours(self, job: ImageJob) -> ImageJob | None:
        """Return the ImageJob as it is now; None when the attempt is another's, or over.

        Our own commit whose answer was lost shows as over, too: that is success.
        """
        try:
            now = await self._imagejobs.get(job.metadata.name)
        except NotFoundError:
            return None
        except UnavailableError:
            return job

        same = now.metadata.uid == job.metadata.uid and now.status.attempts == job.status.attempts
        ours = now.status.worker == self._settings.pod_name and now.status.phase == "processing"
        return now if same and ours else None


def _key(job: ImageJob) -> tuple[str, int]:
    return job.metadata.uid, job.status.attempts


def _look(describer: Describer, image: bytes) -> tuple[int, bool]:
    """Return the bytes of memory that describing takes, and whether the file ends too early."""
    return describer.memory(image), is_truncated(image)


@asynccontextmanager
async def _limited(timeout_seconds: float) -> AsyncIterator[None]:
    """Give up before the operator does, which would think the worker hung and pass it over."""
    seconds = timeout_seconds * SHARE_OF_ATTEMPT
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise DescribeError(
            Reason.ATTEMPT_TIMED_OUT, f"no description within {seconds:g} s"
        ) from error


def _failure(reason: Reason, message: str, retry_after: float | None = None) -> Outcome:
    """Return `failed` for a reason that is final, or a report to the operator for one that may pass."""
    if reason.retryable:
        return lambda _: transitions.report(reason, message, retry_after)
    return lambda job: transitions.fail(job, reason=reason, message=message, now=datetime.now(UTC))
