"""Make one attempt at an ImageJob: fetch the image, describe it and commit the outcome."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from inspect import iscoroutinefunction
from typing import ParamSpec, TypeVar, cast

from vision_node_contract.bucket_keys import INLINE_RESULT_BYTES, ResultObject
from vision_node_contract.clients.bucket import Bucket, ObjectNotFoundError, StoreUnavailableError
from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.models import transitions
from vision_node_contract.models.description import Description, Options, Result
from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.models.reasons import DescribeError, Reason

from .abandoned_threads import AbandonedThreads
from .describers import Describer, Remote
from .describers.fallback import fallback_applies, mark_as_fallback
from .describers.file_warnings import warn_of_truncation
from .describers.imaging.picture import is_truncated
from .describers.interface import DescriberBrokenError, attempt_seconds
from .image_fetcher import ImageFetcher
from .memory import Budgets
from .outcome import Outcome, OutcomeWriter, failure
from .settings import Settings
from .termination_message import TerminationMessage
from .threads import in_thread

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)

SHARE_OF_ATTEMPT = 0.9
"""Share of an attempt's timeout that an asynchronous describer may use. The rest is for storing and
committing the result."""


class AttemptRunner:
    """Makes any number of concurrent attempts with one describer.

    The number of threads in `executor` limits how many images are described at the same time.
    """

    def __init__(
        self,
        imagejobs: ImageJobClient,
        bucket: Bucket,
        describer: Describer,
        executor: Executor,
        settings: Settings,
        fallback: Describer | None = None,
    ) -> None:
        self._describer = describer
        self._fallback = fallback
        self._executor = executor
        self._settings = settings
        self._bucket = bucket

        self._budgets = Budgets.of(
            settings.memory_limit_bytes, settings.max_image_bytes, describer.shared_memory
        )
        self._fetcher = ImageFetcher(bucket, self._budgets, settings.max_image_bytes)
        self._writer = OutcomeWriter(imagejobs, settings.pod_name)
        self._threads = AbandonedThreads()
        self._termination_message = TerminationMessage()

    @property
    def hung(self) -> asyncio.Event:
        """Set when a thread is still running long after its attempt timed out."""
        return self._threads.hung

    async def attempt(self, job: ImageJob) -> None:
        """Describe the image of an ImageJob assigned to this worker, and commit the outcome.

        This method never raises an error. If the attempt times out, the timeout is committed
        immediately. The method still does not return until the attempt's threads have ended,
        because they hold memory and the worker must notice if they hang.
        """
        try:
            outcome = await self._process(job)
            await self._writer.commit(job, outcome)
        except Exception:
            # Other attempts continue. The operator requeues this ImageJob at its deadline.
            log.exception("ImageJob %s: the attempt was abandoned", job.metadata.name)
        finally:
            await self._threads.wait_until_ended(job, self._settings.timeout_seconds)

    async def _process(self, job: ImageJob) -> Outcome:
        """Describe the image and store the result; convert every error to a failure."""
        started = time.monotonic()
        try:
            name, description = await self._describe_with_fallback(job)
            result = Result(
                **description.model_dump(by_alias=True),
                describer=name,
                seconds=round(time.monotonic() - started, 4),
            )

            return await self._store_result(job, result)
        except DescribeError as error:
            return failure(error.reason, error.message, error.retry_after)
        except ObjectNotFoundError:
            message = f"the bucket has no object {job.spec.image.key}; upload it first"
            return failure(Reason.IMAGE_NOT_FOUND, message)
        except StoreUnavailableError as error:
            return failure(error.reason, str(error))
        except MemoryError:
            message = "describing the image takes more memory than the worker may use"
            return failure(Reason.OUT_OF_MEMORY, message)
        except Exception as error:
            name = self._settings.describer
            log.exception("ImageJob %s: describer %s failed", job.metadata.name, name)
            return failure(Reason.DESCRIBER_FAILED, f"{name}: {type(error).__name__}")

    async def _describe_with_fallback(self, job: ImageJob) -> tuple[str, Description]:
        """Describe the image, using the fallback if necessary.

        Return the name of the describer that was used, and its description.
        """
        name, fallback = self._settings.describer, self._settings.fallback
        try:
            return name, await self._describe_or_explain(job)
        except DescribeError as error:
            applies = fallback_applies(
                error,
                job.spec.options or Options(),
                attempt=job.status.attempts - job.status.losses,
                max_attempts=job.spec.max_attempts or self._settings.max_attempts,
            )
            if not (applies and fallback and self._fallback):
                raise

            log.warning(
                "ImageJob %s: falling back to %s: %s", job.metadata.name, fallback, error.message
            )
            description = await self._describe(self._fallback, job)
            return fallback, mark_as_fallback(description, instead_of=name, error=error)

    async def _describe_or_explain(self, job: ImageJob) -> Description:
        """Call the describer; turn its unexpected exceptions into a DescriberBrokenError."""
        try:
            return await self._describe(self._describer, job)
        except (DescribeError, ObjectNotFoundError, StoreUnavailableError, MemoryError):
            raise
        except Exception as error:
            name = self._settings.describer
            log.exception("ImageJob %s: describer %s failed", job.metadata.name, name)
            # The exception's text is only logged, because it may contain a secret.
            message = f"{name}: {type(error).__name__}"
            raise DescriberBrokenError(Reason.DESCRIBER_FAILED, message, may_pass=True) from error

    async def _describe(self, describer: Describer, job: ImageJob) -> Description:
        options = job.spec.options or Options()
        description, truncated = await self._call_describer(describer, job, options)
        if not truncated:
            return description

        log.warning("ImageJob %s: the file is truncated", job.metadata.name)
        return warn_of_truncation(description, options)

    async def _call_describer(
        self, describer: Describer, job: ImageJob, options: Options
    ) -> tuple[Description, bool]:
        """Return a describer's description, and whether the file is truncated."""
        describe = describer.describe
        if not iscoroutinefunction(describe):
            blocking = cast("Callable[[bytes, Options], Description]", describe)
            return await self._call_with_image(
                describer, job, lambda image: self._in_thread(blocking, image, options)
            )

        seconds = job.spec.timeout_seconds or self._settings.timeout_seconds
        attempt_seconds.set(seconds)
        async with _timeout_before_deadline(seconds):
            if not isinstance(describer, Remote):
                work = self._call_with_image(describer, job, lambda image: describe(image, options))
                return await self._threads.run(job, work)

            prepare = describer.prepare
            work = self._call_with_image(
                describer, job, lambda image: self._in_thread(prepare, image, options)
            )
            # Release the file before waiting for the answer. A fallback would fetch it again.
            prepared, truncated = await self._threads.run(job, work)
            return await describer.ask(prepared, options), truncated

    async def _call_with_image(
        self, describer: Describer, job: ImageJob, call: Callable[[bytes], Awaitable[T]]
    ) -> tuple[T, bool]:
        """Fetch the image, and return the result of passing it to `call`.

        Also return whether the file is truncated. Memory for the file and for decoding stays
        reserved until the call and its thread have ended.
        """
        async with self._fetcher.fetch(job) as image:
            with self._termination_message.describing(job.metadata.uid):
                memory_bytes, truncated = await self._in_thread(_inspect, describer, image)

            async with self._budgets.decoding.reserve(memory_bytes):
                with self._termination_message.describing(job.metadata.uid):
                    return await call(image), truncated

    async def _in_thread(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await in_thread(self._executor, call, *args, **kwargs)

    async def _store_result(self, job: ImageJob, result: Result) -> Outcome:
        """Return the outcome of a successful attempt.

        A result of up to INLINE_RESULT_BYTES becomes part of the ImageJob. A larger one is stored
        in the bucket first.
        """
        data = json.dumps(result.to_json(), ensure_ascii=False, separators=(",", ":")).encode()
        stored = None
        if len(data) > INLINE_RESULT_BYTES:
            stored = ResultObject.of(job, data, self._bucket.folders)
            await self._bucket.put(stored.key, data, "application/json", stored.sha256)

        return lambda current: transitions.complete(
            current, result=result, stored=stored, now=datetime.now(UTC)
        )


def _inspect(describer: Describer, image: bytes) -> tuple[int, bool]:
    """Return the memory needed to describe the image, in bytes, and whether it is truncated."""
    return describer.memory(image), is_truncated(image)


@asynccontextmanager
async def _timeout_before_deadline(timeout_seconds: float) -> AsyncIterator[None]:
    """Time out before the operator's deadline.

    The operator considers a worker hung if the worker exceeds this deadline.
    """
    seconds = timeout_seconds * SHARE_OF_ATTEMPT
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        message = f"no description within {seconds:g} s"
        raise DescribeError(Reason.ATTEMPT_TIMED_OUT, message) from error
