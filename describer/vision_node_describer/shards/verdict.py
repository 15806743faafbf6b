"""Decide what follows from a failed attempt at an image of a shard."""

from dataclasses import dataclass

from vision_node_contract.models.reasons import Reason

from ..image_describer import Failure


@dataclass(frozen=True, slots=True)
class StopShard:
    """The failure concerns all images, so the shard ends."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class FailImage:
    """The failure is the image's outcome."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class RetryImage:
    """Another attempt at the image may succeed, after `seconds` or a little more."""

    seconds: float


Verdict = StopShard | FailImage | RetryImage

MAX_RETRY_AFTER_SECONDS = 30.0
"""Maximum number of seconds for which a provider may delay an image's next attempt. A shard that
waits longer would be considered lost."""


def judge(failure: Failure, *, attempt: int, max_attempts: int, others_succeed: bool) -> Verdict:
    """Return what to do after a failed attempt.

    Args:
        failure: Why the attempt failed.
        attempt: Number of the attempt at this image, starting at 1.
        max_attempts: Maximum number of attempts at an image.
        others_succeed: Whether the describer has described another image since the first attempt
            at this one. If not, an unavailable provider says nothing about the image.
    """
    reason = failure.reason
    if reason.is_describers_problem:
        return StopShard(failure)
    if not reason.retryable:
        return FailImage(failure)
    if attempt < max_attempts:
        return RetryImage(min(failure.retry_after or 0.0, MAX_RETRY_AFTER_SECONDS))
    if reason is Reason.PROVIDER_UNAVAILABLE and not others_succeed:
        return StopShard(failure)

    return FailImage(failure)
