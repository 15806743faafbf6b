"""Tests that the openai describer respects the rate limits that its server reports."""

from typing import Any

import pytest
from fakes.openai import FakeOpenAI
from openai_client import PICTURE, describe_error, openai_describer
from vision_node_contract.models.description import Options
from vision_node_contract.models.reasons import DescribeError, Reason


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": None, "retry_after_ms": "1500"}, 1.5),
        (
            {
                "retry_after": None,
                "x_ratelimit_remaining_requests": "0",
                "x_ratelimit_reset_requests": "1m30s",
            },
            90.0,
        ),
        ({"retry_after": None}, None),
    ],
)
async def test_error_contains_the_wait_requested_by_the_server(
    fake: FakeOpenAI, url: str, headers: dict[str, Any], seconds: float | None
) -> None:
    fake.always = {"fault": "rate_limited", **headers}
    assert (await describe_error(url)).retry_after == seconds


async def test_rate_limit_blocks_further_requests(fake: FakeOpenAI, url: str) -> None:
    fake.next.append({"fault": "rate_limited", "retry_after": "600"})
    async with openai_describer(url) as describer:
        for expected in (600, pytest.approx(600, abs=5)):
            with pytest.raises(DescribeError) as caught:
                await describer.describe(PICTURE, Options())
            assert (caught.value.reason, caught.value.retry_after) == (
                Reason.RATE_LIMITED,
                expected,
            )

    assert len(fake.requests) == 1


async def test_answer_that_exhausts_the_limit_blocks_further_requests(
    fake: FakeOpenAI, url: str
) -> None:
    used_up = {"x_ratelimit_remaining_tokens": "0", "x_ratelimit_reset_tokens": "10m0s"}
    fake.next.append({"fault": "says", "text": "Squares.", **used_up})
    async with openai_describer(url) as describer:
        await describer.describe(PICTURE, Options())
        with pytest.raises(DescribeError, match="rate limit") as caught:
            await describer.describe(PICTURE, Options())
    assert caught.value.reason is Reason.RATE_LIMITED
