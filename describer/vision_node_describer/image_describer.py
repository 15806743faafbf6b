"""Fetch an image and describe it, within the worker's memory and the image's timeout."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from inspect import iscoroutinefunction
from typing import Generic, NamedTuple, TypeVar, cast

from vision_node_contract.clients.bucket import (
    Bucket,
    ObjectChangedError,
    ObjectNotFoundError,
    StoreUnavailableError,
)
from vision_node_contract.models.description import Description, Options, Result
from vision_node_contract.models.reasons import DescribeError, Reason

from .abandoned_threads import AbandonedThreads
from .describers import Describer, Remote
from .describers.fallback import fallback_applies, mark_as_fallback
from .describers.file_warnings import warn_of_truncation
from .describers.imaging.picture import is_truncated
from .describers.interface import DescriberBrokenError, attempt_seconds
from .image_fetcher import ImageFetcher
from .image_task import ImageTask
from .memory import Budgets, Reservation
from .settings import Settings
from .termination_message import TerminationMessage
from .threads import in_thread

T = TypeVar("T")

log = logging.getLogger(__name__)

SHARE_OF_ATTEMPT = 0.9
"""Share of an attempt's timeout that an asynchronous describer may use. The rest is for storing and
committing the result."""


class Failure(NamedTuple):
    """Why an attempt at an image failed."""

    reason: Reason
    message: str
    retry_after: float | None = None


@dataclass(slots=True)
class _Attempt:
    """An attempt in progress: when it began, and the timeout of an asynchronous describer."""

    task: ImageTask
    started: float = field(default_factory=time.monotonic)
    begun: bool = field(init=False)
    """Whether the time for describing has begun. An image of a shard waits for its slot first."""
    limit: asyncio.Timeout | None = None
    """The timeout while it is running; None before and after."""

    def __post_init__(self) -> None:
        self.begun = not self.task.is_background

    async def wait_for_slot(self) -> None:
        """Wait until the image may be described. Its time begins then, and again for a fallback."""
        if self.task.wait_for_slot is None:
            return

        await self.task.wait_for_slot()
        self.begun = True
        self.started = time.monotonic()
        if self.limit:
            seconds = self.task.timeout_seconds * SHARE_OF_ATTEMPT
            self.limit.reschedule(asyncio.get_running_loop().time() + seconds)


class _Inspected(NamedTuple, Generic[T]):
    """What a thread found out about an image, and what it did with it."""

    memory_bytes: int
    truncated: bool
    result: list[T]
    """The result of the call; empty if there was no memory for it yet."""


class ImageDescriber:
    """Makes any number of concurrent attempts with one describer.

    The numbers of threads in the executors limit how many images are described at the same time.
    """

    def __init__(
        self,
        bucket: Bucket,
        describer: Describer,
        executor: Executor,
        settings: Settings,
        fallback: Describer | None = None,
        background_executor: Executor | None = None,
    ) -> None:
        self.describer = describer
        self.settings = settings
        self.budgets = Budgets.of(
            settings.memory_limit_bytes, settings.max_image_bytes, describer.shared_memory
        )
        self.threads = AbandonedThreads()
        self.termination_message = TerminationMessage()
        self.newest_success = float("-inf")
        """When the newest attempt began in which the describer, and not its fallback, described an
        image (monotonic time)."""

        self._fallback = fallback
        self._executor = executor
        self._background_executor = background_executor or executor
        self._fetcher = ImageFetcher(bucket, self.budgets, settings.max_image_bytes)
        self._first_in_background = asyncio.Lock()
        """Held by the only image of a shard that may wait for memory, so that a single image waits
        behind at most one of them."""

    @property
    def newest_fetch(self) -> float:
        """When the newest successful request for an image's file began (monotonic time)."""
        return self._fetcher.newest_success

    async def describe(self, task: ImageTask) -> Result:
        """Describe the image, using the fallback if necessary.

        If the attempt times out, this method returns although threads may still be running. Call
        `wait_for_threads` in any case.

        Raises:
            Exception: Any error; `explain` says what it means.
        """
        attempt = _Attempt(task)
        name, description = await self._describe_with_fallback(attempt)

        return Result(
            **description.model_dump(by_alias=True),
            describer=name,
            seconds=round(time.monotonic() - attempt.started, 4),
        )

    async def wait_for_threads(self, task: ImageTask) -> None:
        """Wait until the attempt's threads have ended.

        They hold memory, and the worker must notice if they hang.
        """
        await self.threads.wait_until_ended(task, self.settings.timeout_seconds)

    def explain(self, task: ImageTask, error: Exception) -> Failure:
        """Return what the error of an attempt means. Call this while handling the error."""
        match error:
            case DescribeError():
                return Failure(error.reason, error.message, error.retry_after)
            case ObjectNotFoundError():
                message = f"the bucket has no object {task.key}; upload it first"
                return Failure(Reason.IMAGE_NOT_FOUND, message)
            case ObjectChangedError():
                message = (
                    f"{task.key} was replaced after the batch had listed it; use another batch"
                )
                return Failure(Reason.IMAGE_CHANGED, message)
            case StoreUnavailableError():
                return Failure(error.reason, str(error))
            case MemoryError():
                message = "describing the image takes more memory than the worker may use"
                return Failure(Reason.OUT_OF_MEMORY, message)
            case _:
                name = self.settings.describer
                log.exception("%s: describer %s failed", task.name, name)
                return Failure(Reason.DESCRIBER_FAILED, f"{name}: {type(error).__name__}")

    async def _describe_with_fallback(self, attempt: _Attempt) -> tuple[str, Description]:
        """Return the name of the describer that was used, and its description."""
        name, fallback, task = self.settings.describer, self.settings.fallback, attempt.task
        try:
            description = await self._describe_or_explain(attempt)
        except DescribeError as error:
            applies = fallback_applies(
                error, task.options, attempt=task.attempt, max_attempts=task.max_attempts
            )
            if not (applies and fallback and self._fallback):
                raise

            log.warning("%s: falling back to %s: %s", task.name, fallback, error.message)
            await attempt.wait_for_slot()
            description = await self._describe(attempt, self._fallback)
            return fallback, mark_as_fallback(description, instead_of=name, error=error)

        self.newest_success = max(self.newest_success, attempt.started)
        return name, description

    async def _describe_or_explain(self, attempt: _Attempt) -> Description:
        """Call the describer; turn its unexpected exceptions into a DescriberBrokenError."""
        try:
            return await self._describe(attempt, self.describer)
        except (
            DescribeError,
            ObjectChangedError,
            ObjectNotFoundError,
            StoreUnavailableError,
            MemoryError,
        ):
            raise
        except Exception as error:
            name = self.settings.describer
            log.exception("%s: describer %s failed", attempt.task.name, name)
            # The exception's text is only logged, because it may contain a secret.
            message = f"{name}: {type(error).__name__}"
            raise DescriberBrokenError(Reason.DESCRIBER_FAILED, message, may_pass=True) from error

    async def _describe(self, attempt: _Attempt, describer: Describer) -> Description:
        description, truncated = await self._call_describer(attempt, describer)
        if not truncated:
            return description

        log.warning("%s: the file is truncated", attempt.task.name)
        return warn_of_truncation(description, attempt.task.options)

    async def _call_describer(
        self, attempt: _Attempt, describer: Describer
    ) -> tuple[Description, bool]:
        """Return a describer's description, and whether the file is truncated."""
        task, describe = attempt.task, describer.describe
        if not iscoroutinefunction(describe):
            blocking = cast("Callable[[bytes, Options], Description]", describe)
            return await self._call_in_thread(attempt, describer, blocking)

        attempt_seconds.set(task.timeout_seconds)
        async with _timeout_before_deadline(attempt):
            if not isinstance(describer, Remote):
                work = self._call_in_loop(attempt, describer, describe)
                return await self.threads.run(task, work)

            preparation = self._call_in_thread(attempt, describer, describer.prepare)
            # Release the file before waiting for the answer. A fallback would fetch it again.
            prepared, truncated = await self.threads.run(task, preparation)
            return await describer.ask(prepared, task.options), truncated

    async def _call_in_thread(
        self, attempt: _Attempt, describer: Describer, call: Callable[[bytes, Options], T]
    ) -> tuple[T, bool]:
        """Fetch the image, and return the result of passing it to `call` in a thread.

        Also return whether the file is truncated. Memory for the file and for decoding stays
        reserved until the thread has ended.
        """
        task = attempt.task
        executor = self._executor_for(task)
        async with self._fetcher.fetch(task) as image:
            await attempt.wait_for_slot()

            with self.budgets.decoding.reserve_later() as reserved:
                with self.termination_message.describing(task.uid):
                    inspected = await in_thread(
                        executor, _inspect_and_call, describer, image, reserved, call, task.options
                    )
                if inspected.result:
                    return inspected.result[0], inspected.truncated

            async with self._decoding_memory(task, inspected.memory_bytes):
                with self.termination_message.describing(task.uid):
                    result = await in_thread(executor, call, image, task.options)
                    return result, inspected.truncated

    async def _call_in_loop(
        self,
        attempt: _Attempt,
        describer: Describer,
        call: Callable[[bytes, Options], Awaitable[Description]],
    ) -> tuple[Description, bool]:
        """Fetch the image, and return the result of passing it to `call` in the event loop.

        Also return whether the file is truncated. Memory for the file and for decoding stays
        reserved until the call has ended.
        """
        task = attempt.task
        async with self._fetcher.fetch(task) as image:
            await attempt.wait_for_slot()

            with self.termination_message.describing(task.uid):
                executor = self._executor_for(task)
                memory_bytes, truncated = await in_thread(executor, _inspect, describer, image)

            async with self._decoding_memory(task, memory_bytes):
                with self.termination_message.describing(task.uid):
                    return await call(image, task.options), truncated

    def _executor_for(self, task: ImageTask) -> Executor:
        return self._background_executor if task.is_background else self._executor

    @asynccontextmanager
    async def _decoding_memory(self, task: ImageTask, memory_bytes: int) -> AsyncIterator[None]:
        """Wait for memory, and reserve it until the block ends."""
        reservation = self.budgets.decoding.reserve(memory_bytes)
        async with AsyncExitStack() as stack:
            if task.is_background:
                async with self._first_in_background:
                    await stack.enter_async_context(reservation)
            else:
                await stack.enter_async_context(reservation)

            yield


