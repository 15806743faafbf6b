"""Tests of the API's benchmarks with few ImageJobs. `test_api_memory.py` tests the other one."""

import pytest
from bench.api import cache
from bench.api.imagejobs import DONE


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for constant in ("IMAGES", "POLLS", "REPEATS"):
        monkeypatch.setattr(cache, constant, 2)


def test_cpu_time_of_watch_events_is_measured() -> None:
    assert cache.event_seconds() > 0


def test_cpu_time_of_polls_is_measured() -> None:
    assert cache.poll_seconds(DONE) > 0
