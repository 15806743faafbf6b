"""Tests of code shared by describers: imports, rate limits, retry headers and the fallback."""

import subprocess
import sys
from datetime import UTC, datetime

import pytest
from vision_node_contract.models.description import Description, Options
from vision_node_contract.models.reasons import DescribeError, Reason
from vision_node_describer.describers.fallback import fallback_applies, mark_as_fallback
from vision_node_describer.describers.remote.rate_limit_gate import (
    DEFAULT_BLOCK_SECONDS,
    RateLimitGate,
)
from vision_node_describer.describers.remote.retry_after import (
    MAX_WAIT_SECONDS,
    exhausted_limit_reset,
    retry_after,
)

PROVIDER_LIBRARIES = ("openai", "httpx2", "google", "boto3", "botocore", "requests")


@pytest.mark.parametrize("provider", ["metadata", "nothing"])
def test_describer_without_a_provider_imports_no_provider_libraries(provider: str) -> None:
    load = f"from vision_node_describer.describers import load; load({provider!r})"
    code = f"import sys; {load}; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert [name for name in PROVIDER_LIBRARIES if name in ran.stdout.split()] == []


class Clock:
    """A clock that advances only during `sleep`."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        self.now += seconds


async def rate_limit_error(gate: RateLimitGate, max_wait: float) -> DescribeError:
    with pytest.raises(DescribeError) as caught:
        await gate.wait(max_wait)
    assert caught.value.reason is Reason.RATE_LIMITED
    return caught.value


async def test_requests_wait_for_the_longest_block() -> None:
    clock = Clock()
    gate = RateLimitGate(clock, clock.sleep)
    gate.block(4)
    gate.block(1)
    await gate.wait(60)

    assert clock.slept == [4]
    await gate.wait(0)
    gate.block(None)
    assert (await rate_limit_error(gate, 1)).retry_after == DEFAULT_BLOCK_SECONDS


@pytest.mark.parametrize(("max_wait", "retry_after_seconds"), [(5, 29), (40, None)])
async def test_new_block_delays_waiting_requests_further(
    max_wait: float, retry_after_seconds: float | None
) -> None:
    clock = Clock()
    gate = RateLimitGate(clock, clock.sleep)
    gate.block(1)

    async def sleep_until_blocked_again(seconds: float) -> None:
        gate._sleep = clock.sleep
        gate.block(30)
        clock.now += seconds

    gate._sleep = sleep_until_blocked_again

    if retry_after_seconds:
        assert (await rate_limit_error(gate, max_wait)).retry_after == retry_after_seconds
    else:
        await gate.wait(max_wait)
        assert clock.slept == [29]


NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "Thu, 01 Jan 2026 00:01:00 GMT"}, 60),
        ({"retry-after": "Wed, 31 Dec 2025 00:00:00 GMT"}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": "999999999"}, MAX_WAIT_SECONDS),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0.5s"}, 360.5),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "20ms"}, 0.02),
        (
            {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1h2m3s"},
            MAX_WAIT_SECONDS,
        ),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "tomorrow"}, None),
        ({"x-ratelimit-remaining-tokens": "9", "x-ratelimit-reset-tokens": "1s"}, None),
    ],
)
def test_retry_after_reads_each_kind_of_header(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after(headers, NOW) == (seconds if seconds is None else pytest.approx(seconds))


def test_reset_time_of_an_exhausted_limit_is_read_from_a_successful_answer() -> None:
    headers = {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "2s",
        "retry-after": "9",
    }
    assert exhausted_limit_reset(headers) == 2


@pytest.mark.parametrize(
    ("reason", "attempt", "fallback_option", "expected"),
    [
        (Reason.PROVIDER_UNAVAILABLE, 3, None, True),
        (Reason.PROVIDER_UNAVAILABLE, 2, None, False),  # the outage may end before the last attempt
        (Reason.RATE_LIMITED, 3, None, True),
        (Reason.ATTEMPT_TIMED_OUT, 3, None, True),
        (Reason.QUOTA_EXHAUSTED, 1, None, True),  # another attempt would not help
        (Reason.QUOTA_EXHAUSTED, 1, "never", False),
        (Reason.PROVIDER_UNAVAILABLE, 3, "never", False),
        (Reason.IMAGE_UNREADABLE, 3, None, False),
        (Reason.IMAGE_TOO_LARGE, 3, None, False),
        (Reason.CREDENTIALS_REFUSED, 3, None, False),
        (Reason.CREDENTIALS_MISSING, 3, None, False),
        (Reason.MODEL_NOT_FOUND, 3, None, False),
        (Reason.CONTENT_REFUSED, 3, None, False),
        (Reason.EMPTY_ANSWER, 3, None, False),
    ],
)
def test_fallback_depends_on_the_reason_attempt_and_option(
    reason: Reason, attempt: int, fallback_option: str | None, *, expected: bool
) -> None:
    options = Options.model_validate({"fallback": fallback_option})
    assert (
        fallback_applies(DescribeError(reason, ""), options, attempt=attempt, max_attempts=3)
        is expected
    )


def test_result_of_the_fallback_contains_the_reason_for_using_it() -> None:
    error = DescribeError(Reason.RATE_LIMITED, "")
    description = Description(description="d", alt="a", caption="c")
    found = mark_as_fallback(description, instead_of="openai", error=error)
    assert found.model_dump(by_alias=True)["fallback"] == {
        "from": "openai",
        "reason": "RateLimited",
    }
