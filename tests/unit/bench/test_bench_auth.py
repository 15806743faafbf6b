"""Tests of the measurement with wrong keys, with few of them and for a short time."""

from bench.api.auth import Attack, AuthRow, as_table, measure


async def test_right_key_is_answered_while_wrong_ones_are_sent() -> None:
    attack = Attack("one address", 20, 1)
    quiet, attacked = await measure((attack,), per_second=500, seconds=3)
    assert (quiet.name, quiet.sent) == ("no wrong keys", 0)
    assert attacked.name == attack.name
    assert 0 < attacked.median_ms <= attacked.p95_ms

    # They wanted to send 500 a second. How many they can send depends on how busy the machine is.
    assert 0 < attacked.sent < 250


def test_table_compares_with_the_first_row() -> None:
    rows = [AuthRow("none", 0, 0.0, 50, 1.0, 2.0), AuthRow("some", 10_000, 120.4, 40, 1.5, 5.0)]
    *_, last = as_table(rows).splitlines()
    assert last == "| some | 10,000 | 120 | 40 | 1.50 ms | 5.00 ms | 1.50 | 2.50 |"
