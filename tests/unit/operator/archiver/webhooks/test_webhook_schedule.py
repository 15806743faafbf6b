"""Failed messages are sent again after growing pauses, until they are too old."""

from datetime import UTC, datetime, timedelta

import pytest
from vision_node_operator.archiver.webhooks.schedule import (
    JITTER,
    MAX_RETRY_AFTER_SECONDS,
    is_given_up,
    pause_after,
    retry_after_seconds,
)

MINUTE, HOUR = 60, 3600
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("attempts", "seconds"),
    [
        *((1, 5), (2, 5 * MINUTE), (3, 30 * MINUTE), (4, 2 * HOUR), (5, 5 * HOUR)),
        *((6, 10 * HOUR), (7, 14 * HOUR), (8, 20 * HOUR), (9, 24 * HOUR), (50, 24 * HOUR)),
    ],
)
def test_pauses_grow(attempts: int, seconds: float) -> None:
    for _ in range(50):
        assert seconds * (1 - JITTER) <= pause_after(attempts) <= seconds * (1 + JITTER)


def test_pauses_vary() -> None:
    assert len({pause_after(3) for _ in range(10)}) > 1


@pytest.mark.parametrize(
    ("wanted", "expected"), [(1, 5), (600, 600), (10 * 86_400, MAX_RETRY_AFTER_SECONDS)]
)
def test_receiver_can_only_make_a_pause_longer(wanted: float, expected: float) -> None:
    assert pause_after(1, wanted) == pytest.approx(expected, rel=JITTER)


def test_message_is_given_up_when_the_next_attempt_would_be_too_late() -> None:
    limit = timedelta(hours=72)
    assert not is_given_up(20 * HOUR, timedelta(hours=51), limit)
    assert is_given_up(24 * HOUR, timedelta(hours=51), limit)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("120", 120),
        (" 120 ", 120),
        ("9" * 400, MAX_RETRY_AFTER_SECONDS),
        ("-5", None),
        ("1.5", None),
        ("²", None),
        ("soon", None),
        ("Thu, 01 Jan 2026 12:05:00 GMT", 300),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0),
        ("Thu, 01 Jan 9999 11:00:00 PST", None),
    ],
)
def test_retry_after_is_a_number_or_a_time(value: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(value, NOW) == seconds
