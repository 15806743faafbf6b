"""The health of the bucket, according to this replica's requests and regular checks."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from vision_node_contract.clients.bucket import ObjectNotFoundError, StoreUnavailableError
from vision_node_contract.clients.bucket_errors import FailureCounts
from vision_node_contract.models.reasons import Reason

OK = "ok"
NOT_CHECKED = "NotChecked"

WRITE_REFUSAL_SECONDS = 60.0
"""How long a refused write affects the state of the bucket if no other write follows. Checks only
read, so they can't show that writing works again."""

_ONLY_WRITES = frozenset({Reason.STORAGE_FULL, Reason.STORAGE_DENIED})
"""Reasons that may still apply to writes even if a read has succeeded since."""


@dataclass(frozen=True, slots=True)
class DependencyState:
    """The state of a service that the API depends on."""

    state: str
    """`ok`, or the reason why the service is not ok."""
    detail: str = ""
    """An explanation of what happened and what to do; empty if the state is ok."""

    @property
    def is_ok(self) -> bool:
        """Whether the state is ok."""
        return self.state == OK


class StorageHealth:
    """Records the outcomes of requests to the bucket.

    Args:
        clock: Function that returns the monotonic time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.errors = FailureCounts()
        """Number of requests and checks that have failed since the process started."""
        self._last = DependencyState(NOT_CHECKED, "Storage has not been checked yet.")
        self._refused_write = DependencyState(OK)
        self._refused_at = 0.0

    @property
    def state(self) -> DependencyState:
        """The current state of the bucket."""
        if not self._last.is_ok:
            return self._last

        is_recent = self._clock() - self._refused_at < WRITE_REFUSAL_SECONDS
        return self._refused_write if is_recent else self._last

    @contextmanager
    def recording(self, *, writing: bool = False) -> Iterator[None]:
        """Record the outcome of the block, which sends a request to the bucket."""
        try:
            yield
        except ObjectNotFoundError:
            self._succeed(writing=writing)
            raise
        except StoreUnavailableError as error:
            self._fail(error, writing=writing)
            raise

        self._succeed(writing=writing)

    def _succeed(self, *, writing: bool) -> None:
        self._last = DependencyState(OK)
        if writing:
            self._refused_write = self._last

    def _fail(self, error: StoreUnavailableError, *, writing: bool) -> None:
        self.errors.add(error)
        self._last = DependencyState(error.reason, str(error))
        if writing and error.reason in _ONLY_WRITES:
            self._refused_write, self._refused_at = self._last, self._clock()
