"""Tests of what follows from a failed attempt at an image of a shard."""

import pytest
from vision_node_contract.models.reasons import Reason
from vision_node_describer.image_describer import Failure
from vision_node_describer.shards.failure_action import (
    DeferImage,
    FailImage,
    RetryImage,
    StopShard,
    decide_after_failure,
)


@pytest.mark.parametrize(
    ("reason", "attempt", "others_succeed", "expected"),
    [
        (Reason.IMAGE_UNREADABLE, 1, False, FailImage),
        (Reason.IMAGE_CHANGED, 1, False, FailImage),
        (Reason.CONTENT_REFUSED, 1, True, FailImage),
        (Reason.REQUEST_REFUSED, 1, True, FailImage),
        (Reason.RATE_LIMITED, 1, True, StopShard),
        (Reason.CREDENTIALS_REFUSED, 1, False, DeferImage),
        (Reason.CREDENTIALS_REFUSED, 2, True, RetryImage),
        (Reason.CREDENTIALS_REFUSED, 3, True, FailImage),
        (Reason.CREDENTIALS_MISSING, 1, True, StopShard),
        (Reason.QUOTA_EXHAUSTED, 3, True, StopShard),
        (Reason.STORAGE_UNAVAILABLE, 1, False, DeferImage),
        (Reason.STORAGE_DENIED, 3, True, FailImage),
        (Reason.STORAGE_FULL, 1, True, StopShard),
        (Reason.BUCKET_NOT_FOUND, 1, True, StopShard),
        (Reason.CLOCK_SKEW, 1, True, StopShard),
        (Reason.DESCRIBER_FAILED, 1, False, RetryImage),
        (Reason.DESCRIBER_FAILED, 3, False, FailImage),
        (Reason.ATTEMPT_TIMED_OUT, 2, False, RetryImage),
        (Reason.ATTEMPT_TIMED_OUT, 3, True, FailImage),
        (Reason.ATTEMPT_TIMED_OUT, 3, False, DeferImage),
        (Reason.OUT_OF_MEMORY, 3, True, FailImage),
        (Reason.PROVIDER_UNAVAILABLE, 2, False, RetryImage),
        (Reason.PROVIDER_UNAVAILABLE, 3, True, FailImage),
        (Reason.PROVIDER_UNAVAILABLE, 3, False, DeferImage),
    ],
)
def test_failure_has_the_consequence_that_fits_its_reason(
    reason: Reason, attempt: int, expected: type, *, others_succeed: bool
) -> None:
    failure = Failure(reason, "m")
    action = decide_after_failure(
        failure, attempt=attempt, max_attempts=3, others_succeed=others_succeed
    )
    assert type(action) is expected


@pytest.mark.parametrize(("asked", "seconds"), [(None, 0.0), (7.0, 7.0), (900.0, 30.0)])
def test_provider_may_delay_an_attempt_for_a_while(asked: float | None, seconds: float) -> None:
    failure = Failure(Reason.PROVIDER_UNAVAILABLE, "m", asked)
    action = decide_after_failure(failure, attempt=1, max_attempts=3, others_succeed=True)
    assert action == RetryImage(seconds)