def _inspect(describer: Describer, image: bytes) -> tuple[int, bool]:
    """Return the memory needed to describe the image, in bytes, and whether it is truncated."""
    return describer.memory(image), is_truncated(image)


def _inspect_and_call(
    describer: Describer,
    image: bytes,
    reserved: Reservation,
    call: Callable[[bytes, Options], T],
    options: Options,
) -> _Inspected[T]:
    """Inspect the image, and also make the call if the memory for it is available at once.

    An image then takes one switch between threads instead of two.
    """
    memory_bytes, truncated = _inspect(describer, image)
    result = [call(image, options)] if reserved.try_grow(memory_bytes) else []
    return _Inspected(memory_bytes, truncated, result)


@asynccontextmanager
async def _timeout_before_deadline(attempt: _Attempt) -> AsyncIterator[None]:
    """Time out before the operator's deadline.

    The operator considers a worker hung if the worker exceeds this deadline.
    """
    seconds = attempt.task.timeout_seconds * SHARE_OF_ATTEMPT
    try:
        async with asyncio.timeout(seconds if attempt.begun else None) as attempt.limit:
            yield
    except TimeoutError as error:
        message = f"no description within {seconds:g} s"
        raise DescribeError(Reason.ATTEMPT_TIMED_OUT, message) from error
    finally:
        attempt.limit = None
