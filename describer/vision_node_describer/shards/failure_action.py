"""Decide what follows from a failed attempt at an image of a shard."""

from dataclasses import dataclass
from enum import Enum, auto

from vision_node_contract.models.reasons import NEVER_OF_AN_IMAGE, STORAGE_REASONS, Reason

from ..image_describer import Failure


@dataclass(frozen=True, slots=True)
class StopShard:
    """The failure concerns all images, so the shard ends."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class DeferImage:
    """Either this image or all of them are concerned, which attempts at other images will show."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class FailImage:
    """The failure is the image's outcome."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class RetryImage:
    """Another attempt at the image may succeed, after `seconds` or a little more."""

    seconds: float


FailureAction = StopShard | DeferImage | FailImage | RetryImage

MAX_RETRY_AFTER_SECONDS = 30.0
"""Maximum number of seconds for which a provider may delay an image's next attempt. A shard that
waits longer would be considered lost."""


class Suspicion(Enum):
    """What else may be to blame if an attempt at an image fails."""

    DESCRIBER = auto()
    BUCKET = auto()


_STOPPING = NEVER_OF_AN_IMAGE | {Reason.RATE_LIMITED}
"""Reasons that stop the shard immediately."""

_OUTAGES = frozenset({Reason.PROVIDER_UNAVAILABLE, Reason.ATTEMPT_TIMED_OUT})
"""Reasons that are seen often enough when nothing is wrong, so that the image is tried again
first. AttemptTimedOut comes from asynchronous describers, which may wait for others."""


def suspicion_of(reason: Reason) -> Suspicion | None:
    """Return what else than the image may be to blame; None if the reason leaves no doubt."""
    if reason in _STOPPING:
        return None
    if reason in STORAGE_REASONS:
        return Suspicion.BUCKET

    return Suspicion.DESCRIBER if reason.is_describers_problem or reason in _OUTAGES else None


def decide_after_failure(
    failure: Failure, *, attempt: int, max_attempts: int, others_succeed: bool
) -> FailureAction:
    """Return what to do after a failed attempt.

    Args:
        failure: Why the attempt failed.
        attempt: Number of the attempt at this image, starting at 1.
        max_attempts: Maximum number of attempts at an image.
        others_succeed: Whether an attempt at another image has succeeded that began after this
            failure. If so, only this image is concerned.
    """
    reason = failure.reason
    if reason in _STOPPING:
        return StopShard(failure)

    retry = RetryImage(min(failure.retry_after or 0.0, MAX_RETRY_AFTER_SECONDS))
    suspicion = suspicion_of(reason)
    if suspicion and not others_succeed:
        tries_first = reason in _OUTAGES and attempt < max_attempts
        return retry if tries_first else DeferImage(failure)

    may_pass = suspicion is not None or reason.retryable
    return retry if may_pass and attempt < max_attempts else FailImage(failure)
