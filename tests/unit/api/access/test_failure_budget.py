"""Tests of which refused requests are answered at once, and when the others are."""

import pytest
from vision_node_api.__main__ import GRACE_SECONDS
from vision_node_api.services.auth.refusals import (
    ANSWERS_PER_SECOND,
    DELAY_SECONDS,
    MAX_DELAYED,
    Turns,
)
from vision_node_api.web.failure_budget import (
    BURST,
    MAX_ADDRESSES,
    PER_SECOND,
    TOTAL_BURST,
    TOTAL_PER_SECOND,
    FailureBudget,
    source_of,
)

BURST_REQUESTS = int(BURST)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_budget_is_used_up_and_comes_back(clock: Clock) -> None:
    budget = FailureBudget(clock)
    assert not budget.is_spent("a")
    assert [budget.take("a") for _ in range(BURST_REQUESTS + 1)] == [True] * BURST_REQUESTS + [
        False
    ]
    assert budget.is_spent("a")

    clock.now += 1
    assert not budget.is_spent("a")
    assert sum(budget.take("a") for _ in range(BURST_REQUESTS)) == PER_SECOND

    clock.now += 3600
    assert sum(budget.take("a") for _ in range(2 * BURST_REQUESTS)) == BURST_REQUESTS


def test_refusals_beyond_the_budget_do_not_prolong_the_wait(clock: Clock) -> None:
    budget = FailureBudget(clock)
    for _ in range(5 * BURST_REQUESTS):
        budget.take("a")
    clock.now += 1 / PER_SECOND
    assert budget.take("a")


def test_each_address_has_its_own_budget(clock: Clock) -> None:
    budget = FailureBudget(clock)
    while budget.take("192.0.2.1"):
        pass
    assert budget.take("192.0.2.2")


def test_many_addresses_have_a_budget_together(clock: Clock) -> None:
    budget = FailureBudget(clock)
    within = sum(budget.take(f"192.0.2.{number}") for number in range(256) for _ in range(10))
    assert within == TOTAL_BURST
    assert not budget.is_spent("192.0.2.1"), "it may not have caused that"

    clock.now += 1
    assert sum(budget.take(f"192.0.2.{number}") for number in range(256)) == TOTAL_PER_SECOND


def test_number_of_addresses_is_limited(clock: Clock) -> None:
    budget = FailureBudget(clock)
    for number in range(2 * MAX_ADDRESSES):
        budget.take(str(number))
    assert len(budget._buckets) == MAX_ADDRESSES


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("", "", True),
        ("a:b", "a:c", False),
    ],
)
def test_network_of_a_host_is_one_source(one: str, other: str, *, same: bool) -> None:
    assert (source_of(one) == source_of(other)) is same


def test_turns_are_at_the_same_distance(clock: Clock) -> None:
    turns = Turns(clock)
    gap = 1 / ANSWERS_PER_SECOND
    expected = [DELAY_SECONDS + n * gap for n in range(5)]
    assert [turns.take() for _ in range(5)] == pytest.approx(expected)

    clock.now += 2 * gap
    assert turns.take() == pytest.approx(DELAY_SECONDS + 3 * gap), "others wait, too"

    clock.now += 3600
    assert turns.take() == pytest.approx(DELAY_SECONDS)


def test_longest_delay_ends_before_a_stopping_server_does(clock: Clock) -> None:
    turns = Turns(clock)
    longest = max(turns.take() for _ in range(MAX_DELAYED))
    assert longest == pytest.approx(DELAY_SECONDS + (MAX_DELAYED - 1) / ANSWERS_PER_SECOND)
    assert longest < GRACE_SECONDS
