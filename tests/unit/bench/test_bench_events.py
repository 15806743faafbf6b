"""Tests of the measurement with many followers, with few of them."""

from bench.api.events import measure


async def test_followers_get_events_within_the_memory_of_the_api() -> None:
    """1,000 followers must fit into 300 MiB, so 100 of them may take a tenth of the rest."""
    row = await measure(followers=100, changes=30, per_second=50)
    assert 0 < row.median_ms < row.p99_ms
    assert row.events > 0
    assert row.peak - row.idle < 30
