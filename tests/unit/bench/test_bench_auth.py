"""Tests of the measurement with wrong keys, with few of them and for a short time."""

import pytest
from bench.api import auth
from bench.api.auth import Attack, AuthRow, as_table, measure
from bench.api.right_key import Delay, Polls
from bench.errors import BenchError

BASE = AuthRow("nowhere", 0.0, 0.07, Polls(50, Delay(1.0, 2.0), Delay(2.0, 4.0)))
REACHED = AuthRow("a few", 120.4, 0.2, Polls(40, Delay(1.5, 4.0), Delay(2.0, 5.0)))
MISSED = AuthRow("many", 3000.0, 0.5, Polls(40, Delay(1.0, 2.0), Delay(2.0, 9.0)))
ELSEWHERE = AuthRow("others", 3000.0, 0.07, MISSED.polls, is_elsewhere=True)


async def test_right_key_is_answered_while_wrong_ones_are_sent() -> None:
    attack = Attack("one address", 20, 1)
    quiet, attacked = await measure((attack,), per_second=500, seconds=3)
    assert (quiet.name, quiet.sent) == ("nowhere", 0)
    assert attacked.name == attack.name
    assert attacked.cores > 0
    for delay in (attacked.polls.kept, attacked.polls.new):
        assert 0 < delay.median <= delay.p95

    # They wanted to send 500 a second. How many they can send depends on how busy the machine is.
    assert 0 < attacked.sent < 250


async def test_attack_on_another_api_does_not_reach_the_measured_one() -> None:
    attack = Attack("other", 20, 1, is_elsewhere=True)
    _, row = await measure((attack,), per_second=500, seconds=3)
    assert row.sent > 0
    assert row.is_elsewhere


def test_table_compares_with_the_first_row() -> None:
    first, reached, missed, elsewhere = as_table([BASE, REACHED, MISSED, ELSEWHERE]).splitlines()[
        2:
    ]
    assert first.endswith("| 4.00 ms (1.00 ×) | – |")
    assert reached == (
        "| a few | 120 | 0.20 | 40 | 1.50 ms (1.50 ×) | 4.00 ms (2.00 ×) | 2.00 ms (1.00 ×) "
        "| 5.00 ms (1.25 ×) | ✓ |"
    )
    assert missed.endswith("| 9.00 ms (2.25 ×) | ✗ |")
    assert elsewhere.endswith("| 9.00 ms (2.25 ×) | – |")


@pytest.mark.parametrize(
    ("rows", "is_error"), [([BASE, REACHED, ELSEWHERE], False), ([BASE, MISSED], True)]
)
def test_benchmark_fails_if_right_keys_are_too_slow(
    monkeypatch: pytest.MonkeyPatch, rows: list[AuthRow], *, is_error: bool
) -> None:
    async def measured() -> list[AuthRow]:
        return rows

    monkeypatch.setattr(auth, "measure", measured)
    if is_error:
        with pytest.raises(BenchError, match="too slow with: many"):
            auth.report()
    else:
        assert auth.report() == as_table(rows)
